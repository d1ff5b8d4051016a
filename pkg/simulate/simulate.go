package simulate

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// Simulation is a sequence of changes on an engine. It is not safe for concurrent
// use, and nothing else may edit the engine until Undo.
type Simulation struct {
	// Placed, when set, is called for each pod that Schedule has put on a node.
	Placed func()

	engine *predicate.Engine
	undos  []func()
	// start is the node from which the scheduler looks for the next pod's.
	start int
	memo  *memo
}

// New begins a simulation on the engine as it stands.
func New(engine *predicate.Engine) *Simulation {
	return &Simulation{engine: engine, memo: newMemo()}
}

// Mark is the simulation as it stands, for UndoTo.
func (s *Simulation) Mark() int { return len(s.undos) }

// UndoTo takes back everything since the mark, the last first. Marks set since then
// are void.
func (s *Simulation) UndoTo(mark int) {
	for _, undo := range slices.Backward(s.undos[mark:]) {
		undo()
	}
	clear(s.undos[mark:])
	s.undos = s.undos[:mark]
	s.memo.forget()
}

// Undo takes everything back.
func (s *Simulation) Undo() { s.UndoTo(0) }

// Apply puts edits in force.
func (s *Simulation) Apply(edits ...predicate.Edit) error {
	undo, err := s.engine.Apply(edits...)
	if err != nil {
		return err
	}
	s.freed(undo)
	return nil
}

// SetNode replaces the node of that name, which keeps its pods.
func (s *Simulation) SetNode(node *corev1.Node) error {
	return s.Apply(predicate.Edit{Node: node})
}

// Evict takes a pod off its spec.nodeName, and gives back what it held there: see
// Engine.Evict.
func (s *Simulation) Evict(pod *corev1.Pod) error {
	undo, err := s.engine.Evict(pod)
	if err != nil {
		return err
	}
	s.freed(undo)
	return nil
}

// Ready counts a pod that has been placed as healthy from now on: preemption looks to
// the PodDisruptionBudgets that it is in. Until then, and from its eviction on, it is
// missing there. See Engine.Ready.
func (s *Simulation) Ready(pod *corev1.Pod) { s.undos = append(s.undos, s.engine.Ready(pod)) }

// freed logs a change after which pods may fit that did not.
func (s *Simulation) freed(undo func()) {
	s.undos = append(s.undos, undo)
	s.memo.freed++
}

// placed logs a placement.
func (s *Simulation) placed(undo func()) {
	s.undos = append(s.undos, undo)
	s.memo.placed++
}

// Place puts one pod where the scheduler would and returns the node, or "" when
// no node fits.
func (s *Simulation) Place(ctx context.Context, pod *corev1.Pod) (string, error) {
	node, undo, err := s.engine.Place(ctx, pod)
	if err != nil || node == "" {
		return "", err
	}
	s.placed(undo)
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
// may have opened one, by its affinity or by evening out a spread. A pod that passes
// filters and that Reserve or Permit rejects on all of those nodes stays without one.
func (s *Simulation) placeInTurn(ctx context.Context, pod *corev1.Pod, r *rota) (string, error) {
	for refreshed := false; !r.hopeless; refreshed = true {
		for len(r.nodes) > 0 {
			next := r.nodes[0]
			r.nodes = r.nodes[1:]
			node, undo, err := s.engine.PlaceOn(ctx, pod, []string{next})
			if err != nil {
				return "", err
			}
			if node != "" {
				r.nodes = append(r.nodes, node)
				s.placed(undo)
				return node, nil
			}
		}
		if refreshed {
			break
		}
		fits, err := s.engine.FitsOn(ctx, pod, nil)
		if err != nil {
			return "", err
		}
		r.nodes, r.hopeless = fits, len(fits) == 0
	}
	return "", nil
}

// queueOrder is the order of the PrioritySort plugin, where pods came to the queue
// when they were created.
func queueOrder(pods []*corev1.Pod) []int {
	return ordered(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(higherFirst(a, b), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
	})
}

// byPriority is the order of the PrioritySort plugin, where pods came to the queue in
// the order given.
func byPriority(pods []*corev1.Pod) []int { return ordered(pods, higherFirst) }

func higherFirst(a, b *corev1.Pod) int {
	return cmp.Compare(corev1helpers.PodPriority(b), corev1helpers.PodPriority(a))
}

// ordered are the indices of the pods in order.
func ordered(pods []*corev1.Pod, compare func(a, b *corev1.Pod) int) []int {
	order := make([]int, len(pods))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compare(pods[i], pods[j]) })
	return order
}
