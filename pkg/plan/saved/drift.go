package saved

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// Drift is what has changed, of what matters, since a plan was made; where nothing
// has, what is left of the plan may be applied. For the nodes that have not had their
// change the plan is made anew, in the same waves, and compared. While pods are on the
// move, as [Unsettled] has it, that would say nothing: then only the nodes are compared,
// and who applies asks again when all has settled. Of opts the waves do not count.
func Drift(ctx context.Context, planned *report.TaintPlan, snap *snapshot.Snapshot, opts plan.Options) ([]report.Drift, error) {
	rest, drift := whatIsLeft(planned, snap)
	drift = append(drift, unseen(planned, snap)...)
	begun, _ := Begun(planned, snap)
	underWay := begun > 0 && len(Unsettled(planned, begun, snap)) > 0
	if len(drift) > 0 || len(rest.waves) == 0 || underWay {
		return sorted(drift), nil
	}
	opts.Waves, opts.AutoWaves, opts.Split = 0, false, nil
	if len(planned.Waves) > 1 {
		opts.Split = rest.waves
	}
	planner, err := plan.New(ctx, snap, opts)
	if err != nil {
		return nil, err
	}
	defer planner.Close()
	now, err := planner.Plan(ctx, slices.Concat(rest.waves...), planned.Change)
	if err != nil {
		return nil, err
	}
	return compare(planned, now, rest), nil
}

// left is the part of a plan that is still to be applied.
type left struct {
	// waves are those with nodes to change, and only these; numbers are the plan's.
	waves   [][]string
	numbers []int32
	// done are the nodes that have had their change, or are gone.
	done map[string]bool
}

// whatIsLeft parts the nodes that have had their change from those that have not. One
// that is gone needs none: what the others bear without it, planning anew says. One that
// is neither as it was nor as it is to be has drifted.
func whatIsLeft(planned *report.TaintPlan, snap *snapshot.Snapshot) (left, []report.Drift) {
	live := make(map[string]*corev1.Node, len(snap.Nodes))
	for _, node := range snap.Nodes {
		live[node.Name] = node
	}
	rest := left{done: map[string]bool{}}
	var drift []report.Drift
	for _, node := range planned.Nodes {
		found, ok := live[node.Name]
		if !ok {
			rest.done[node.Name] = true
			continue
		}
		if text := nodeDrift(node, found); text != "" {
			drift = append(drift, report.Drift{Object: "node/" + node.Name, Planned: Taints(node.Before), Found: text})
			continue
		}
		rest.done[node.Name] = Done(node, found.Spec.Taints)
	}
	for i, wave := range planned.Waves {
		wave = slices.DeleteFunc(slices.Clone(wave), func(name string) bool { return rest.done[name] })
		if len(wave) > 0 {
			rest.waves, rest.numbers = append(rest.waves, wave), append(rest.numbers, int32(i)+1)
		}
	}
	return rest, drift
}

// nodeDrift says what a node is that is not the one of the plan; empty if it is.
func nodeDrift(planned report.TaintedNode, found *corev1.Node) string {
	switch {
	case planned.UID != "" && found.UID != planned.UID:
		return "another node of this name, made at " + found.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")
	case !Done(planned, found.Spec.Taints) && !taint.Same(planned.Before, found.Spec.Taints):
		return Taints(found.Spec.Taints)
	}
	return ""
}

// unseen are the kinds that can be listed no more: what they would say is not known.
func unseen(planned *report.TaintPlan, snap *snapshot.Snapshot) []report.Drift {
	var drift []report.Drift
	for _, missing := range snap.Missing {
		known := func(u report.Unknown) bool { return u.Resource == missing.Resource }
		if missing.Reason == snapshot.Forbidden && !slices.ContainsFunc(planned.Unknown, known) {
			drift = append(drift, report.Drift{Object: missing.Resource, Planned: "listed", Found: missing.Why()})
		}
	}
	return drift
}

// compare says how what is left of a plan differs from the same, planned now: who is
// evicted, whatever the difference; what becomes of the evicted and of the budgets,
// where it is worse.
func compare(planned, now *report.TaintPlan, rest left) []report.Drift {
	drift := evictionDrift(planned, now, rest.done)
	drift = append(drift, homeDrift(planned, now)...)
	drift = append(drift, preemptionDrift(planned, now)...)
	drift = append(drift, jobDrift(planned, now)...)
	drift = append(drift, budgetDrift(planned, now)...)
	return sorted(append(drift, waveDrift(planned, now, rest.numbers)...))
}

