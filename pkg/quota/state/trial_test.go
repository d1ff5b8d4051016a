package state_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// counted is a group that has been counted, whose namespaces are all allowed.
func counted(name, parent, hard, used string) *build.BizGroupBuilder {
	return build.BizGroup(name, parent).Hard(hard).Used(used).Allow("*").With(func(group *stowagev1alpha1.BizGroupResourceQuota) {
		group.Status.LastReconcileTime = &metav1.MicroTime{Time: build.Epoch.Time}
	})
}

// edit is what is done with an object of the kind with that plural.
func edit(t *testing.T, resource string, object snapshot.Object) state.Edit {
	t.Helper()
	kind := workload.Default().ForResource(schema.ParseGroupResource(resource))
	if kind == nil {
		t.Fatalf("no kind %s", resource)
	}
	return state.Edit{Kind: kind, Object: object}
}

// deployment is ns/NAME, tied to group a, of so many pods of a core each.
func deployment(name string, replicas int32) snapshot.Object {
	d := tie(build.Deployment("ns", name, replicas, pod(name, "cpu=1")), "a")
	d.Spec.Template.Labels = maps.Clone(d.Spec.Template.Labels)
	if d.Spec.Template.Labels == nil {
		d.Spec.Template.Labels = map[string]string{}
	}
	d.Spec.Template.Labels[stowagev1alpha1.GroupLabel] = "a"
	return d
}

// verdict is an edit's verdict: "" when it is admitted, otherwise its reasons.
func verdict(t *testing.T, trial *state.Trial, e state.Edit) string {
	t.Helper()
	check, err := trial.Edit(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return refusal(check)
}

func refusal(check *report.QuotaCheck) string {
	if check.Allowed {
		return ""
	}
	return strings.Join(check.Reasons, "; ")
}

// TestTrialGoesOn judges each change with those before it admitted.
func TestTrialGoesOn(t *testing.T) {
	full := "group a: limits.cpu: needs 2, 1 of 4 left (short 1)"
	e := func(object snapshot.Object) state.Edit { return edit(t, "deployments.apps", object) }
	deleted := e(deployment("there", 1))
	deleted.Deleted = true
	scaled := e(deployment("there", 2))
	scaled.Scaled = true
	for name, test := range map[string]struct {
		edits []state.Edit
		// last begins the reasons against the last edit; the others are admitted.
		last string
	}{
		"what fits":                       {[]state.Edit{e(deployment("web", 3))}, ""},
		"what a change before has taken":  {[]state.Edit{e(deployment("web", 2)), e(deployment("more", 2))}, full},
		"what a change before has grown":  {[]state.Edit{e(deployment("there", 3)), e(deployment("more", 2))}, full},
		"what a scaling has grown":        {[]state.Edit{scaled, e(deployment("web", 1)), e(deployment("more", 2))}, full},
		"what a deletion has freed":       {[]state.Edit{deleted, e(deployment("web", 4))}, ""},
		"an update of what was just made": {[]state.Edit{e(deployment("web", 3)), e(deployment("web", 2)), e(deployment("more", 1))}, ""},
		"a deletion, and a creation anew": {[]state.Edit{deleted, e(deployment("there", 3)), e(deployment("more", 2))}, full},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState(counted("a", "", "limits.cpu=4", "limits.cpu=1").Obj(), deployment("there", 1))
			trial := s.Try(state.Requester{Name: "you"})
			for i, e := range test.edits {
				got, want := verdict(t, trial, e), ""
				if i == len(test.edits)-1 {
					want = test.last
				}
				if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
					t.Fatalf("edit %d: expected the verdict %q, found %q", i, want, got)
				}
			}
			equal(t, "what the state has used", "1", new(s.Groups.Group("a").Status.Used["limits.cpu"]).String())
		})
	}
}

// TestTrialRefusedChangesNothing leaves the object and the groups as they were.
func TestTrialRefusedChangesNothing(t *testing.T) {
	trial := newState(counted("a", "", "limits.cpu=4", "limits.cpu=1").Obj(), deployment("there", 1)).Try(state.Requester{})
	if verdict(t, trial, edit(t, "deployments.apps", deployment("there", 9))) == "" {
		t.Fatal("expected a refusal")
	}
	equal(t, "the verdict on what is left", "", verdict(t, trial, edit(t, "deployments.apps", deployment("web", 3))))
}

