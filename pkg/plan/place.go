package plan

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// place schedules pods, then the late ones, with whatever comes in the stead of those
// that they preempt.
func (p *Planner) place(ctx context.Context, now point, queue, late []*corev1.Pod) error {
	for len(queue)+len(late) > 0 {
		if len(queue) == 0 {
			queue, late = late, nil
		}
		if err := p.claim(queue); err != nil {
			return err
		}
		placements, err := p.sim.Schedule(ctx, queue)
		if err != nil {
			return err
		}
		var victims []*move
		for _, placement := range placements {
			for _, victim := range placement.Victims {
				m := p.move(victim, now, taint.Eviction{}, placement.Pod)
				if err := p.leave(m); err != nil {
					return err
				}
				victims = append(victims, m)
			}
		}
		next, err := p.note(now, placements)
		if err != nil {
			return err
		}
		prompt, more, err := p.replace(now, victims)
		if err != nil {
			return err
		}
		queue, late = nil, slices.DeleteFunc(slices.Concat(late, next, more), func(pod *corev1.Pod) bool { return p.gone[pod.UID] })
		if len(victims) > 0 { // They may have freed more than was needed.
			queue = append(slices.Clone(p.waiting), prompt...)
		}
	}
	return nil
}

// claim makes the claims of pods that are new.
func (p *Planner) claim(pods []*corev1.Pod) error {
	for _, pod := range pods {
		if p.uid(pod) != "" || p.claimed[pod.UID] {
			continue
		}
		put(&p.undo, p.claimed, pod.UID, true)
		if claims := p.explainer.Owners().Claims(pod); len(claims) > 0 {
			if err := p.sim.Apply(predicate.Objects(claims)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// note takes down who has a node now, and who waits. It returns what controllers make
// as soon as those are ready.
func (p *Planner) note(now point, placements []simulate.Placement) (next []*corev1.Pod, err error) {
	placed, waits := map[types.UID]bool{}, map[types.UID]bool{}
	for _, pod := range p.waiting {
		waits[pod.UID] = true
	}
	waiting := slices.Clone(p.waiting)
	for _, placement := range placements {
		switch {
		case placement.Node != "":
			placed[placement.Pod.UID] = true
			if p.gone[placement.Pod.UID] {
				p.house(placement.Pod)
				continue // Another has preempted it at once.
			}
			pod, err := p.arrive(now, placement.Pod)
			if err != nil {
				return nil, err
			}
			if pod != nil {
				next = append(next, pod)
			}
		case !waits[placement.Pod.UID]:
			waiting = append(waiting, placement.Pod)
		}
	}
	set(&p.undo, &p.waiting, slices.DeleteFunc(waiting, func(pod *corev1.Pod) bool { return placed[pod.UID] }))
	return next, nil
}

// arrive notes that a pod has a node, and returns what its controller makes next.
func (p *Planner) arrive(now point, pod *corev1.Pod) (next *corev1.Pod, err error) {
	node := pod.Spec.NodeName
	set(&p.undo, &p.arrivals, append(p.arrivals, &arrival{pod: pod, node: node, wave: now.wave, at: now.at}))
	if pods, changes := p.on[node]; changes {
		put(&p.undo, p.on, node, append(slices.Clip(pods), pod))
	}
	m := p.house(pod)
	if m != nil {
		if _, returns := taint.Stays(pod, p.node(node).Spec.Taints); returns {
			p.mark(m, report.MarkReturns)
		}
	}
	made, missing := p.controllers.arrive(pod, m)
	switch {
	case made != nil:
		return made.replacement, nil
	case missing != nil:
		return p.follow(missing)
	}
	return nil, nil
}

// house notes the node of a pod for the move that it replaces, if it replaces one.
func (p *Planner) house(pod *corev1.Pod) *move {
	m := p.replaced[pod.UID]
	if m != nil {
		set(&p.undo, &m.node, pod.Spec.NodeName)
		set(&p.undo, &m.reason, "")
	}
	return m
}

// follow makes the first pod of a set that is not ready.
func (p *Planner) follow(o *ordered) (*corev1.Pod, error) {
	pod, claims, err := p.explainer.Owners().StatefulPod(o.set, o.first())
	if err != nil {
		return nil, err
	}
	put(&p.undo, p.claimed, pod.UID, true)
	put(&p.undo, p.followers, pod.UID, true)
	if len(claims) == 0 {
		return pod, nil
	}
	return pod, p.sim.Apply(predicate.Objects(claims)...)
}

// related says whether where a pod may be has to do with where others are.
func related(pod *corev1.Pod) bool {
	return attached(pod.Spec.Affinity) || slices.ContainsFunc(pod.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.WhenUnsatisfiable == corev1.DoNotSchedule
	}) || len(pod.Spec.ResourceClaims) > 0 ||
		slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil })
}

// attached says whether a pod must be near others, or must not.
func attached(affinity *corev1.Affinity) bool {
	if affinity == nil {
		return false
	}
	near, far := affinity.PodAffinity, affinity.PodAntiAffinity
	return near != nil && len(near.RequiredDuringSchedulingIgnoredDuringExecution) > 0 ||
		far != nil && len(far.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}
