package saved_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// webState is a cluster of the nodes n1 to n4. Deployment web wants eight pods, and its
// budget six.
type webState struct {
	tainted, gone string // names of nodes
	// ready and starting are how many pods of web each node has.
	ready, starting [4]int
	// room is the cpu of n3 and n4: each pod asks for one.
	room string
	more []snapshot.Object
}

func (f webState) snapshot() *snapshot.Snapshot {
	template := build.Pod("nlp", "web").Label("app", "web").Request("cpu=1")
	objects := append([]snapshot.Object{
		build.Deployment("nlp", "web", 8, template), build.ReplicaSet("nlp", "web-1", "web", 8, template),
		build.PDB("nlp", "web", "6", "app=web", 2),
	}, f.more...)
	for i := range f.ready {
		name := fmt.Sprint("n", i+1)
		cpu := "4"
		if i > 1 {
			cpu = f.room
		}
		node := build.Node(name).Capacity("cpu=" + cpu + ",memory=8Gi,pods=20")
		if strings.Contains(f.tainted, name) {
			node.Taint("m:NoExecute")
		}
		if !strings.Contains(f.gone, name) {
			objects = append(objects, node.Obj())
		}
		for k := range f.ready[i] + f.starting[i] {
			status := corev1.ConditionTrue
			if k >= f.ready[i] {
				status = corev1.ConditionFalse
			}
			objects = append(objects, build.Pod("nlp", fmt.Sprintf("web-%s-%d", name, k)).Node(name).Label("app", "web").
				Request("cpu=1").Owner("apps/v1", "ReplicaSet", "web-1").With(readyIs(status)).Obj())
		}
	}
	return build.Snapshot(objects...)
}