func TestTrialOfGroups(t *testing.T) {
	trial := newState(counted("root", "", "pods=10", "pods=4").Obj(), counted("a", "root", "pods=4", "").Obj()).Try(state.Requester{})
	for _, step := range []struct {
		check *report.QuotaCheck
		want  string
	}{
		{trial.PutGroup(build.BizGroup("b", "root").Hard("pods=6").Obj()), ""},
		{trial.PutGroup(build.BizGroup("c", "root").Hard("pods=1").Obj()), "group root: pods: needs 1, 0 of 10 left (short 1)"},
		{trial.PutGroup(build.BizGroup("b", "root").Hard("pods=5").Obj()), ""},
		{trial.PutGroup(build.BizGroup("c", "root").Hard("pods=1").Obj()), ""},
		{trial.DeleteGroup("a"), ""},
		{trial.PutGroup(build.BizGroup("d", "root").Hard("pods=4").Obj()), ""},
	} {
		if got := refusal(step.check); !strings.HasPrefix(got, step.want) || (got == "") != (step.want == "") {
			t.Errorf("%s: expected the verdict %q, found %q", step.check.Object, step.want, got)
		}
	}
	if trial.Group("a") != nil || trial.Group("c") == nil {
		t.Error("expected group c and no group a")
	}
	if got := refusal(trial.DeleteGroup("root")); got == "" {
		t.Error("expected the deletion of a parent to be refused")
	}
}

// TestTrialAsksForRights asks who may charge a group that does not allow the namespace.
func TestTrialAsksForRights(t *testing.T) {
	asks := func(answer quota.Answer, err error) func(context.Context, string) (quota.Answer, error) {
		return func(context.Context, string) (quota.Answer, error) { return answer, err }
	}
	lost := errors.New("connection lost")
	for name, test := range map[string]struct {
		mayCharge func(context.Context, string) (quota.Answer, error)
		refused   bool
		warnings  int
		err       error
	}{
		"nobody to ask": {nil, false, 1, nil},
		"may":           {asks(quota.Yes, nil), false, 0, nil},
		"may not":       {asks(quota.No, nil), true, 0, nil},
		"no answer":     {asks(quota.Unknown, lost), false, 0, lost},
	} {
		t.Run(name, func(t *testing.T) {
			takesPart := build.Namespace("ns", stowagev1alpha1.QuotaLabel+"="+stowagev1alpha1.QuotaEnabled)
			trial := newState(takesPart, counted("a", "", "limits.cpu=4", "").Allow("elsewhere").Obj()).Try(state.Requester{Name: "you", MayCharge: test.mayCharge})
			check, err := trial.Edit(t.Context(), edit(t, "deployments.apps", deployment("web", 1)))
			if !errors.Is(err, test.err) {
				t.Fatalf("expected error %v, found %v", test.err, err)
			}
			if err != nil {
				return
			}
			equal(t, "refused", test.refused, !check.Allowed)
			equal(t, "the number of warnings", test.warnings, len(check.Warnings))
			if test.refused && !strings.Contains(refusal(check), "you may not charge it") {
				t.Errorf("expected a refusal that names who asks, found %q", refusal(check))
			}
		})
	}
}

// TestTrialUnreadable names the object that cannot be read.
func TestTrialUnreadable(t *testing.T) {
	broken := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
		"metadata": map[string]any{"namespace": "ns", "name": "ocr"}, "spec": map[string]any{"replicas": "many"},
	}}
	_, err := newState(counted("a", "", "pods=1", "").Obj()).Try(state.Requester{}).Edit(t.Context(), edit(t, "rollouts.argoproj.io", tie(broken, "a")))
	if err == nil || !strings.HasPrefix(err.Error(), `Rollout "ocr": `) {
		t.Errorf("expected an error that names the object, found %v", err)
	}
}

// TestTrialTakesPart asks the snapshot's namespaces, of which a dump may have none.
func TestTrialTakesPart(t *testing.T) {
	for name, test := range map[string]struct {
		namespaces []snapshot.Object
		refused    bool
		warnings   int
	}{
		"takes part":       {[]snapshot.Object{build.Namespace("ns", "stowage.dev/quota=enabled")}, false, 0},
		"requires a group": {[]snapshot.Object{build.Namespace("ns", "stowage.dev/require-biz-group=true")}, false, 0},
		"takes no part":    {[]snapshot.Object{build.Namespace("ns", ""), build.Namespace("other", "stowage.dev/quota=enabled")}, true, 0},
		"none does yet":    {[]snapshot.Object{build.Namespace("ns", "")}, false, 1},
		"unknown":          {nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			trial := newState(append(test.namespaces, counted("a", "", "limits.cpu=4", "").Allow("ns").Obj())...).Try(state.Requester{})
			check, err := trial.Edit(t.Context(), edit(t, "deployments.apps", deployment("web", 1)))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "refused", test.refused, !check.Allowed)
			equal(t, "the number of warnings", test.warnings, len(check.Warnings))
		})
	}
}

