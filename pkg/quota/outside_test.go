package quota_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/quota"
)

func TestTakesPart(t *testing.T) {
	for labels, want := range map[[2]string]bool{
		{"stowage.dev/quota", "enabled"}:           true,
		{"stowage.dev/quota", "disabled"}:          false,
		{"stowage.dev/require-biz-group", "true"}:  true,
		{"stowage.dev/require-biz-group", "false"}: false,
		{"team", "nlp"}:                            false,
	} {
		if got := quota.TakesPart(map[string]string{labels[0]: labels[1]}); got != want {
			t.Errorf("%v: %t, want %t", labels, got, want)
		}
	}
}

// Where a namespace takes no part, nothing new is charged from it, and what was
// charged before may shrink.
func TestOutside(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10"))})
	const refusal = `namespace default: takes no part in quota: have an administrator run "kubectl quota enable default"`
	const warning = "namespace default: whether it takes part in quota is not known (label stowage.dev/quota=enabled): without it, this is refused"
	for name, test := range map[string]struct {
		before, after *appsv1.ReplicaSet
		outside       quota.Answer
		want          string // refusal or warning
	}{
		"creation":            {nil, replicaSet("nlp", 3, nil), quota.Yes, refusal},
		"of no group":         {nil, replicaSet("nlb", 3, nil), quota.Yes, refusal},
		"another group":       {replicaSet("cv", 3, nil), replicaSet("nlp", 3, nil), quota.Yes, refusal},
		"growth":              {replicaSet("nlp", 3, nil), replicaSet("nlp", 4, nil), quota.Yes, refusal},
		"shrinking":           {replicaSet("nlp", 3, nil), replicaSet("nlp", 2, nil), quota.Yes, ""},
		"without a group":     {nil, replicaSet("", 3, nil), quota.Yes, ""},
		"creation, who knows": {nil, replicaSet("nlp", 3, nil), quota.Unknown, warning},
		"shrinking, likewise": {replicaSet("nlp", 3, nil), replicaSet("nlp", 2, nil), quota.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			edit := quota.Edit{Kind: kindOf(t, "replicasets.apps"), After: test.after}
			if test.before != nil {
				edit.Before = test.before
			}
			c, err := (&asked{charge: quota.Yes, outside: test.outside}).judge(tree).Edit(t.Context(), edit)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			if c != nil {
				check := c.By(tree)
				said = strings.Join(append(check.Reasons, check.Warnings...), "\n")
			}
			if said != test.want {
				t.Errorf("said %q, want %q", said, test.want)
			}
		})
	}
}

// A CronJob's Jobs are charged from its namespace.
func TestOutsideTemplate(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10"))})
	labels := map[string]string{"biz.group.resource.quota": "nlp"}
	job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nightly", Labels: labels}}
	job.Spec.JobTemplate.Labels, job.Spec.JobTemplate.Spec.Template.Spec = labels, pod(list("cpu", "1"))
	c, err := (&asked{charge: quota.Yes, outside: quota.Yes}).judge(tree).Edit(t.Context(), quota.Edit{Kind: kindOf(t, "cronjobs.batch"), After: job})
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	if check := c.By(tree); check.Allowed || !strings.Contains(strings.Join(check.Reasons, "\n"), "kubectl quota enable default") {
		t.Errorf("allowed %t, %q", check.Allowed, check.Reasons)
	}
}
