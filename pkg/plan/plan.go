package plan

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// Kind is a plan's as an object.
const Kind = "TaintPlan"

// Plan says what the change of the named nodes will do. An error names the node that
// is not there, or cannot be changed so.
func (p *Planner) Plan(ctx context.Context, nodes []string, change taint.Change) (*report.TaintPlan, error) {
	changed, err := p.changed(nodes, change)
	if err != nil {
		return nil, err
	}
	p.begin(changed)
	defer p.sim.Undo()
	plan := &report.TaintPlan{
		Cluster: p.snap.Cluster(), ServerVersion: p.snap.ServerVersion, TakenAt: p.snap.Now(), Change: change,
		Summary: report.TaintSummary{EvictedByWave: []int32{}},
		Nodes:   reportNodes(changed), Evictions: []report.Eviction{}, Stranded: []report.StrandedPod{}, Freed: []report.FreedPod{},
		Workloads: []report.WorkloadVerdict{}, Waves: [][]string{}, Drift: []report.Drift{}, Unknown: unseen(p.snap),
	}
	plan.SetGroupVersionKind(report.GroupVersion.WithKind(Kind))
	if len(changed) == 0 {
		return plan, nil
	}
	p.trying = true
	if plan.Shifts, err = p.shifts(ctx, plan.Nodes); err != nil {
		return nil, err
	}
	before, err := p.stranded(ctx, plan.Nodes, func(n report.TaintedNode) []corev1.Taint { return n.Before })
	if err != nil {
		return nil, err
	}
	p.trying = false
	waves, err := p.run(ctx, changed)
	if err != nil {
		return nil, err
	}
	if err := p.fill(ctx, plan, waves); err != nil {
		return nil, err
	}
	after, err := p.stranded(ctx, plan.Nodes, func(n report.TaintedNode) []corev1.Taint { return n.After })
	plan.Stranded = append(plan.Stranded, newlyStranded(before, after)...)
	plan.Summary = summary(plan)
	return plan, err
}

// changed are the nodes whose taints change, in the order given.
func (p *Planner) changed(names []string, change taint.Change) ([]*tainted, error) {
	var changed []*tainted
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		node := p.snap.Node(name)
		if node == nil {
			return nil, p.notFound(name)
		}
		taints, err := taint.Apply(change, node)
		if err != nil {
			return nil, err
		}
		if !taint.Same(node.Spec.Taints, taints) {
			after := *node
			after.Spec.Taints = taints
			changed = append(changed, &tainted{before: node, after: &after})
		}
	}
	return changed, nil
}

func (p *Planner) notFound(name string) error {
	names := make([]string, len(p.snap.Nodes))
	for i, node := range p.snap.Nodes {
		names[i] = node.Name
	}
	return fmt.Errorf("nodes %q not found%s", name, nearest.DidYouMean(name, names))
}

