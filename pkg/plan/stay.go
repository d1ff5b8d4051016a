package plan

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// narrowed names the pods that wait on, and the nodes that they can no longer wait for.
func (p *Planner) narrowed(nodes []report.TaintedNode) []report.NarrowedPod {
	placed := map[types.UID]bool{}
	for _, a := range p.arrivals {
		placed[a.pod.UID] = true
	}
	changed := p.taintedNodes(nodes)
	var narrowed []report.NarrowedPod
	for _, pod := range p.snap.PendingPods("") {
		if placed[pod.UID] {
			continue
		}
		if lost := lostTo(pod, changed); len(lost) > 0 {
			narrowed = append(narrowed, report.NarrowedPod{Namespace: pod.Namespace, Name: pod.Name, Workload: p.workload(pod), Lost: lost})
		}
	}
	return narrowed
}

// lostTo names the nodes that a pod may be on before and not after, for its tolerations,
// node selector and required node affinity.
func lostTo(pod *corev1.Pod, nodes []*tainted) []string {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	tolerations := pod.Spec.Tolerations
	var lost []string
	for _, node := range nodes {
		if taint.Tolerates(tolerations, node.after.Spec.Taints) || !taint.Tolerates(tolerations, node.before.Spec.Taints) {
			continue
		}
		if fits, err := affinity.Match(node.before); fits && err == nil {
			lost = append(lost, node.before.Name)
		}
	}
	return lost
}

// stranded names the pods that run on nodes of the plan with these taints, stay, and
// whose replacement would fit nowhere in the state that the engine is in. Pods alike are
// tried once; where it matters which others are left, once for each node.
func (p *Planner) stranded(ctx context.Context, nodes []report.TaintedNode, taints func(report.TaintedNode) []corev1.Taint) ([]report.StrandedPod, error) {
	alike := simulate.NewAlike(p.explainer.Engine().Config(), p.snap.Pods)
	reasons := map[string]string{}
	var stranded []report.StrandedPod
	for _, pod := range p.outlawed(nodes, taints) {
		replacement, err := p.explainer.Owners().Replacement(pod)
		if err != nil {
			return nil, err
		}
		key := alike.Key(replacement)
		if related(pod) {
			key += "/" + pod.Spec.NodeName
		}
		reason, tried := reasons[key]
		if !tried {
			if reason, err = p.whyNowhere(ctx, pod, replacement); err != nil {
				return nil, err
			}
			reasons[key] = reason
		}
		if reason != "" {
			stranded = append(stranded, report.StrandedPod{
				Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, Workload: p.workload(pod), Reason: reason,
			})
		}
	}
	return stranded, nil
}

