package simulate

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
)

// Placement is what became of a pod.
type Placement struct {
	// Pod is the pod as it was given or, where it has a node, a copy with that as its
	// spec.nodeName, which Evict takes.
	Pod *corev1.Pod
	// Node is empty when the pod stays pending.
	Node string
	// Victims are the pods of lower priority that it has preempted. They are evicted.
	// One that the same call has placed before may be among them.
	Victims []*corev1.Pod
	// Err is why the scheduler does not come to a decision about the pod, which then
	// stays pending: predicate.ErrUnknownScheduler, or a plugin's error.
	Err error
}

// Schedule places pods as the scheduler does: by priority, those of the same in the
// order given. Pods that have found no node are tried again as long as others change
// what may help them; those being deleted are not tried. The placements are in the
// order given. Pods that are preempted are not placed again: that is for whoever knows
// what their controllers do. The error is the context's, or that a victim cannot be
// evicted.
func (s *Simulation) Schedule(ctx context.Context, pods []*corev1.Pod) ([]Placement, error) {
	s.memo.learn(s.engine, pods)
	placements := make([]Placement, len(pods))
	for i, pod := range pods {
		placements[i].Pod = pod
	}
	waiting := slices.DeleteFunc(byPriority(pods), func(i int) bool { return pods[i].DeletionTimestamp != nil })
	for before := -1; len(waiting) > 0 && len(waiting) != before; {
		before = len(waiting)
		var err error
		if waiting, err = s.try(ctx, waiting, placements); err != nil {
			return nil, err
		}
	}
	return placements, nil
}

// try goes once through the pods that wait, given by their index, and returns those
// that still do.
func (s *Simulation) try(ctx context.Context, waiting []int, placements []Placement) (left []int, err error) {
	for _, i := range waiting {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pod := placements[i].Pod
		if s.memo.hopeless(pod) {
			left = append(left, i)
			continue
		}
		placement, err := s.schedule(ctx, pod)
		if err != nil {
			return nil, err
		}
		placement.Victims = append(placements[i].Victims, placement.Victims...)
		placements[i] = placement
		switch {
		case placement.Node == "":
			left = append(left, i)
			if placement.Err == nil {
				s.memo.fail(pod)
			}
		case s.Placed != nil:
			s.Placed()
		}
	}
	return left, nil
}

// schedule is one cycle of the scheduler, and the preemption that may follow.
func (s *Simulation) schedule(ctx context.Context, pod *corev1.Pod) (Placement, error) {
	node, next, undo, err := s.engine.PlaceSampled(ctx, pod, s.start)
	s.turn(next)
	switch {
	case ctx.Err() == nil && err == nil && node == "":
		return s.preempt(ctx, pod)
	case node == "":
		return Placement{Pod: pod, Err: err}, ctx.Err()
	}
	s.placed(undo)
	return Placement{Pod: bound(pod, node), Node: node}, nil
}

// turn moves the start of the search on.
func (s *Simulation) turn(next int) {
	if before := s.start; next != before {
		s.undos = append(s.undos, func() { s.start = before })
		s.start = next
	}
}

// preempt evicts pods of lower priority, if the scheduler would, and puts the pod in
// their place.
func (s *Simulation) preempt(ctx context.Context, pod *corev1.Pod) (Placement, error) {
	pending := Placement{Pod: pod}
	if !s.mayPreempt(pod) {
		return pending, nil
	}
	verdict, err := s.engine.Evaluate(ctx, pod)
	if err != nil {
		pending.Err = err
		return pending, nil
	}
	preemption, err := s.engine.PreemptSampled(ctx, verdict, s.start)
	if err != nil || preemption == nil || preemption.Node == "" {
		pending.Err = err
		return pending, nil
	}
	for _, victim := range preemption.Victims {
		if err := s.Evict(victim); err != nil {
			return Placement{}, err
		}
	}
	s.freed(s.engine.EndNominations(preemption.Node, pod))
	node, undo, err := s.engine.PlaceOn(ctx, pod, []string{preemption.Node})
	if err != nil || node == "" {
		return Placement{Pod: pod, Victims: preemption.Victims, Err: err}, nil
	}
	s.placed(undo)
	return Placement{Pod: bound(pod, node), Node: node, Victims: preemption.Victims}, nil
}

// mayPreempt says whether the pod may preempt at all and there is a pod of lower
// priority.
func (s *Simulation) mayPreempt(pod *corev1.Pod) bool {
	if policy := pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		return false
	}
	priority := corev1helpers.PodPriority(pod)
	for node := range s.engine.Nodes() {
		for other := range node.Pods() {
			if corev1helpers.PodPriority(other) < priority {
				return true
			}
		}
	}
	return false
}

// bound is a pod on a node. It shares everything else with the pod.
func bound(pod *corev1.Pod, node string) *corev1.Pod {
	copied := *pod
	copied.Spec.NodeName = node
	return &copied
}
