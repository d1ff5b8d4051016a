package owner_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// A pod is made anew of its controller's template, or, where nobody knows that, like the
// one that runs.
func TestReplacement(t *testing.T) {
	template := func() *build.PodBuilder { return build.Pod("ns", "").Request("cpu=1") }
	running := func(name, version, kind, controller string) *build.PodBuilder {
		return build.Pod("ns", name).Request("cpu=4").Owner(version, kind, controller).Node("n0")
	}
	sidecar := func(pod *corev1.Pod) {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy"})
	}
	// updating has a new template, which only the ordinals from 1 on get.
	updating := build.StatefulSet("ns", "db", 3, template())
	updating.Status.CurrentRevision, updating.Status.UpdateRevision = "old", "new"
	updating.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](1)}}
	revision := func(name string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: name}
		}
	}
	type shape struct {
		CPU        string
		Containers int
		Gates      int
		Overhead   string
		Revision   string
	}
	for name, tc := range map[string]struct {
		objects []snapshot.Object
		pod     *build.PodBuilder
		want    shape
	}{
		"a pod that was resized": {[]snapshot.Object{build.ReplicaSet("ns", "web", "", 1, template())},
			running("web-a", "apps/v1", "ReplicaSet", "web"), shape{CPU: "1", Containers: 1}},
		"gates are there again": {[]snapshot.Object{build.ReplicaSet("ns", "web", "", 1, template().Gate("example.com/quota"))},
			running("web-a", "apps/v1", "ReplicaSet", "web"), shape{CPU: "1", Containers: 1, Gates: 1}},
		"what a webhook has put in": {[]snapshot.Object{build.ReplicaSet("ns", "web", "", 1, template())},
			running("web-a", "apps/v1", "ReplicaSet", "web").With(sidecar), shape{CPU: "1", Containers: 2}},
		"a controller that is not known": {nil, running("web-a", "apps/v1", "ReplicaSet", "web"), shape{CPU: "4", Containers: 1}},
		"an ordinal that keeps the old revision": {[]snapshot.Object{updating},
			running("db-0", "apps/v1", "StatefulSet", "db").With(revision("old")).With(sidecar), shape{CPU: "4", Containers: 2, Revision: "old"}},
		"an ordinal that gets the new revision": {[]snapshot.Object{updating},
			running("db-1", "apps/v1", "StatefulSet", "db").With(revision("old")).With(sidecar), shape{CPU: "1", Containers: 1, Revision: "new"}},
		"an ordinal of the new revision": {[]snapshot.Object{updating},
			running("db-2", "apps/v1", "StatefulSet", "db").With(revision("new")).With(sidecar), shape{CPU: "1", Containers: 2, Revision: "new"}},
		"the overhead of a runtime that is known": {[]snapshot.Object{
			build.ReplicaSet("ns", "web", "", 1, template().With(func(pod *corev1.Pod) { pod.Spec.RuntimeClassName = new("kata") })),
			&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "kata"}, Overhead: &nodev1.Overhead{PodFixed: build.Resources("cpu=2")}}},
			running("web-a", "apps/v1", "ReplicaSet", "web"), shape{CPU: "1", Containers: 1, Overhead: "2"}},
		"the overhead of a runtime that is not": {[]snapshot.Object{
			build.ReplicaSet("ns", "web", "", 1, template().With(func(pod *corev1.Pod) { pod.Spec.RuntimeClassName = new("kata") }))},
			running("web-a", "apps/v1", "ReplicaSet", "web").With(func(pod *corev1.Pod) { pod.Spec.Overhead = build.Resources("cpu=3") }),
			shape{CPU: "1", Containers: 1, Overhead: "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := tc.pod.Obj()
			made, err := newMaker(tc.objects...).Replacement(pod)
			if err != nil {
				t.Fatal(err)
			}
			got := shape{
				CPU: made.Spec.Containers[0].Resources.Requests.Cpu().String(), Containers: len(made.Spec.Containers),
				Gates: len(made.Spec.SchedulingGates), Revision: made.Labels[appsv1.ControllerRevisionHashLabelKey],
			}
			if made.Spec.Overhead != nil {
				got.Overhead = made.Spec.Overhead.Cpu().String()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if made.Name != pod.Name || made.UID == pod.UID || made.Spec.NodeName != "" || owner.Of(made) != owner.Of(pod) {
				t.Errorf("replacement %s, UID %s, on %q, of %v", made.Name, made.UID, made.Spec.NodeName, owner.Of(made))
			}
		})
	}
}

