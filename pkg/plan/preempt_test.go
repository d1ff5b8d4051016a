package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestPreemptionSeesWhatBudgetsHaveLeft: of a, which is less important, and b, a pod
// that is evicted preempts a as long as its budget, which allows one disruption, is not
// spent by then.
func TestPreemptionSeesWhatBudgetsHaveLeft(t *testing.T) {
	big := func(name string, value int32, edits ...func(*build.PodBuilder)) func(node string) *corev1.Pod {
		edits = append(edits, owner("ReplicaSet", name[:1]), func(b *build.PodBuilder) {
			b.Label("app", name[:1]).Priority(name[:1], value).With(func(pod *corev1.Pod) { pod.Spec.Containers[0].Resources.Requests = build.Resources("cpu=2") })
		})
		return func(node string) *corev1.Pod { return running(name, node, edits...) }
	}
	unready := with(func(pod *corev1.Pod) { pod.Status.Conditions = nil })
	never := with(func(pod *corev1.Pod) { pod.Spec.PreemptionPolicy = new(corev1.PreemptNever) })
	low, high := big("a-0", 0), big("h-0", 100, tolerating(600))
	for name, tc := range map[string]struct {
		objects []snapshot.Object
		waves   int
		want    []string
	}{
		"spent by an eviction":          {[]snapshot.Object{low("n0"), high("n0")}, 0, []string{"b-1"}},
		"not spent by a pod that stays": {[]snapshot.Object{big("a-0", 0, tolerating(-1))("n0"), high("n0")}, 0, []string{"a-1"}},
		"nor by one that is not ready":  {[]snapshot.Object{big("a-0", 0, unready)("n0"), high("n0")}, 0, []string{"a-1"}},
		"spent by a preemption":         {[]snapshot.Object{high("n0"), big("h-1", 100)("n0")}, 0, []string{"a-1", "b-1"}},
		"for the next wave, by a pod that finds no node": {
			[]snapshot.Object{low("n0"), build.Node("n1").Capacity("cpu=2").Obj(), high("n1")}, 2, []string{"b-1"},
		},
		"not for the next wave, by one that finds one": {
			[]snapshot.Object{low("n0"), build.Node("n1").Capacity("cpu=2").Obj(), high("n1"), build.Node("spare").Capacity("cpu=2").Obj()}, 2, []string{"a-0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			budget := build.PDB("ns", "a", "1", "app=a", 1)
			budget.Status = policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 1, CurrentHealthy: 2, ExpectedPods: 2, DisruptionsAllowed: 1}
			objects := append(tc.objects, budget, build.Node("n0").Capacity("cpu=4").Obj(),
				build.Node("na").Capacity("cpu=2").Obj(), big("a-1", 0)("na"), build.Node("nb").Capacity("cpu=2").Obj(), big("b-1", 1, never)("nb"))
			for _, set := range []string{"a", "b", "h"} {
				objects = append(objects, build.ReplicaSet("ns", set, "", 2, build.Pod("ns", "").Request("cpu=2").Label("app", set)))
			}
			changed := "n0"
			if tc.waves > 0 {
				changed = "n0 n1"
			}
			var got []string
			for _, p := range planned(t, plan.Options{Waves: tc.waves}, changed, "k=v:NoExecute k=v:NoSchedule", objects...).Preempted {
				got = append(got, p.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("preempted (-want +got):\n%s", diff)
			}
		})
	}
}
