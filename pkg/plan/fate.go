package plan

import (
	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// fate is what becomes of a pod that has left its node, as far as it has happened.
func (m *move) fate() report.Fate {
	switch {
	case m.node != "" && m.marked(report.MarkReturns):
		return report.FateReturns
	case m.node != "":
		return report.FateRePlaced
	case m.marked(report.MarkUnknownScheduler):
		return report.FateOtherScheduler
	case m.replacement != nil, m.marked(report.MarkWaits):
		return report.FatePending
	case m.marked(report.MarkJobFails), m.marked(report.MarkBare) && !m.marked(report.MarkFinished):
		return report.FateLost
	}
	return report.FateNotReplaced
}

// summary counts what comes of a plan.
func summary(p *report.TaintPlan) report.TaintSummary {
	s := report.TaintSummary{EvictedByWave: make([]int32, len(p.Waves)), Stranded: int32(len(p.Stranded)), Freed: int32(len(p.Freed))}
	for _, e := range p.Evictions {
		add(&s.Evicted, e.Fate)
		s.EvictedByWave[e.Wave-1]++
	}
	for _, v := range p.Preempted {
		add(&s.Preempted, v.Fate)
	}
	for _, b := range p.Budgets {
		if b.Violated {
			s.BudgetsBroken++
		}
	}
	return s
}

// add counts a pod.
func add(counts *report.FateCounts, fate report.Fate) {
	counts.Total++
	switch fate {
	case report.FateRePlaced:
		counts.RePlaced++
	case report.FateReturns:
		counts.Returns++
	case report.FateOtherScheduler:
		counts.OtherScheduler++
	case report.FatePending:
		counts.Pending++
	case report.FateLost:
		counts.Lost++
	case report.FateNotReplaced:
		counts.NotReplaced++
	}
}