// TestTrialRequiresGroups asks the snapshot's namespaces.
func TestTrialRequiresGroups(t *testing.T) {
	strict := build.Namespace("ns", stowagev1alpha1.RequireGroupLabel+"=true")
	free := build.Deployment("ns", "web", 1, pod("web", "cpu=1"))
	for name, test := range map[string]struct {
		objects []snapshot.Object
		refused bool
	}{"demands a group": {[]snapshot.Object{strict}, true}, "unknown": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			equal(t, "refused", test.refused, verdict(t, newState(test.objects...).Try(state.Requester{}), edit(t, "deployments.apps", free)) != "")
		})
	}
}

func TestLargestUsersAreNamed(t *testing.T) {
	s := newState(counted("a", "", "cpu=30", "cpu=30").Obj(), counted("b", "a", "cpu=6", "").Obj(), counted("c", "a", "cpu=0", "").Obj(),
		deployment("small", 4), deployment("large", 12), deployment("other", 8))
	check, err := s.Try(state.Requester{Name: "you"}).Edit(t.Context(), edit(t, "deployments.apps", deployment("new", 1)))
	if err != nil || len(check.Exceeded) != 1 {
		t.Fatalf("%+v, %v; want one key exceeded", check, err)
	}
	var got []string
	for _, user := range check.Exceeded[0].Users {
		got = append(got, user.Object+" "+user.Uses.String())
	}
	want := []string{"ns/deployment.apps/large 12", "ns/deployment.apps/other 8", "bizgroupresourcequota.stowage.dev/b 6"}
	if !slices.Equal(got, want) {
		t.Errorf("users %q, want %q", got, want)
	}
}

// TestTrialMendsTheUnreadable judges what becomes of an object that cannot be read: it
// charged nothing, and may be mended or deleted.
func TestTrialMendsTheUnreadable(t *testing.T) {
	broken := tie(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"namespace": "ns", "name": "ocr"},
		"spec": map[string]any{"replicas": "many"},
	}}, "a")
	good := broken.DeepCopy()
	good.Object["spec"] = map[string]any{"replicas": int64(2), "template": map[string]any{"spec": map[string]any{"containers": []any{
		map[string]any{"name": "main", "resources": map[string]any{"limits": map[string]any{"cpu": "1"}}},
	}}}}
	trial := func() *state.Trial {
		return newState(broken, counted("a", "", "limits.cpu=1", "").Allow("ns").Obj()).Try(state.Requester{})
	}
	if got := verdict(t, trial(), edit(t, "rollouts.argoproj.io", good)); !strings.Contains(got, "limits.cpu: needs 2, 1 of 1 left") {
		t.Errorf("mended: %q", got)
	}
	deleted := edit(t, "rollouts.argoproj.io", broken)
	deleted.Deleted = true
	if got := verdict(t, trial(), deleted); got != "" {
		t.Errorf("deleted: %q", got)
	}
}

// Of a CronJob, what no Job of it can be is told from what one cannot be now.
func TestTrialOfWhatNeverFits(t *testing.T) {
	cron := func(limits corev1.ResourceList) *batchv1.CronJob {
		labels := map[string]string{stowagev1alpha1.GroupLabel: "nlp"}
		object := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "nightly", Labels: labels}}
		object.Spec.JobTemplate.Labels = labels
		object.Spec.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Limits: limits}}}
		return object
	}
	trial := newState(counted("nlp", "", "limits.cpu=2,requests.nvidia.com/gpu.A30=4", "").Obj()).Try(state.Requester{Name: "you"})
	check, err := trial.Edit(t.Context(), edit(t, "cronjobs.batch", cron(corev1.ResourceList{"cpu": resource.MustParse("3"), "nvidia.com/gpu": resource.MustParse("1")})))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(check.Warnings, "\n")
	for _, want := range []string{
		"no Job of it will be admitted: group nlp: limits requests.nvidia.com/gpu by model only",
		"one Job of it does not fit now: group nlp: limits.cpu: needs 3, 2 of 2 left",
	} {
		if !strings.Contains(text, want) || strings.Count(text, "group nlp: limits") != 2 {
			t.Errorf("said %q, want %q", text, want)
		}
	}
}
