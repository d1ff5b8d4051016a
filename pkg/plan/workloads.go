package plan

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// workloadKey names a workload, as Kind/name.
type workloadKey struct{ namespace, workload string }

func (k workloadKey) compare(other workloadKey) int {
	return cmp.Or(cmp.Compare(k.namespace, other.namespace), cmp.Compare(k.workload, other.workload))
}

// standing is how a workload stands before the change.
type standing struct {
	ready int32
	// starts are how long its ready pods needed to become so, in order; assumed is what
	// a pod is taken to need where none of them says.
	starts  []time.Duration
	assumed time.Duration
}

// startTime is the median of what the pods needed; of an even number of them the
// longer of the two in the middle.
func (s *standing) startTime() time.Duration {
	if len(s.starts) == 0 {
		return s.assumed
	}
	return s.starts[len(s.starts)/2]
}

// workloads are those with pods in a snapshot.
type workloads struct {
	planner *Planner
	all     map[workloadKey]*standing
}

func (p *Planner) workloads() workloads {
	w := workloads{planner: p, all: map[workloadKey]*standing{}}
	for _, pod := range p.snap.Pods {
		if !ready(pod) {
			continue
		}
		s := w.of(pod)
		s.ready++
		if start, known := startTime(pod); known {
			s.starts = append(s.starts, start)
		}
	}
	for _, s := range w.all {
		slices.Sort(s.starts)
	}
	return w
}

func (w workloads) key(pod *corev1.Pod) workloadKey {
	return workloadKey{pod.Namespace, w.planner.workload(pod)}
}

// of is the standing of a pod's workload.
func (w workloads) of(pod *corev1.Pod) *standing { return w.get(w.key(pod)) }

func (w workloads) get(key workloadKey) *standing {
	if w.all[key] == nil {
		w.all[key] = &standing{assumed: w.planner.opts.StartTime}
	}
	return w.all[key]
}

// startTime is how long a pod needed from getting its node to being ready.
func startTime(pod *corev1.Pod) (start time.Duration, known bool) {
	bound, known := snapshot.BoundAt(pod)
	for _, c := range pod.Status.Conditions {
		if ready := c.LastTransitionTime; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && !ready.IsZero() {
			return ready.Sub(bound), known && !ready.Time.Before(bound)
		}
	}
	return 0, false
}

// verdicts is what becomes of workloads and budgets, by namespace and name, and which
// budget a move breaks.
type verdicts struct {
	Workloads []report.WorkloadVerdict
	Budgets   []report.BudgetVerdict
	Violated  map[*move]string
}

// verdicts follows the moves and the arrivals from the snapshot on.
func (p *Planner) verdicts() verdicts {
	known, budgets := p.workloads(), newBudgets(p.snap)
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

// tally is what moves and steps make of a workload.
type tally struct {
	curve
	evicted, pending int32
	budget           report.BudgetVerdict
}

// workloadVerdicts says what becomes of each workload that a pod is moved of; budget
// gives a pod's.
func (p *Planner) workloadVerdicts(known workloads, steps []*step, budget func(*corev1.Pod) report.BudgetVerdict) []report.WorkloadVerdict {
	tallies := map[workloadKey]*tally{}
	for _, m := range p.moves {
		key := known.key(m.pod)
		if key.workload == "" || !m.counts() {
			continue
		}
		t := tallies[key]
		if t == nil {
			t = &tally{curve: curve{before: known.get(key).ready}}
			tallies[key] = t
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
		if t := tallies[known.key(s.pod)]; t != nil {
			t.steps = append(t.steps, s)
		}
	}
	verdicts := make([]report.WorkloadVerdict, 0, len(tallies))
	for _, key := range slices.SortedFunc(maps.Keys(tallies), workloadKey.compare) {
		verdicts = append(verdicts, tallies[key].verdict(key, known.get(key).startTime()))
	}
	return verdicts
}

// counts says whether a move is one of the change's, and takes something away: not what
// happens before, nor the going of a static pod's image.
func (m *move) counts() bool { return m.wave > 0 && !snapshot.Mirror(m.pod) }

func (t *tally) verdict(key workloadKey, start time.Duration) report.WorkloadVerdict {
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