// begin is the state of the snapshot.
func (p *Planner) begin(changed []*tainted) {
	p.state = state{on: map[string][]*corev1.Pod{}, gone: map[types.UID]bool{}, replaced: map[types.UID]*move{}, claimed: map[types.UID]bool{}, followers: map[types.UID]bool{}}
	p.controllers = newControllers(p.snap, p.owners, &p.undo)
	for _, node := range changed {
		p.on[node.before.Name] = nil
	}
	for _, pod := range p.snap.Pods {
		if _, ok := p.on[pod.Spec.NodeName]; ok {
			p.on[pod.Spec.NodeName] = append(p.on[pod.Spec.NodeName], pod)
		}
	}
	for _, node := range changed {
		p.total += len(p.leaving(0, node))
	}
	p.waiting = p.snap.PendingPods("")
	slices.SortStableFunc(p.waiting, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
}

func reportNodes(changed []*tainted) []report.TaintedNode {
	nodes := make([]report.TaintedNode, len(changed))
	for i, node := range changed {
		nodes[i] = report.TaintedNode{
			Name: node.before.Name, UID: node.before.UID, Wave: 1,
			Before: append([]corev1.Taint{}, node.before.Spec.Taints...), After: node.after.Spec.Taints,
		}
	}
	slices.SortFunc(nodes, func(a, b report.TaintedNode) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}

// fill puts into the plan what the waves have come to.
func (p *Planner) fill(ctx context.Context, plan *report.TaintPlan, waves [][]*tainted) error {
	wave := map[string]int32{}
	for i, nodes := range waves {
		names := make([]string, len(nodes))
		for j, node := range nodes {
			names[j] = node.before.Name
			wave[names[j]] = int32(i + 1)
		}
		plan.Waves = append(plan.Waves, names)
	}
	for i := range plan.Nodes {
		plan.Nodes[i].Wave = wave[plan.Nodes[i].Name]
	}
	if err := p.reasons(ctx, p.moves); err != nil {
		return err
	}
	verdicts := p.verdicts()
	plan.Short, plan.Budgets = p.short, verdicts.Budgets
	plan.Workloads = append(plan.Workloads, verdicts.Workloads...)
	plan.Freed = append(plan.Freed, p.freed()...)
	plan.Narrowed, plan.Daemons = p.narrowed(plan.Nodes), p.daemonChanges(plan.Nodes)
	plan.Unknown = append(p.otherSchedulers(), plan.Unknown...)
	for _, m := range p.moves {
		switch {
		case m.wave == 0: // It has nothing to do with the change.
		case m.by != nil:
			plan.Preempted = append(plan.Preempted, p.preempted(m))
		case m.eviction.Evicted:
			plan.Evictions = append(plan.Evictions, p.evicted(m, verdicts.Violated[m]))
		}
	}
	slices.SortStableFunc(plan.Evictions, func(a, b report.Eviction) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.AfterSeconds, b.AfterSeconds),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

func (p *Planner) evicted(m *move, violated string) report.Eviction {
	return report.Eviction{
		Namespace: m.pod.Namespace, Name: m.pod.Name, UID: p.uid(m.pod), Node: m.pod.Spec.NodeName,
		Wave: int32(m.wave), AfterSeconds: seconds(m.at), Workload: p.workload(m.pod), PDBViolated: violated,
		Marks: m.marks, Fate: m.fate(), NewNode: m.node, PendingReason: m.reason,
	}
}

func (p *Planner) preempted(m *move) report.PreemptedPod {
	return report.PreemptedPod{
		Namespace: m.pod.Namespace, Name: m.pod.Name, UID: p.uid(m.pod), Node: m.pod.Spec.NodeName, Workload: p.workload(m.pod),
		By: m.by.Namespace + "/" + m.by.Name, Wave: int32(m.wave), Marks: m.marks, Fate: m.fate(), NewNode: m.node, PendingReason: m.reason,
	}
}

// unseen are the kinds that a snapshot lacks.
func unseen(snap *snapshot.Snapshot) (unknown []report.Unknown) {
	for _, missing := range snap.Unknown() {
		unknown = append(unknown, report.Unknown{Resource: missing.Resource, Text: missing.Note(snapshot.Placement)})
	}
	return unknown
}

// otherSchedulers is a line that names the schedulers that decide where displaced pods
// go, and are not simulated; none where there are none.
func (p *Planner) otherSchedulers() []report.Unknown {
	pods, names := 0, map[string]bool{}
	for _, m := range p.moves {
		if m.wave > 0 && m.marked(report.MarkUnknownScheduler) {
			pods++
			names[m.replacement.Spec.SchedulerName] = true
		}
	}
	if pods == 0 {
		return nil
	}
	return []report.Unknown{{
		Text: fmt.Sprintf("scheduler %s: places %d of the displaced pods; where they go is not known", strings.Join(slices.Sorted(maps.Keys(names)), ", "), pods),
	}}
}

// freed are the pods of the snapshot that waited and have a node because of the
// change, and those that their StatefulSets then make and that have one too.
func (p *Planner) freed() []report.FreedPod {
	var freed []report.FreedPod
	for _, a := range p.arrivals {
		if a.wave > 0 && (p.uid(a.pod) != "" || p.followers[a.pod.UID]) {
			stay, _ := taint.Stays(a.pod, p.node(a.node).Spec.Taints)
			freed = append(freed, report.FreedPod{
				Namespace: a.pod.Namespace, Name: a.pod.Name, Workload: p.workload(a.pod), Node: a.node, ForSeconds: seconds(stay), Wave: int32(a.wave),
			})
		}
	}
	slices.SortFunc(freed, func(a, b report.FreedPod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return freed
}
