package saved

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// threeNodes taints n1 and n2, then n3.
func threeNodes() *report.TaintPlan {
	p := &report.TaintPlan{Waves: [][]string{{"n1", "n2"}, {"n3"}}}
	for i, name := range []string{"n1", "n2", "n3"} {
		p.Nodes = append(p.Nodes, report.TaintedNode{
			Name: name, UID: build.Node(name).Obj().UID, Wave: int32(i/2) + 1,
			After: []corev1.Taint{build.Taint("a=1:NoExecute")},
		})
	}
	return p
}

func TestWhatIsLeft(t *testing.T) {
	tainted := func(name string) *build.NodeBuilder { return build.Node(name).Taint("a=1:NoExecute") }
	another := build.Node("n2").Obj()
	another.UID = "other"
	for name, test := range map[string]struct {
		nodes   []*corev1.Node
		waves   [][]string
		numbers []int32
		drift   []report.Drift
	}{
		"all": {
			nodes: []*corev1.Node{build.Node("n1").Obj(), build.Node("n2").Obj(), build.Node("n3").Obj()},
			waves: [][]string{{"n1", "n2"}, {"n3"}}, numbers: []int32{1, 2},
		},
		"half a wave": {
			nodes: []*corev1.Node{build.Node("n1").Obj(), tainted("n2").Obj(), build.Node("n3").Obj()},
			waves: [][]string{{"n1"}, {"n3"}}, numbers: []int32{1, 2},
		},
		"the second wave; a node of the first has another taint by now": {
			nodes: []*corev1.Node{tainted("n1").Taint("x:NoSchedule").Obj(), tainted("n2").Obj(), build.Node("n3").Obj()},
			waves: [][]string{{"n3"}}, numbers: []int32{2},
		},
		"nothing":        {nodes: []*corev1.Node{tainted("n1").Obj(), tainted("n2").Obj(), tainted("n3").Obj()}},
		"a node is gone": {nodes: []*corev1.Node{tainted("n2").Obj(), build.Node("n3").Obj()}, waves: [][]string{{"n3"}}, numbers: []int32{2}},
		"one is gone, one is another, one has other taints": {
			nodes: []*corev1.Node{another, build.Node("n3").Taint("x:NoSchedule").Taint("a=2:NoExecute").Obj()},
			waves: [][]string{{"n2"}, {"n3"}}, numbers: []int32{1, 2},
			drift: []report.Drift{
				{Object: "node/n2", Planned: "no taints", Found: "another node of this name, made at 2026-01-01T00:00:00Z"},
				{Object: "node/n3", Planned: "no taints", Found: "a=2:NoExecute, x:NoSchedule"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var objects []snapshot.Object
			for _, node := range test.nodes {
				objects = append(objects, node)
			}
			rest, drift := whatIsLeft(threeNodes(), build.Snapshot(objects...))
			if diff := cmp.Diff(test.waves, rest.waves); diff != "" {
				t.Errorf("waves (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.numbers, rest.numbers); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.drift, drift); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnseen(t *testing.T) {
	snap := build.Snapshot()
	snap.Missing = []snapshot.Missing{
		{Resource: "poddisruptionbudgets.policy", Reason: "forbidden"},
		{Resource: "persistentvolumes", Reason: "forbidden"},
		{Resource: "deviceclasses.resource.k8s.io", Reason: "not served"},
	}
	p := &report.TaintPlan{Unknown: []report.Unknown{{Resource: "persistentvolumes"}}}
	want := []report.Drift{{Object: "poddisruptionbudgets.policy", Planned: "listed", Found: "forbidden"}}
	if diff := cmp.Diff(want, unseen(p, snap)); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
}

// web is the eviction of a pod of Deployment web.
func web(name, node string, edits ...func(*report.Eviction)) report.Eviction {
	e := report.Eviction{Namespace: "nlp", Name: name, Node: node, Wave: 1, Workload: "Deployment/web", NewNode: "n9", Fate: report.FateRePlaced}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

func after(seconds int64) func(*report.Eviction) {
	return func(e *report.Eviction) { e.AfterSeconds = seconds }
}

func landsOn(node string) func(*report.Eviction) {
	return func(e *report.Eviction) { e.NewNode = node }
}

func pending(reason string) func(*report.Eviction) {
	return func(e *report.Eviction) {
		e.NewNode, e.PendingReason, e.Fate = "", reason, report.FatePending
	}
}

func of(workload string, marks ...report.Mark) func(*report.Eviction) {
	return func(e *report.Eviction) { e.Workload, e.Marks = workload, marks }
}

func returns(e *report.Eviction) { e.Fate = report.FateReturns }

// preempts is a plan in which a pod makes room for nlp/high.
func preempts(name, workload string, edits ...func(*report.PreemptedPod)) *report.TaintPlan {
	v := report.PreemptedPod{Namespace: "nlp", Name: name, Workload: workload, By: "nlp/high", NewNode: "n9", Fate: report.FateRePlaced}
	for _, edit := range edits {
		edit(&v)
	}
	return &report.TaintPlan{Preempted: []report.PreemptedPod{v}}
}

func marked(mark report.Mark) func(*report.PreemptedPod) {
	return func(v *report.PreemptedPod) {
		v.NewNode, v.Marks, v.Fate = "", []report.Mark{mark}, report.FateLost
	}
}

func evictions(list ...report.Eviction) *report.TaintPlan { return &report.TaintPlan{Evictions: list} }

func TestCompare(t *testing.T) {
	broken := func(violated bool) *report.TaintPlan {
		return &report.TaintPlan{Budgets: []report.BudgetVerdict{{Namespace: "nlp", Name: "web", Desired: 2, Lowest: 1, Violated: violated}}}
	}
	short := func(wave int32) *report.TaintPlan {
		return &report.TaintPlan{Short: []report.WaveShortage{{Wave: wave, Reason: "no room for nlp/web-a"}}}
	}
	none := &report.TaintPlan{}
	for name, test := range map[string]struct {
		planned, now *report.TaintPlan
		rest         left
		want         []report.Drift
	}{
		"the same":                       {planned: evictions(web("a", "n1")), now: evictions(web("a", "n1"))},
		"it lands on another node":       {planned: evictions(web("a", "n1")), now: evictions(web("a", "n1", landsOn("n8")))},
		"replaced by another of its own": {planned: evictions(web("a", "n1"), web("b", "n1")), now: evictions(web("b", "n1"), web("c", "n1"))},
		"a pod has gone": {
			planned: evictions(web("a", "n1"), web("b", "n1")), now: evictions(web("b", "n1")),
			want: []report.Drift{{Object: "pod/nlp/a", Planned: "evicted from node n1 after 0s", Found: "not evicted"}},
		},
		"a pod has come": {
			planned: evictions(web("a", "n1")), now: evictions(web("a", "n1"), web("c", "n2", after(30))),
			want: []report.Drift{{Object: "pod/nlp/c", Planned: "not evicted", Found: "evicted from node n2 after 30s"}},
		},
		"it tolerates for longer": {
			planned: evictions(web("a", "n1")), now: evictions(web("a", "n1", after(300))),
			want: []report.Drift{{Object: "pod/nlp/a", Planned: "evicted from node n1 after 0s", Found: "evicted from node n1 after 300s"}},
		},
		"a bare pod has another name": {
			planned: evictions(web("a", "n1", of("", report.MarkBare))), now: evictions(web("b", "n1", of("", report.MarkBare))),
			want: []report.Drift{
				{Object: "pod/nlp/a", Planned: "evicted from node n1 after 0s", Found: "not evicted"},
				{Object: "pod/nlp/b", Planned: "not evicted", Found: "evicted from node n1 after 0s"},
			},
		},
		"what counts down has less": {
			planned: evictions(web("a", "n1", after(90), of("Deployment/web", report.MarkCounting))),
			now:     evictions(web("a", "n1", after(20), of("Deployment/web", report.MarkCounting))),
		},
		"a node is done: its evictions have been": {
			planned: evictions(web("a", "n1"), web("b", "n2")), now: evictions(web("b", "n2")), rest: left{done: map[string]bool{"n1": true, "n2": false}},
		},
		"a node is done: one of its pods went to the next": {
			planned: evictions(web("a", "n1"), web("b", "n2"), web("a", "n2", of("Deployment/web", report.MarkAgain))),
			now:     evictions(web("b", "n2"), web("c", "n2")), rest: left{done: map[string]bool{"n1": true, "n2": false}},
		},
		"a node is done: a pod of a workload that had none there has come": {
			planned: evictions(web("a", "n1"), web("b", "n2")),
			now:     evictions(web("b", "n2"), web("x", "n2", of("Deployment/other"))), rest: left{done: map[string]bool{"n1": true, "n2": false}},
			want: []report.Drift{{Object: "pod/nlp/x", Planned: "not evicted", Found: "evicted from node n2 after 0s"}},
		},
		"there is no room any more": {
			planned: evictions(web("a", "n1"), web("b", "n1")), now: evictions(web("a", "n1"), web("b", "n1", pending("Insufficient cpu"))),
			want: []report.Drift{{Object: "deployment/nlp/web", Planned: "0 displaced pods without a home", Found: "1 displaced pods without a home: Insufficient cpu"}},
		},
		"it comes back to be evicted again": {
			planned: evictions(web("a", "n1")), now: evictions(web("a", "n1", returns)),
			want: []report.Drift{{
				Object: "deployment/nlp/web", Planned: "0 displaced pods without a home",
				Found: "1 displaced pods without a home: may come back to a node that evicts it again",
			}},
		},
		"it was to come back, and does not": {
			planned: evictions(web("a", "n1", returns)), now: evictions(web("a", "n1")),
		},
		"there is room now": {planned: evictions(web("a", "n1", pending("Insufficient cpu"))), now: evictions(web("a", "n1"))},
		"what is preempted finds no room": {
			planned: preempts("a", "Job/low"),
			now:     preempts("a", "Job/low", func(v *report.PreemptedPod) { v.PendingReason, v.Fate = "Insufficient cpu", report.FatePending }),
			want:    []report.Drift{{Object: "job/nlp/low", Planned: "0 displaced pods without a home", Found: "1 displaced pods without a home: Insufficient cpu"}},
		},
		"more are preempted": {
			planned: none, now: preempts("a", "Deployment/low"),
			want: []report.Drift{{Object: "deployment/nlp/low", Planned: "0 pods preempted", Found: "1 pods preempted, by nlp/high"}},
		},
		"as many are preempted": {planned: preempts("a", "Deployment/low"), now: preempts("b", "Deployment/low")},
		"fewer are preempted":   {planned: preempts("a", "Deployment/low"), now: none},
		"a bare one was to be":  {planned: preempts("a", "", marked(report.MarkBare)), now: preempts("a", "", marked(report.MarkBare))},
		"a bare one is preempted": {
			planned: none, now: preempts("a", "", marked(report.MarkBare)),
			want: []report.Drift{
				{Object: "pod/nlp/a", Planned: "0 displaced pods without a home", Found: "1 displaced pods without a home: preempted, and nothing replaces what has no controller"},
				{Object: "pod/nlp/a", Planned: "0 pods preempted", Found: "1 pods preempted, by nlp/high"},
			},
		},
		"preemption fails a job": {
			planned: preempts("a", "Job/train"), now: preempts("a", "Job/train", marked(report.MarkJobFails)),
			want: []report.Drift{{Object: "job/nlp/train", Planned: "bears the evictions", Found: "fails: one eviction more than its backoffLimit bears"}},
		},
		"a job has failed once more": {
			planned: evictions(web("a", "n1", of("Job/train"))), now: evictions(web("a", "n1", of("Job/train", report.MarkJobFails))),
			want: []report.Drift{{Object: "job/nlp/train", Planned: "bears the evictions", Found: "fails: one eviction more than its backoffLimit bears"}},
		},
		"a budget breaks": {
			planned: broken(false), now: broken(true),
			want: []report.Drift{{Object: "poddisruptionbudget/nlp/web", Planned: "kept", Found: "broken: 1 healthy pods at worst, 2 desired"}},
		},
		"a new budget breaks": {
			planned: none, now: broken(true),
			want: []report.Drift{{Object: "poddisruptionbudget/nlp/web", Planned: "kept", Found: "broken: 1 healthy pods at worst, 2 desired"}},
		},
		"a budget was to break":  {planned: broken(true), now: broken(true)},
		"a budget is kept now":   {planned: broken(true), now: broken(false)},
		"a wave was not safe":    {planned: short(2), now: short(1), rest: left{numbers: []int32{2, 3}}},
		"a wave is safe no more": {planned: short(2), now: short(2), rest: left{numbers: []int32{2, 3}}, want: []report.Drift{{Object: "wave/3", Planned: "safe", Found: "no room for nlp/web-a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := append([]report.Drift{}, test.want...)
			if diff := cmp.Diff(want, compare(test.planned, test.now, test.rest)); diff != "" {
				t.Errorf("drift (-want +got):\n%s", diff)
			}
		})
	}
}