// What admission merges into selectors is of the pod itself, and is merged once.
func TestLabelKeysAreMerged(t *testing.T) {
	template := build.Pod("ns", "").Label("rev", "2").With(func(pod *corev1.Pod) {
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MatchLabelKeys: []string{"rev", "none"}, LabelSelector: &metav1.LabelSelector{}}}
	})
	rs := build.ReplicaSet("ns", "web", "", 1, template)
	maker := newMaker(rs)
	w, err := owner.Read(workload.Default(), rs)
	if err != nil {
		t.Fatal(err)
	}
	running := maker.Replica(w, &w.Sets[0], 0)
	running.OwnerReferences = build.Pod("ns", "").Owner("apps/v1", "ReplicaSet", "web").Obj().OwnerReferences
	made, err := maker.Replacement(running)
	if err != nil {
		t.Fatal(err)
	}
	want := []metav1.LabelSelectorRequirement{{Key: "rev", Operator: metav1.LabelSelectorOpIn, Values: []string{"2"}}}
	for _, pod := range []*corev1.Pod{running, made} {
		if diff := cmp.Diff(want, pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchExpressions); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if selector := rs.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector; len(selector.MatchExpressions) > 0 {
		t.Error("the template has changed")
	}
}

// CPU and memory are taken from a running pod only where they are as admission made them;
// what cannot be resized always is.
func TestAmountsOfReplacement(t *testing.T) {
	const gpu = "example.com/gpu"
	annotated := func(key, value string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Annotations = map[string]string{key: value} }
	}
	deleted := func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{} }
	for name, tc := range map[string]struct {
		generation int64
		gates      int
		with       func(*corev1.Pod)
		cpu, gpu   string
	}{
		"never changed":                        {generation: 1, cpu: "4", gpu: "2"},
		"changed since":                        {generation: 2, cpu: "100m", gpu: "2"},
		"of a server without generations":      {generation: 0, cpu: "100m", gpu: "2"},
		"its gate was lifted":                  {generation: 2, gates: 1, cpu: "4", gpu: "2"},
		"its gate was lifted, and changed":     {generation: 3, gates: 1, cpu: "100m", gpu: "2"},
		"being deleted":                        {generation: 2, with: deleted, cpu: "4", gpu: "2"},
		"an autoscaler sets them at admission": {generation: 0, with: annotated("vpaUpdates", "Pod resources updated by d"), cpu: "4", gpu: "2"},
		"an autoscaler resizes, and admits so": {generation: 7, with: annotated("vpaInPlaceUpdated", "true"), cpu: "4", gpu: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			template := build.Pod("ns", "").Request("cpu=100m," + gpu + "=1")
			for range tc.gates {
				template.Gate("example.com/gate")
			}
			pod := build.Pod("ns", "web-a").Request("cpu=4,"+gpu+"=2").Owner("apps/v1", "ReplicaSet", "web").Node("n0").Obj()
			pod.Generation = tc.generation
			if tc.with != nil {
				tc.with(pod)
			}
			made, err := newMaker(build.ReplicaSet("ns", "web", "", 1, template)).Replacement(pod)
			if err != nil {
				t.Fatal(err)
			}
			requests := made.Spec.Containers[0].Resources.Requests
			gpus := requests[gpu]
			if got := requests.Cpu().String(); got != tc.cpu || gpus.String() != tc.gpu {
				t.Errorf("asks for %s cpu and %s gpu, want %s and %s", got, gpus.String(), tc.cpu, tc.gpu)
			}
		})
	}
}
