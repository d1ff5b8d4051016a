package simulate

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// Simulation is a sequence of placements on an engine. It is not safe for
// concurrent use, and nothing else may edit the engine until Undo.
type Simulation struct {
	engine *predicate.Engine
	undos  []func()
}

// New begins a simulation on the engine as it stands.
func New(engine *predicate.Engine) *Simulation { return &Simulation{engine: engine} }

// Place puts one pod where the scheduler would and returns the node, or "" when
// no node fits.
func (s *Simulation) Place(ctx context.Context, pod *corev1.Pod) (string, error) {
	node, undo, err := s.engine.Place(ctx, pod)
	if err != nil || node == "" {
		return "", err
	}
	s.undos = append(s.undos, undo)
	return node, nil
}

// PlaceAll places pods in the scheduler's queue order (priority, then creation)
// and returns each one's node, "" for none, in the order given. Of pods for which
// alike gives the same key the first that does not fit settles it for the rest.
func (s *Simulation) PlaceAll(ctx context.Context, pods []*corev1.Pod, alike func(*corev1.Pod) string) ([]string, error) {
	nodes := make([]string, len(pods))
	hopeless := map[string]bool{}
	for _, i := range queueOrder(pods) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := alike(pods[i])
		if hopeless[key] {
			continue
		}
		node, err := s.Place(ctx, pods[i])
		if err != nil {
			return nil, err
		}
		nodes[i] = node
		hopeless[key] = node == ""
	}
	return nodes, nil
}

// Undo takes every placement back, the last first.
func (s *Simulation) Undo() {
	for _, undo := range slices.Backward(s.undos) {
		undo()
	}
	s.undos = nil
}

// queueOrder is the order of the PrioritySort plugin.
func queueOrder(pods []*corev1.Pod) []int {
	order := make([]int, len(pods))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(priority(pods[b]), priority(pods[a])),
			pods[a].CreationTimestamp.Compare(pods[b].CreationTimestamp.Time))
	})
	return order
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}
