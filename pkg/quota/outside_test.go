package quota_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
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

// Who has to name a group is told which ones there are to name; such a user may not list
// them.
func TestUngroupedNamesGroups(t *testing.T) {
	allowing := func(group *quota.Group, namespaces ...string) *quota.Group {
		group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: namespaces}
		return group
	}
	going := allowing(newGroup("going", "", list("pods", "1")), "def*")
	going.DeletionTimestamp = &metav1.Time{Time: monday}
	others := []*quota.Group{newGroup("other", "", list("pods", "1")), allowing(newGroup("elsewhere", "", list("pods", "1")), "strict"),
		allowing(newGroup("folder", "", nil), "default"), going}
	const demand = "namespace default: every workload needs a group (label stowage.dev/require-biz-group): add the label biz.group.resource.quota: NAME"
	for name, test := range map[string]struct {
		allow []string
		want  string
	}{
		"none": {nil, demand + "; no group allows this namespace by its spec.allow.namespaces: ask who administers quota which one to name"},
		"one":  {[]string{"web"}, demand + "; groups that allow this namespace: web"},
		"many": {[]string{"g", "f", "e", "d", "c", "b", "a"}, demand + "; groups that allow this namespace: a, b, c, d, e and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			groups := slices.Clone(others)
			for _, name := range test.allow {
				groups = append(groups, allowing(newGroup(name, "", list("pods", "1")), "def*"))
			}
			c, err := (&asked{strict: true}).judge(quota.NewTree(groups)).Edit(t.Context(), quota.Edit{Kind: kindOf(t, "replicasets.apps"), After: replicaSet("", 3, nil)})
			if err != nil || c == nil {
				t.Fatal(c, err)
			}
			if got := quota.Text(c.By(nil).QuotaCheck); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