// evictionKey is what makes evictions alike: that a pod has been replaced by another
// of its workload on the same node is no drift.
type evictionKey struct {
	namespace, owner, node string
	after                  int64
}

func keyOf(e report.Eviction) evictionKey {
	key := evictionKey{e.Namespace, whose(e.Namespace, e.Workload, e.Name), e.Node, e.AfterSeconds}
	if slices.Contains(e.Marks, report.MarkCounting) {
		key.after = -1 // becomes less as time goes by
	}
	return key
}

// evictionDrift compares who is evicted from the nodes that have not had their change.
// Where a pod goes that another wave evicted is not settled by the plan: pods of
// workloads that have been on the move may be anywhere.
func evictionDrift(planned, now *report.TaintPlan, done map[string]bool) []report.Drift {
	then := groupEvictions(planned.Evictions, func(e report.Eviction) bool { return !done[e.Node] })
	found := groupEvictions(now.Evictions, func(report.Eviction) bool { return true })
	moved := movers(planned, done)
	pods := map[string]report.Drift{}
	for key, evictions := range then {
		for _, e := range surplus(evictions, found[key]) {
			object := podName(e.Namespace, e.Name)
			pods[object] = report.Drift{Object: object, Planned: evicted(e), Found: "not evicted"}
		}
	}
	for key, evictions := range found {
		if moved[key.owner] {
			continue
		}
		for _, e := range surplus(evictions, then[key]) {
			object := podName(e.Namespace, e.Name)
			pods[object] = report.Drift{Object: object, Planned: cmp.Or(pods[object].Planned, "not evicted"), Found: evicted(e)}
		}
	}
	return slices.Collect(maps.Values(pods))
}

// groupEvictions are those of the pods that are on their nodes now.
func groupEvictions(evictions []report.Eviction, counts func(report.Eviction) bool) map[evictionKey][]report.Eviction {
	groups := map[evictionKey][]report.Eviction{}
	for _, e := range evictions {
		if counts(e) && !slices.Contains(e.Marks, report.MarkAgain) {
			groups[keyOf(e)] = append(groups[keyOf(e)], e)
		}
	}
	return groups
}

// movers are those whose pods have new nodes since the change began.
func movers(planned *report.TaintPlan, done map[string]bool) map[string]bool {
	moved := map[string]bool{}
	if !slices.Contains(slices.Collect(maps.Values(done)), true) {
		return moved
	}
	for _, e := range planned.Evictions {
		if done[e.Node] {
			moved[whose(e.Namespace, e.Workload, e.Name)] = true
		}
	}
	for _, p := range planned.Preempted {
		moved[whose(p.Namespace, p.Workload, p.Name)] = true
	}
	for _, p := range planned.Freed {
		moved[whose(p.Namespace, p.Workload, p.Name)] = true
	}
	return moved
}

// surplus are the evictions that are too many, those of pods that are not among the
// others first.
func surplus(evictions, others []report.Eviction) []report.Eviction {
	more := len(evictions) - len(others)
	if more <= 0 {
		return nil
	}
	among := func(e report.Eviction) bool {
		return slices.ContainsFunc(others, func(other report.Eviction) bool { return other.Name == e.Name })
	}
	unknown := slices.DeleteFunc(slices.Clone(evictions), among)
	known := slices.DeleteFunc(slices.Clone(evictions), func(e report.Eviction) bool { return !among(e) })
	return slices.Concat(unknown, known)[:more]
}

func podName(namespace, name string) string { return "pod/" + namespace + "/" + name }

func evicted(e report.Eviction) string {
	return fmt.Sprintf("evicted from node %s after %ds", e.Node, e.AfterSeconds)
}

// homeDrift names the workloads of which more pods than planned find no home.
func homeDrift(planned, now *report.TaintPlan) []report.Drift {
	then, _ := withoutHome(planned)
	found, reasons := withoutHome(now)
	return exceeded(then, found, "displaced pods without a home", ": ", reasons)
}

// exceeded names the workloads of which more pods than planned are so; details, after a
// joint, say more of the first.
func exceeded(then, found map[string]int, so, joint string, details map[string]string) []report.Drift {
	var drift []report.Drift
	for object, n := range found {
		if n > then[object] {
			drift = append(drift, report.Drift{
				Object:  object,
				Planned: fmt.Sprintf("%d %s", then[object], so),
				Found:   fmt.Sprintf("%d %s%s%s", n, so, joint, details[object]),
			})
		}
	}
	return drift
}

