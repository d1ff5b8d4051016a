package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func TestFate(t *testing.T) {
	made := build.Pod("ns", "made").Obj()
	for name, test := range map[string]struct {
		replacement *corev1.Pod
		node        string
		marks       []report.Mark
		want        report.Fate
	}{
		"has a node":                {made, "n1", nil, report.FateRePlaced},
		"has a node for a time":     {made, "n1", []report.Mark{report.MarkReturns}, report.FateReturns},
		"has none":                  {made, "", nil, report.FatePending},
		"is not made yet":           {nil, "", []report.Mark{report.MarkStatefulSet, report.MarkWaits}, report.FatePending},
		"another scheduler decides": {made, "", []report.Mark{report.MarkUnknownScheduler}, report.FateOtherScheduler},
		"another scheduler, and it is not made yet":  {made, "", []report.Mark{report.MarkWaits, report.MarkUnknownScheduler}, report.FateOtherScheduler},
		"has no controller":                          {nil, "", []report.Mark{report.MarkBare}, report.FateLost},
		"its Job fails":                              {nil, "", []report.Mark{report.MarkJobFails}, report.FateLost},
		"has no controller, and has run to its end":  {nil, "", []report.Mark{report.MarkFinished, report.MarkBare}, report.FateNotReplaced},
		"its controller wants no more":               {nil, "", []report.Mark{report.MarkSurplus}, report.FateNotReplaced},
		"its node evicts it, and is its DaemonSet's": {nil, "", []report.Mark{report.MarkDaemonSet}, report.FateNotReplaced},
		"is static": {nil, "", []report.Mark{report.MarkMirror}, report.FateNotReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			m := &move{replacement: test.replacement, node: test.node, marks: test.marks}
			if got := m.fate(); got != test.want {
				t.Errorf("fate %q, want %q", got, test.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	p := &report.TaintPlan{
		Waves: [][]string{{"a"}, {"b"}, {"c"}}, Freed: make([]report.FreedPod, 2), Stranded: make([]report.StrandedPod, 3),
		Budgets: []report.BudgetVerdict{{Violated: true}, {}},
		Evictions: []report.Eviction{
			{Wave: 1, Fate: report.FateRePlaced}, {Wave: 1, Fate: report.FateReturns}, {Wave: 1, Fate: report.FateOtherScheduler},
			{Wave: 3, Fate: report.FatePending}, {Wave: 3, Fate: report.FatePending}, {Wave: 3, Fate: report.FateNotReplaced},
		},
		Preempted: []report.PreemptedPod{{Wave: 2, Fate: report.FateLost}},
	}
	want := report.TaintSummary{
		Evicted:       report.FateCounts{Total: 6, RePlaced: 1, Returns: 1, OtherScheduler: 1, Pending: 2, NotReplaced: 1},
		Preempted:     report.FateCounts{Total: 1, Lost: 1},
		EvictedByWave: []int32{3, 0, 3}, BudgetsBroken: 1, Stranded: 3, Freed: 2,
	}
	if diff := cmp.Diff(want, summary(p)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}