// tainting plans m:NoExecute for some nodes.
func tainting(t *testing.T, snap *snapshot.Snapshot, waves int, nodes ...string) *report.TaintPlan {
	t.Helper()
	change, err := taint.Parse([]string{"m:NoExecute"})
	if err != nil {
		t.Fatal(err)
	}
	planner, err := plan.New(t.Context(), snap, plan.Options{Waves: waves})
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	p, err := planner.Plan(t.Context(), nodes, change)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drifted are the objects that have drifted from a plan.
func drifted(t *testing.T, p *report.TaintPlan, snap *snapshot.Snapshot) (objects []string) {
	t.Helper()
	drift, err := saved.Drift(t.Context(), p, snap, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drift {
		objects = append(objects, d.Object)
	}
	return objects
}

// TestDriftInMidFlight compares plans with what their cluster becomes while they are
// applied.
func TestDriftInMidFlight(t *testing.T) {
	bare := build.Pod("nlp", "bare").Node("n2").Obj()
	before := webState{ready: [4]int{2, 2, 2, 2}, room: "8"}
	for name, test := range map[string]struct {
		waves int
		now   webState
		want  []string
	}{
		"nothing is done": {waves: 2, now: before},
		"two pods of the first wave start, and the budget has no more to give": {
			waves: 2, now: webState{tainted: "n1", ready: [4]int{0, 2, 2, 2}, starting: [4]int{0, 0, 1, 1}, room: "8"},
		},
		"they are not made yet":        {waves: 2, now: webState{tainted: "n1", ready: [4]int{0, 2, 2, 2}, room: "8"}},
		"the first wave has settled":   {waves: 2, now: webState{tainted: "n1", ready: [4]int{0, 2, 3, 3}, room: "8"}},
		"half of the wave has settled": {waves: 1, now: webState{tainted: "n1", ready: [4]int{0, 2, 3, 3}, room: "8"}},
		"half of the wave has settled, and a bare pod has come to the rest": {
			waves: 1, now: webState{tainted: "n1", ready: [4]int{0, 2, 3, 3}, room: "8", more: []snapshot.Object{bare}}, want: []string{"pod/nlp/bare"},
		},
		"nothing is done, and a bare pod has come": {
			waves: 1, now: webState{ready: [4]int{2, 2, 2, 2}, room: "8", more: []snapshot.Object{bare}}, want: []string{"pod/nlp/bare"},
		},
		"the node of the first wave is gone since": {waves: 2, now: webState{gone: "n1", ready: [4]int{0, 2, 3, 3}, room: "8"}},
		"it is gone, and there is less room": {
			waves: 2, now: webState{gone: "n1", ready: [4]int{0, 2, 3, 3}, room: "3"}, want: []string{"deployment/nlp/web", "wave/2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := tainting(t, before.snapshot(), test.waves, "n1", "n2")
			if diff := cmp.Diff(test.want, drifted(t, p, test.now.snapshot())); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAppliedWithLosses: where the last wave leaves pods without a node, the wave before
// it cannot settle any more, and the last has.
func TestAppliedWithLosses(t *testing.T) {
	p := tainting(t, webState{ready: [4]int{2, 2, 2, 2}, room: "3"}.snapshot(), 2, "n1", "n2")
	now := webState{tainted: "n1 n2", ready: [4]int{0, 0, 3, 3}, room: "3"}.snapshot()
	begun, half := saved.Begun(p, now)
	if begun != 2 || half {
		t.Errorf("begun %d, half %t; want 2, false", begun, half)
	}
	if got := saved.Unsettled(p, begun, now); len(got) > 0 {
		t.Errorf("unsettled: %v", got)
	}
	fewer := webState{tainted: "n1 n2", ready: [4]int{0, 0, 3, 2}, room: "3"}.snapshot()
	if got := saved.Unsettled(p, begun, fewer); len(got) == 0 {
		t.Error("with one pod fewer than planned it is settled")
	}
}

// TestDriftOfPreemptionAndReturns: the same pods are evicted, but where they go is
// cordoned since.
func TestDriftOfPreemptionAndReturns(t *testing.T) {
	high := func(edits ...func(*corev1.Pod)) *corev1.Pod {
		pod := build.Pod("nlp", "high-0").Node("n1").Label("app", "high").Request("cpu=4").Priority("high", 100).
			Owner("apps/v1", "ReplicaSet", "high").With(readyIs(corev1.ConditionTrue)).Obj()
		for _, edit := range edits {
			edit(pod)
		}
		return pod
	}
	stays := func(pod *corev1.Pod) {
		pod.Spec.Tolerations = []corev1.Toleration{{Key: "m", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(60))}}
	}
	replicas := build.ReplicaSet("nlp", "high", "", 1, build.Pod("nlp", "high").Label("app", "high").Request("cpu=4"))
	bare := build.Pod("nlp", "bare").Node("n2").Request("cpu=1").Priority("low", 0).With(readyIs(corev1.ConditionTrue)).Obj()
	wide := func() *build.NodeBuilder { return build.Node("n3").Capacity("cpu=40,memory=8Gi,pods=20") }
	node := func(name string) *build.NodeBuilder { return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=20") }
	for name, test := range map[string]struct {
		objects []snapshot.Object
		want    []string
	}{
		"a bare pod is preempted": {[]snapshot.Object{replicas, high(), node("n1").Obj(), node("n2").Obj(), bare}, []string{"pod/nlp/bare", "pod/nlp/bare"}},
		"it comes back":           {[]snapshot.Object{replicas, high(stays), node("n1").Obj()}, []string{"replicaset/nlp/high"}},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(n3 *build.NodeBuilder) *snapshot.Snapshot {
				return build.Snapshot(append([]snapshot.Object{n3.Obj()}, test.objects...)...)
			}
			p := tainting(t, with(wide()), 0, "n1")
			if got := drifted(t, p, with(wide())); len(got) > 0 {
				t.Errorf("drift of the same cluster: %v", got)
			}
			if diff := cmp.Diff(test.want, drifted(t, p, with(wide().Cordon()))); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}