// withoutHome counts by workload the displaced pods that have no node for good, with
// the first reason: they are pending, come back to where they are evicted again, or are
// lost. Evicted pods that are lost count nowhere: who is evicted is compared one by one.
func withoutHome(p *report.TaintPlan) (count map[string]int, reasons map[string]string) {
	count, reasons = map[string]int{}, map[string]string{}
	add := func(object, reason string) {
		count[object]++
		reasons[object] = cmp.Or(reasons[object], reason)
	}
	for _, e := range p.Evictions {
		if e.Fate.Homeless() {
			add(whose(e.Namespace, e.Workload, e.Name), whyHomeless(e.Fate, e.PendingReason))
		}
	}
	for _, v := range p.Preempted {
		switch object := whose(v.Namespace, v.Workload, v.Name); {
		case v.Fate.Homeless():
			add(object, whyHomeless(v.Fate, v.PendingReason))
		case v.Fate == report.FateLost && v.Workload == "": // a Job that fails is named as such
			add(object, "preempted, and nothing replaces what has no controller")
		}
	}
	return count, reasons
}

// whyHomeless says why a displaced pod has no home.
func whyHomeless(fate report.Fate, pendingReason string) string {
	if fate == report.FateReturns {
		return "may come back to a node that evicts it again"
	}
	return pendingReason
}

// preemptionDrift names the workloads that lose more pods than planned to others.
func preemptionDrift(planned, now *report.TaintPlan) []report.Drift {
	then, found := map[string]int{}, map[string]int{}
	by := map[string]string{}
	for _, v := range planned.Preempted {
		then[whose(v.Namespace, v.Workload, v.Name)]++
	}
	for _, v := range now.Preempted {
		object := whose(v.Namespace, v.Workload, v.Name)
		found[object]++
		by[object] = cmp.Or(by[object], v.By)
	}
	return exceeded(then, found, "pods preempted", ", by ", by)
}

// jobDrift names the Jobs that fail and were not planned to.
func jobDrift(planned, now *report.TaintPlan) []report.Drift {
	then := failedJobs(planned)
	var drift []report.Drift
	for object := range failedJobs(now) {
		if !then[object] {
			drift = append(drift, report.Drift{Object: object, Planned: "bears the evictions", Found: "fails: one eviction more than its backoffLimit bears"})
		}
	}
	return drift
}

func failedJobs(p *report.TaintPlan) map[string]bool {
	failed := map[string]bool{}
	add := func(object string, marks []report.Mark) {
		if slices.Contains(marks, report.MarkJobFails) {
			failed[object] = true
		}
	}
	for _, e := range p.Evictions {
		add(whose(e.Namespace, e.Workload, e.Name), e.Marks)
	}
	for _, v := range p.Preempted {
		add(whose(v.Namespace, v.Workload, v.Name), v.Marks)
	}
	return failed
}

// budgetDrift names the budgets that are broken and were not planned to be.
func budgetDrift(planned, now *report.TaintPlan) []report.Drift {
	then := map[string]bool{}
	for _, b := range planned.Budgets {
		then[b.Namespace+"/"+b.Name] = b.Violated
	}
	var drift []report.Drift
	for _, b := range now.Budgets {
		if name := b.Namespace + "/" + b.Name; b.Violated && !then[name] {
			drift = append(drift, report.Drift{
				Object: "poddisruptionbudget/" + name, Planned: "kept",
				Found: fmt.Sprintf("broken: %d healthy pods at worst, %d desired", b.Lowest, b.Desired),
			})
		}
	}
	return drift
}

// waveDrift names the waves that were safe and are no more; numbers are the plan's
// for those that are left.
func waveDrift(planned, now *report.TaintPlan, numbers []int32) []report.Drift {
	short := map[int32]bool{}
	for _, s := range planned.Short {
		short[s.Wave] = true
	}
	var drift []report.Drift
	for _, s := range now.Short {
		if wave := numbers[s.Wave-1]; !short[wave] {
			short[wave] = true
			drift = append(drift, report.Drift{Object: fmt.Sprintf("wave/%d", wave), Planned: "safe", Found: s.Reason})
		}
	}
	return drift
}

// sorted is the drift by object; never nil.
func sorted(drift []report.Drift) []report.Drift {
	slices.SortFunc(drift, func(a, b report.Drift) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Found, b.Found))
	})
	return append([]report.Drift{}, drift...)
}
