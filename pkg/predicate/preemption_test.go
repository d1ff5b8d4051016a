package predicate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestPreemptPodsThatHaveNotStarted: upstream counts a victim without a start time
// as starting now, so that nodes with such victims only are equal.
func TestPreemptPodsThatHaveNotStarted(t *testing.T) {
	unstarted := func(p *corev1.Pod) { p.Status.StartTime = nil }
	pod := build.Pod("a", "urgent").Request("cpu=4").Priority("high", 10).Unschedulable("").Obj()
	config, err := predicate.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := predicate.New(t.Context(), build.Snapshot(pod,
		build.Node("n1").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.Pod("a", "one").Request("cpu=1").Node("n1").With(unstarted).Obj(),
		build.Node("n2").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.Pod("a", "two").Request("cpu=1").Node("n2").With(unstarted).Obj(),
	), config)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	verdict, err := engine.Evaluate(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	result, err := engine.Preempt(t.Context(), verdict)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"n1", "n2"}, append([]string{result.Node}, result.Ties...)); diff != "" {
		t.Errorf("node and its equals differ (-want +got):\n%s", diff)
	}
}
