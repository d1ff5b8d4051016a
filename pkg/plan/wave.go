package plan

import (
	"cmp"
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// wave taints nodes, and lets happen what then does.
func (p *Planner) wave(ctx context.Context, number int, nodes []*tainted) error {
	var leaving []*move
	for _, node := range nodes {
		if err := p.sim.SetNode(node.after); err != nil {
			return err
		}
		leaving = append(leaving, p.leaving(number, node)...)
	}
	slices.SortFunc(leaving, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	daemons, err := p.startDaemons(nodes)
	if err != nil {
		return err
	}
	if err := p.place(ctx, point{wave: number}, append(p.admitted(nodes), daemons...), nil); err != nil {
		return err
	}
	for len(leaving) > 0 {
		batch := 1
		for batch < len(leaving) && leaving[batch].at == leaving[0].at {
			batch++
		}
		if err := p.evict(ctx, leaving[:batch]); err != nil {
			return err
		}
		leaving = leaving[batch:]
	}
	p.progress(len(p.moves))
	return nil
}

// startDaemons are the pods that the DaemonSet controller starts on nodes that admit
// them now.
func (p *Planner) startDaemons(nodes []*tainted) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	for _, daemons := range p.snap.DaemonSets {
		if daemons.DeletionTimestamp != nil {
			continue
		}
		template := &daemons.Spec.Template
		for _, node := range nodes {
			if workload.Eligible(template, node.before) || !workload.Eligible(template, node.after) || p.runs(daemons, node.before.Name) {
				continue
			}
			pod, err := p.explainer.Owners().DaemonPod(daemons, node.before.Name)
			if err != nil {
				return nil, err
			}
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// runs says whether a node has a pod of the set.
func (p *Planner) runs(daemons *appsv1.DaemonSet, node string) bool {
	wanted := owner.Ref{Kind: "DaemonSet", Namespace: daemons.Namespace, Name: daemons.Name}
	return slices.ContainsFunc(p.on[node], func(pod *corev1.Pod) bool { return owner.Of(pod) == wanted && !p.gone[pod.UID] })
}

// admitted are the waiting pods that nodes have kept away by their taints, and do not
// any more.
func (p *Planner) admitted(nodes []*tainted) []*corev1.Pod {
	return p.waitingFor(func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(nodes, func(node *tainted) bool {
			tolerations := pod.Spec.Tolerations
			return taint.Tolerates(tolerations, node.after.Spec.Taints) && !taint.Tolerates(tolerations, node.before.Spec.Taints)
		})
	})
}

// leaving are the pods that are evicted from a node by its new taints.
func (p *Planner) leaving(wave int, node *tainted) []*move {
	var leaving []*move
	for _, pod := range p.on[node.before.Name] {
		if p.gone[pod.UID] {
			continue
		}
		if eviction := p.eviction(pod, node); eviction.Evicted {
			leaving = append(leaving, p.move(pod, point{wave, eviction.After}, eviction, nil))
		}
	}
	return leaving
}

// eviction says whether and when the change of a node evicts a pod on it. What the
// taint-eviction controller leaves for a while, the DaemonSet controller may not: it goes
// by the tolerations of the set's template.
func (p *Planner) eviction(pod *corev1.Pod, node *tainted) taint.Eviction {
	before := node.before.Spec.Taints
	if p.newcomer(pod) {
		before = nil // It has not been counted down.
	}
	eviction := taint.Evict(pod, before, node.after.Spec.Taints, p.now)
	if set, ok := p.owners.Controller(pod).(*appsv1.DaemonSet); ok && keeps(set, node.before) && !keeps(set, node.after) {
		return taint.Eviction{Evicted: true}
	}
	return eviction
}

// keeps says whether the DaemonSet controller leaves a pod that runs on the node:
// taints that only keep pods away do not count.
func keeps(set *appsv1.DaemonSet, node *corev1.Node) bool {
	evicting := *node
	evicting.Spec.Taints = slices.DeleteFunc(slices.Clone(node.Spec.Taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
	return workload.Eligible(&set.Spec.Template, &evicting)
}

// evict lets pods go at one time, and places what comes in their stead.
func (p *Planner) evict(ctx context.Context, batch []*move) error {
	now := point{batch[0].wave, batch[0].at}
	var left []*move
	for _, m := range batch {
		if p.gone[m.pod.UID] {
			continue // It has been preempted, or its Job has failed.
		}
		if err := p.leave(m); err != nil {
			return err
		}
		left = append(left, m)
	}
	prompt, late, err := p.replace(now, left)
	if err != nil {
		return err
	}
	return p.place(ctx, now, append(p.helped(left), prompt...), late)
}

// helped are the waiting pods that what others have left may help: the room on their
// nodes, or that they are not near.
func (p *Planner) helped(left []*move) []*corev1.Pod {
	nodes := map[string][]corev1.Taint{}
	for _, m := range left {
		if related(m.pod) {
			return slices.Clone(p.waiting)
		}
		if name := m.pod.Spec.NodeName; nodes[name] == nil {
			nodes[name] = p.node(name).Spec.Taints
		}
	}
	return p.waitingFor(func(pod *corev1.Pod) bool {
		if related(pod) {
			return true
		}
		for _, taints := range nodes {
			if taint.Tolerates(pod.Spec.Tolerations, taints) {
				return true
			}
		}
		return false
	})
}

func (p *Planner) waitingFor(helps func(*corev1.Pod) bool) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range p.waiting {
		if helps(pod) {
			pods = append(pods, pod)
		}
	}
	return pods
}
