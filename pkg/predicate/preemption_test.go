package predicate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestPreemptPodsThatHaveNotStarted: upstream counts a victim without a start time
// as starting now, so that nodes with such victims only are equal.
func TestPreemptPodsThatHaveNotStarted(t *testing.T) {
	unstarted := func(p *corev1.Pod) { p.Status.StartTime = nil }
	pod := build.Pod("a", "urgent").Request("cpu=4").Priority("high", 10).Unschedulable("").Obj()
	config, err := predicate.ParseConfig(nil, predicate.Options{})
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

// TestPreemptSampled: of 300 nodes, on each of which there is one pod to preempt, it
// looks at the hundred from the start on, and further until no budget is violated.
func TestPreemptSampled(t *testing.T) {
	for name, tc := range map[string]struct {
		start   int
		guarded string // the label of the pods that a budget protects
		want    string
	}{
		"from the first":                {0, "none", "n000"},
		"from another":                  {150, "none", "n150"},
		"around the end":                {280, "none", "n000"},
		"until a budget is honoured":    {0, "all but n200", "n200"},
		"all when none can be":          {50, "all", "n000"},
		"in the first window, if it is": {150, "all but n200", "n200"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := []snapshot.Object{build.PDB("a", "guard", "1", "guarded=true", 0)}
			for i := range 300 {
				node := fmt.Sprintf("n%03d", i)
				pod := build.Pod("a", "on-"+node).Request("cpu=4").Node(node)
				if tc.guarded == "all" || tc.guarded == "all but n200" && i != 200 {
					pod.Label("guarded", "true")
				}
				objects = append(objects, build.Node(node).Capacity("cpu=4,memory=8Gi,pods=10").Obj(), pod.Obj())
			}
			e := engine(t, build.Snapshot(objects...))
			verdict, err := e.Evaluate(t.Context(), build.Pod("a", "p").Request("cpu=1").Priority("high", 10).Obj())
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.PreemptSampled(t.Context(), verdict, tc.start)
			if err != nil || got == nil {
				t.Fatal(got, err)
			}
			if got.Node != tc.want {
				t.Errorf("preempts on %q (%s), want %s", got.Node, got.Message, tc.want)
			}
		})
	}
}

// TestForkKeepsWhatBudgetsHaveLost: a fork preempts as the engine would, whose budget is
// spent by an eviction, and as it would before once that is undone.
func TestForkKeepsWhatBudgetsHaveLost(t *testing.T) {
	ready := func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	}
	peer := build.Pod("a", "peer").Label("app", "db").Node("away").With(ready).Obj()
	e := engine(t, build.Snapshot(
		build.PDB("a", "db", "1", "app=db", 1), build.Node("away").Capacity("cpu=1,memory=8Gi,pods=10").Obj(), peer,
		build.Node("m").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.Pod("a", "guarded").Label("app", "db").Request("cpu=4").Node("m").With(ready).Obj(),
		build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.Pod("a", "other").Request("cpu=4").Priority("low", 1).Node("n").Obj(),
	))
	undo, err := e.Evict(peer)
	if err != nil {
		t.Fatal(err)
	}
	fork, err := e.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer fork.Close()
	undo()
	for want, engine := range map[string]*predicate.Engine{"m": e, "n": fork} {
		verdict, err := engine.Evaluate(t.Context(), build.Pod("a", "p").Request("cpu=4").Priority("high", 10).Obj())
		if err != nil {
			t.Fatal(err)
		}
		got, err := engine.Preempt(t.Context(), verdict)
		if err != nil || got == nil {
			t.Fatal(got, err)
		}
		if got.Node != want {
			t.Errorf("preempts on %q (%s), want %s", got.Node, got.Message, want)
		}
	}
}
