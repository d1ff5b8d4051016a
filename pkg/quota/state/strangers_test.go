package state_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// stranger is an object that names a group.
func stranger(apiVersion, kind, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"namespace": "nlp", "name": name, "labels": map[string]any{"biz.group.resource.quota": "nlp"}},
	}}
}

func TestStrangers(t *testing.T) {
	snap := &snapshot.Snapshot{Others: []*unstructured.Unstructured{
		stranger("example.com/v1", "Farm", "a"), stranger("example.com/v1", "Farm", "b"),
		stranger("example.com/v1", "Farm", "c"), stranger("example.com/v1", "Farm", "d"),
		stranger("kubeflow.org/v2beta1", "MPIJob", "known in this version too"),
		stranger("v1", "ConfigMap", "makes no pods"), stranger("autoscaling/v2", "HorizontalPodAutoscaler", "makes none either"),
		stranger("serving.knative.dev/v1", "Service", "hello"),
	}}
	s := state.New(snap, workload.Default())
	want := []string{
		"Farm.example.com nlp/a, nlp/b, nlp/c and 1 more names a group and charges nothing itself: the kind Farm.example.com is not known; " +
			"what it makes is charged where that has the label, or declare the kind (--workload-kinds)",
		"Service.serving.knative.dev nlp/hello names a group and charges nothing itself: each Deployment.apps of this Service.serving.knative.dev " +
			"is charged, for which the label must stand in spec.template.metadata.labels",
	}
	if diff := cmp.Diff(want, s.Strangers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	check := s.Try(state.Requester{Name: "you"}).Stranger(stranger("example.com/v1", "Farm", "e"))
	if !check.Allowed || check.Object != "nlp/farm.example.com/e" || len(check.Warnings) != 1 {
		t.Errorf("got %+v, want it let by with a warning", check)
	}
}

// What an object gives its label to is charged; what makes no pods is meant for nothing.
func TestIsStranger(t *testing.T) {
	knative := stranger("serving.knative.dev/v1", "Service", "hello")
	knative.SetLabels(nil)
	for name, test := range map[string]struct {
		object *unstructured.Unstructured
		inside bool // whether it gives the label to what it makes
		want   string
	}{
		"no label":         {knative.DeepCopy(), false, ""},
		"label inside":     {knative.DeepCopy(), true, "each Deployment.apps of this Service.serving.knative.dev is charged to group nlp, whose label it is given: how many there will be is not known here"},
		"label of its own": {stranger("example.com/v1", "Farm", "a"), false, "Farm.example.com names a group and charges nothing itself: the kind Farm.example.com is not known; what it makes is charged where that has the label, or declare the kind (--workload-kinds)"},
		"no pods":          {stranger("v1", "ConfigMap", "c"), false, ""},
	} {
		if test.inside {
			if err := unstructured.SetNestedField(test.object.Object, "nlp", "spec", "template", "metadata", "labels", "biz.group.resource.quota"); err != nil {
				t.Fatal(err)
			}
		}
		if is := state.IsStranger(workload.Default(), test.object); is != (test.want != "") {
			t.Errorf("%s: a stranger: %t", name, is)
		}
		if test.want != "" {
			equal(t, name, []string{test.want}, newState().Try(state.Requester{Name: "you"}).Stranger(test.object).Warnings)
		}
	}
}

// What names a group and charges it nothing is told of that group.
func TestUncharged(t *testing.T) {
	unread := stranger("argoproj.io/v1alpha1", "Rollout", "broken")
	unread.Object["spec"] = map[string]any{"replicas": "many"}
	s := newState(build.BizGroup("nlp", "").Hard("pods=1").Obj(), build.BizGroup("other", "").Hard("pods=1").Obj(),
		stranger("example.com/v1", "Farm", "a"), unread)
	farm := report.QuotaUncharged{Object: "nlp/farm.example.com/a", Why: "names a group and charges nothing itself: the kind Farm.example.com is not known; " +
		"what it makes is charged where that has the label, or declare the kind (--workload-kinds)"}
	items := treeOf(t, s, "").Items
	equal(t, "of the group", farm, items[0].Uncharged[0])
	equal(t, "what cannot be read", "nlp/rollout.argoproj.io/broken", items[0].Uncharged[1].Object)
	equal(t, "of another group", 0, len(items[1].Uncharged))
	description, err := s.Describe("nlp")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "described", 2, len(description.Item.Uncharged))
}

// A workload whose pods another object declares is named, unless what it made is charged.
func TestPodlessAreNamed(t *testing.T) {
	rollout := func(name string) *unstructured.Unstructured {
		object := stranger("argoproj.io/v1alpha1", "Rollout", name)
		object.SetUID(types.UID(name))
		object.Object["spec"] = map[string]any{"replicas": int64(6), "workloadRef": map[string]any{"kind": "Deployment", "name": name}}
		return object
	}
	of := func(owner, group string) *appsv1.ReplicaSet {
		made := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "nlp", Name: owner + "-1", UID: types.UID(owner + "-1"), OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Name: owner, UID: types.UID(owner), Controller: new(true)}}}}
		if group != "" {
			made.Labels = map[string]string{"biz.group.resource.quota": group}
		}
		return made
	}
	snap := &snapshot.Snapshot{
		Others:      []*unstructured.Unstructured{rollout("bare"), rollout("labelled"), rollout("new")},
		ReplicaSets: []*appsv1.ReplicaSet{of("bare", ""), of("labelled", "nlp")},

		BizGroupResourceQuotas: []*stowagev1alpha1.BizGroupResourceQuota{build.BizGroup("nlp", "").Hard("pods=1").Obj()},
	}
	const why = " charges nothing itself: its pods are declared by another object (spec.workloadRef). " +
		"What it makes is charged where the labels of that object's pod template name group nlp"
	want := []string{"nlp/rollout.argoproj.io/bare" + why, "nlp/rollout.argoproj.io/new" + why}
	s := state.New(snap, workload.Default())
	if diff := cmp.Diff(want, s.Strangers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	equal(t, "of the group", report.QuotaUncharged{Object: "nlp/rollout.argoproj.io/bare", Why: strings.TrimSpace(why)}, treeOf(t, s, "").Items[0].Uncharged[0])
}
