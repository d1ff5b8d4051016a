package simulate

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

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
// and returns each one's node, "" for none, in the order given. Pods for which
// alike gives the same key take turns on the nodes that the first of them fits on:
// they spread as under the scheduler's default scores, but without the cost of
// scoring every node for every pod. Once one fits nowhere, the rest do not either.
func (s *Simulation) PlaceAll(ctx context.Context, pods []*corev1.Pod, alike func(*corev1.Pod) string) ([]string, error) {
	nodes := make([]string, len(pods))
	rotas := map[string]*rota{}
	for _, i := range queueOrder(pods) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := alike(pods[i])
		if rotas[key] == nil {
			rotas[key] = &rota{}
		}
		node, err := s.placeInTurn(ctx, pods[i], rotas[key])
		if err != nil {
			return nil, err
		}
		nodes[i] = node
	}
	return nodes, nil
}

// rota is the nodes that pods alike may still fit on, the next one first.
type rota struct {
	nodes    []string
	hopeless bool
}

// placeInTurn places a pod on the next node of the rota that still passes every
// filter. When none is left it looks at all nodes once more: a pod placed since
// may have opened one, by its affinity or by evening out a spread.
func (s *Simulation) placeInTurn(ctx context.Context, pod *corev1.Pod, r *rota) (string, error) {
	for !r.hopeless {
		for len(r.nodes) > 0 {
			next := r.nodes[0]
			r.nodes = r.nodes[1:]
			node, undo, err := s.engine.PlaceOn(ctx, pod, []string{next})
			if err != nil {
				return "", err
			}
			if node != "" {
				r.nodes = append(r.nodes, node)
				s.undos = append(s.undos, undo)
				return node, nil
			}
		}
		fits, err := s.engine.FitsOn(ctx, pod, nil)
		if err != nil {
			return "", err
		}
		r.nodes, r.hopeless = fits, len(fits) == 0
	}
	return "", nil
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
		return cmp.Or(cmp.Compare(corev1helpers.PodPriority(pods[b]), corev1helpers.PodPriority(pods[a])),
			pods[a].CreationTimestamp.Compare(pods[b].CreationTimestamp.Time))
	})
	return order
}