// newlyStranded are those that were not before the change.
func newlyStranded(before, after []report.StrandedPod) []report.StrandedPod {
	known := map[types.NamespacedName]bool{}
	for _, pod := range before {
		known[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = true
	}
	return slices.DeleteFunc(after, func(pod report.StrandedPod) bool {
		return known[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]
	})
}

// outlawed are the pods that stay on a node whose taints they do not tolerate, and whose
// controller would make them again.
func (p *Planner) outlawed(nodes []report.TaintedNode, taints func(report.TaintedNode) []corev1.Taint) []*corev1.Pod {
	taintsOf := map[string][]corev1.Taint{}
	for _, n := range nodes {
		taintsOf[n.Name] = taints(n)
	}
	var pods []*corev1.Pod
	for _, pod := range p.snap.Pods {
		taints, changed := taintsOf[pod.Spec.NodeName]
		if changed && !p.gone[pod.UID] && remade(pod) && !taint.Tolerates(pod.Spec.Tolerations, taints) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// remade says whether another pod would be made in place of a running one, for any node:
// neither a bare pod, a static one nor a DaemonSet's has such.
func remade(pod *corev1.Pod) bool {
	switch owner.Of(pod).Kind {
	case "", "Node", "DaemonSet":
		return false
	}
	return !snapshot.Finished(pod) && pod.DeletionTimestamp == nil
}

// whyNowhere is the scheduler's message when it finds no node for the replacement of a
// pod that is gone; empty when it does, or cannot be known to fail.
func (p *Planner) whyNowhere(ctx context.Context, pod, replacement *corev1.Pod) (string, error) {
	defer p.backTo(p.here())
	if err := p.sim.Evict(pod); err != nil {
		return "", err
	}
	if err := p.claim([]*corev1.Pod{replacement}); err != nil {
		return "", err
	}
	placed, err := p.sim.Schedule(ctx, []*corev1.Pod{replacement})
	if err != nil || placed[0].Node != "" || placed[0].Err != nil {
		return "", err
	}
	item, err := p.explainer.Pod(ctx, replacement)
	return item.Message, err
}

// shifts says where the next replica of workloads with pods on nodes of the plan would
// go before and after, if PreferNoSchedule changes: it keeps no pod off a node, but
// lowers the node's score. The engine is in the state before the change.
func (p *Planner) shifts(ctx context.Context, nodes []report.TaintedNode) ([]report.ScoreShift, error) {
	next, err := p.nextReplicas(nodes)
	if err != nil {
		return nil, err
	}
	before, err := p.tryEach(ctx, next)
	if err != nil {
		return nil, err
	}
	defer p.sim.UndoTo(p.sim.Mark())
	for _, node := range p.taintedNodes(nodes) {
		if err := p.sim.SetNode(node.after); err != nil {
			return nil, err
		}
	}
	after, err := p.tryEach(ctx, next)
	if err != nil {
		return nil, err
	}
	var shifts []report.ScoreShift
	for i, pod := range next {
		if before[i] != after[i] && before[i] != "" && after[i] != "" {
			shifts = append(shifts, report.ScoreShift{Namespace: pod.Namespace, Workload: p.workload(pod), Before: before[i], After: after[i]})
		}
	}
	return shifts, nil
}

// nextReplicas makes one more pod of each workload with pods on nodes whose
// PreferNoSchedule taints change, by namespace and name. Those with claims are left
// out, as the next pod would have claims of its own.
func (p *Planner) nextReplicas(nodes []report.TaintedNode) ([]*corev1.Pod, error) {
	preferred := map[string]bool{}
	for _, n := range nodes {
		preferred[n.Name] = !taint.Same(preferNoSchedule(n.Before), preferNoSchedule(n.After))
	}
	sample := map[workloadKey]*corev1.Pod{}
	for _, pod := range p.snap.Pods {
		key := workloadKey{pod.Namespace, p.workload(pod)}
		if preferred[pod.Spec.NodeName] && sample[key] == nil && remade(pod) && !claims(pod) {
			sample[key] = pod
		}
	}
	var next []*corev1.Pod
	for _, key := range slices.SortedFunc(maps.Keys(sample), workloadKey.compare) {
		replica, err := p.explainer.Owners().Replacement(sample[key])
		if err != nil {
			return nil, err
		}
		next = append(next, replica)
	}
	return next, nil
}

func preferNoSchedule(taints []corev1.Taint) []corev1.Taint {
	return slices.DeleteFunc(slices.Clone(taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule })
}

// claims says whether a pod has volumes or devices of its own.
func claims(pod *corev1.Pod) bool {
	return len(pod.Spec.ResourceClaims) > 0 || slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil || v.Ephemeral != nil
	})
}

// tryEach is the node that each of the pods would get without the others; empty for
// none, or one that has to be cleared first.
func (p *Planner) tryEach(ctx context.Context, pods []*corev1.Pod) ([]string, error) {
	nodes := make([]string, len(pods))
	for i, pod := range pods {
		mark := p.sim.Mark()
		placed, err := p.sim.Schedule(ctx, []*corev1.Pod{pod})
		if err != nil {
			return nil, err
		}
		if len(placed[0].Victims) == 0 {
			nodes[i] = placed[0].Node
		}
		p.sim.UndoTo(mark)
	}
	return nodes, nil
}
