package plan

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// verdicts is what becomes of workloads and budgets, by namespace and name, and which
// budget a move breaks.
type verdicts struct {
	Workloads []report.WorkloadVerdict
	Budgets   []report.BudgetVerdict
	Violated  map[*move]string
}

// verdicts follows the moves and the arrivals from the snapshot on.
func (p *Planner) verdicts() verdicts {
	known, budgets := p.workloads(), newBudgets(p.snap, p.owners)
	steps := p.timeline(known)
	outcomes, violated := budgets.verdicts(p.moves, steps)
	worst := func(pod *corev1.Pod) (worst report.BudgetVerdict) {
		for _, budget := range budgets.of(pod) {
			worst = worse(worst, outcomes[budget])
		}
		return worst
	}
	return verdicts{
		Workloads: p.workloadVerdicts(known, steps, worst),
		Budgets: slices.SortedFunc(maps.Values(outcomes), func(a, b report.BudgetVerdict) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		}),
		Violated: violated,
	}
}

// worse is the budget that is too low for longer, the first of equal ones.
func worse(a, b report.BudgetVerdict) report.BudgetVerdict {
	rank := func(v report.BudgetVerdict) int64 {
		switch {
		case v.Name == "":
			return -1
		case v.BelowSeconds < 0:
			return math.MaxInt64
		default:
			return v.BelowSeconds
		}
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// toll is what moves and steps take of a workload.
type toll struct {
	curve
	evicted, pending int32
	budget           report.BudgetVerdict
}

// workloadVerdicts says what becomes of each workload that a pod is moved of; budget
// gives a pod's.
func (p *Planner) workloadVerdicts(known workloads, steps []*step, budget func(*corev1.Pod) report.BudgetVerdict) []report.WorkloadVerdict {
	tolls := map[workloadKey]*toll{}
	for _, m := range p.moves {
		key := known.key(m.pod)
		if key.workload == "" || !m.counts() {
			continue
		}
		t := tolls[key]
		if t == nil {
			t = &toll{curve: curve{before: known.get(key).ready}}
			tolls[key] = t
		}
		if m.eviction.Evicted || m.by != nil {
			t.evicted++
		}
		if m.fate() == report.FatePending {
			t.pending++
		}
		t.budget = worse(t.budget, budget(m.pod))
	}
	for _, s := range steps {
		if t := tolls[known.key(s.pod)]; t != nil {
			t.steps = append(t.steps, s)
		}
	}
	verdicts := make([]report.WorkloadVerdict, 0, len(tolls))
	for _, key := range slices.SortedFunc(maps.Keys(tolls), workloadKey.compare) {
		verdicts = append(verdicts, tolls[key].verdict(key, known.get(key).startTime()))
	}
	return verdicts
}

func (t *toll) verdict(key workloadKey, start time.Duration) report.WorkloadVerdict {
	lowest, first := t.lowest()
	v := report.WorkloadVerdict{
		Namespace: key.namespace, Workload: key.workload, Evicted: t.evicted, Pending: t.pending,
		ReadyBefore: t.before, ReadyAfter: t.after(), Lowest: lowest, StartSeconds: seconds(start),
		Budget: t.budget.Name, BelowSeconds: t.budget.BelowSeconds,
	}
	if first != nil {
		v.LowestWave, v.LowestAtSeconds = int32(first.wave), seconds(first.at)
	}
	return v
}
