package state_test

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// inTemplate is a Deployment whose template alone names group a.
func inTemplate(name string, replicas int32) snapshot.Object {
	d := build.Deployment("ns", name, replicas, pod(name, "cpu=1"))
	d.Spec.Template.Labels = map[string]string{stowagev1alpha1.GroupLabel: "a"}
	return d
}

// cronJob is ns/c, whose Jobs have a pod that may use so much.
func cronJob(limits string) *batchv1.CronJob {
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"},
		Spec:       batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: build.Job("ns", "c", 1, 1, pod("c", limits)).Spec}},
	}
}

// A workload without a group is charged nothing, and what it makes is: its templates' label
// is that of a ReplicaSet, a Job, a pod.
func TestTemplatesNameGroups(t *testing.T) {
	refused := "names no group itself: what it makes is charged to group a, which its template names (label biz.group.resource.quota), and refused there: group a: limits.cpu: needs 4, 3 of 3 left"
	fits := "names no group itself: what it makes is charged to group a, which its template names (label biz.group.resource.quota)"
	cron, ofJobs := cronJob("cpu=4"), cronJob("cpu=4")
	cron.Spec.JobTemplate.Spec.Template.Labels = map[string]string{stowagev1alpha1.GroupLabel: "a"}
	ofJobs.Spec.JobTemplate.Labels = map[string]string{stowagev1alpha1.GroupLabel: "a"}
	daemon := build.DaemonSet("ns", "d", pod("d", "cpu=4"))
	daemon.Spec.Template.Labels = map[string]string{stowagev1alpha1.GroupLabel: "a"}
	for name, test := range map[string]struct {
		namespaces string
		before     []snapshot.Object
		kind       string
		object     snapshot.Object
		want       string
	}{
		"a Deployment":               {"*", nil, "deployments.apps", inTemplate("web", 4), refused},
		"one that fits":              {"*", nil, "deployments.apps", inTemplate("web", 3), fits},
		"one that grows":             {"*", []snapshot.Object{inTemplate("web", 2)}, "deployments.apps", inTemplate("web", 5), fits},
		"one that grows by too much": {"*", []snapshot.Object{inTemplate("web", 2)}, "deployments.apps", inTemplate("web", 6), refused},
		"a DaemonSet":                {"*", nil, "daemonsets.apps", daemon, refused},
		"a CronJob":                  {"*", nil, "cronjobs.batch", cron, refused},
		"a CronJob's Jobs":           {"*", nil, "cronjobs.batch", ofJobs, refused},
		"who may not charge":         {"other", nil, "deployments.apps", inTemplate("web", 1), fits + ", and refused there: group a: its controller may not charge it from namespace ns"},
	} {
		group := counted("a", "", "limits.cpu=3", "").Allow(test.namespaces).Obj()
		cluster := append(test.before, group, build.Node("n1").Obj(), build.Namespace("ns", "stowage.dev/quota=enabled"))
		check, err := newState(cluster...).Try(state.Requester{Name: "you"}).Edit(t.Context(), edit(t, test.kind, test.object))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := strings.Join(check.Warnings, "\n")
		if !check.Allowed || !strings.HasPrefix(said, test.want) || test.want == fits && said != fits {
			t.Errorf("%s: allowed %t, warned %q, want %q", name, check.Allowed, said, test.want)
		}
	}
}

// What is charged in a workload's place is gone for what comes after it.
func TestTrialChargesByTemplates(t *testing.T) {
	trial := newState(counted("a", "", "limits.cpu=4", "").Obj()).Try(state.Requester{Name: "you"})
	e := func(object snapshot.Object) state.Edit { return edit(t, "deployments.apps", object) }
	equal(t, "the first verdict", "", verdict(t, trial, e(inTemplate("web", 3))))
	if got := verdict(t, trial, e(deployment("more", 2))); !strings.HasPrefix(got, "group a: limits.cpu: needs 2, 1 of 4 left") {
		t.Errorf("found the verdict %q", got)
	}
}
