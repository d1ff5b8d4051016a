package simulate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestPreemptionByBudgets: a pod preempts guarded rather than other, which is more
// important, if the budget of guarded has one to spare.
func TestPreemptionByBudgets(t *testing.T) {
	ready := func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	}
	guarded := build.Pod("a", "guarded").Label("app", "db").Request("cpu=4").Node("m").With(ready).Obj()
	peer := build.Pod("a", "peer").Label("app", "db").Node("elsewhere").With(ready).Obj()
	lame := build.Pod("a", "lame").Label("app", "db").Node("elsewhere").Obj()
	stranger := build.Pod("b", "stranger").Label("app", "db").Node("elsewhere").With(ready).Obj()
	fresh := build.Pod("a", "fresh").Label("app", "db").Node("elsewhere").Obj()
	urgent := build.Pod("a", "urgent").Request("cpu=4").Priority("high", 10).Obj()

	status := func(allowed, healthy, desired int32) policyv1.PodDisruptionBudgetStatus {
		return policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed, CurrentHealthy: healthy, DesiredHealthy: desired}
	}
	evicted := func(pods ...*corev1.Pod) func(*testing.T, *simulate.Simulation) {
		return func(t *testing.T, s *simulate.Simulation) {
			for _, pod := range pods {
				if err := s.Evict(pod); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const spared, taken = "n < other", "m < guarded"
	for name, tc := range map[string]struct {
		status policyv1.PodDisruptionBudgetStatus
		happen func(*testing.T, *simulate.Simulation)
		want   string
	}{
		"nothing has happened":                      {status(1, 2, 1), evicted(), taken},
		"none to spare":                             {status(0, 1, 1), evicted(), spared},
		"the one to spare is evicted":               {status(1, 2, 1), evicted(peer), spared},
		"one of two is":                             {status(2, 3, 1), evicted(peer), taken},
		"one is that was not ready":                 {status(1, 2, 1), evicted(lame), taken},
		"one of another namespace":                  {status(1, 2, 1), evicted(stranger), taken},
		"and another is ready":                      {status(1, 2, 1), func(t *testing.T, s *simulate.Simulation) { evicted(peer)(t, s); s.Ready(fresh) }, taken},
		"which is evicted, too":                     {status(1, 2, 1), func(t *testing.T, s *simulate.Simulation) { s.Ready(fresh); evicted(peer, fresh)(t, s) }, spared},
		"one that counts already is ready":          {status(0, 1, 1), func(_ *testing.T, s *simulate.Simulation) { s.Ready(peer) }, spared},
		"one more is ready than it asks for":        {status(0, 1, 1), func(_ *testing.T, s *simulate.Simulation) { s.Ready(fresh) }, taken},
		"one more is ready, as many as it asks for": {status(0, 1, 2), func(_ *testing.T, s *simulate.Simulation) { s.Ready(fresh) }, spared},
	} {
		t.Run(name, func(t *testing.T) {
			budget := build.PDB("a", "db", "1", "app=db", 0)
			budget.Status = tc.status
			objects := []snapshot.Object{
				budget, node("m").Obj(), node("n").Obj(), build.Pod("a", "other").Request("cpu=4").Priority("low", 1).Node("n").Obj(),
				node("elsewhere").Taint("full:NoSchedule").Obj(), guarded, peer, lame, stranger, fresh,
			}
			s := simulate.New(engine(t, objects...))
			before := schedule(t, s, urgent)
			s.Undo()
			tc.happen(t, s)
			if diff := cmp.Diff([]string{tc.want}, schedule(t, s, urgent)); diff != "" {
				t.Errorf("placements (-want +got):\n%s", diff)
			}
			s.Undo()
			if diff := cmp.Diff(before, schedule(t, s, urgent)); diff != "" {
				t.Errorf("placements after Undo, and before (-want +got):\n%s", diff)
			}
		})
	}
}
