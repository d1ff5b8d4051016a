package predicate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Place puts the pod where the scheduler would: of the nodes that pass every
// filter the one with the highest score, the first by name among equals (the
// scheduler takes any of them). Volumes and devices are reserved, so that the
// next pod does not get the same ones. The node is empty when none fits. undo
// takes the pod back.
func (e *Engine) Place(ctx context.Context, pod *corev1.Pod) (node string, undo func(), err error) {
	run, err := e.prefiltered(ctx, pod)
	if run == nil || err != nil {
		return "", nil, err
	}
	node, err = run.best(run.passing(run.nodes))
	if err != nil || node == "" {
		return "", nil, err
	}
	return run.reserve(node)
}

// PlaceOn is Place without scores: on the first of the named nodes that passes.
func (e *Engine) PlaceOn(ctx context.Context, pod *corev1.Pod, names []string) (node string, undo func(), err error) {
	run, err := e.prefiltered(ctx, pod)
	if run == nil || err != nil {
		return "", nil, err
	}
	nodes, err := e.lister.current.named(names)
	if err != nil {
		return "", nil, err
	}
	for _, node := range nodes {
		if run.passes(node) {
			return run.reserve(node.Node().Name)
		}
	}
	return "", nil, nil
}

// prefiltered is a run after its PreFilters; nil when one rejects the pod, or a
// gate holds it.
func (e *Engine) prefiltered(ctx context.Context, pod *corev1.Pod) (*run, error) {
	p, err := e.forPod(pod)
	if err != nil {
		return nil, err
	}
	run := newRun(ctx, e, p, pod)
	if len(run.preEnqueue()) > 0 {
		return nil, nil
	}
	run.preFilter(true)
	if run.err != nil || len(run.rejections) > 0 {
		return nil, run.err
	}
	return run, nil
}

// passing are those of the nodes that pass every filter, in their order.
func (r *run) passing(nodes []fwk.NodeInfo) []fwk.NodeInfo {
	fits := make([]bool, len(nodes))
	inParallel(len(nodes), r.engine.workers, func(i int) { fits[i] = r.passes(nodes[i]) })
	var passing []fwk.NodeInfo
	for i, node := range nodes {
		if fits[i] {
			passing = append(passing, node)
		}
	}
	return passing
}

// best scores the nodes with the profile's own plugins and weights.
func (r *run) best(nodes []fwk.NodeInfo) (string, error) {
	if len(nodes) == 0 {
		return "", nil
	}
	if len(nodes) == 1 {
		return nodes[0].Node().Name, nil
	}
	f := r.profile.framework
	if status := f.RunPreScorePlugins(r.ctx, r.state, r.pod, nodes); !status.IsSuccess() {
		return "", fmt.Errorf("scoring pod %s: %w", podKey(r.pod), status.AsError())
	}
	scores, status := f.RunScorePlugins(r.ctx, r.state, r.pod, nodes)
	if !status.IsSuccess() {
		return "", fmt.Errorf("scoring pod %s: %w", podKey(r.pod), status.AsError())
	}
	best := scores[0]
	for _, score := range scores[1:] {
		if score.TotalScore > best.TotalScore {
			best = score
		}
	}
	return best.Name, nil
}

// reserve assumes the pod on the node, as the scheduler does before it binds.
func (r *run) reserve(node string) (string, func(), error) {
	placed := r.pod.DeepCopy()
	placed.Spec.NodeName = node
	f := r.profile.framework
	if status := f.RunReservePluginsReserve(r.ctx, r.state, placed, node); !status.IsSuccess() {
		f.RunReservePluginsUnreserve(r.ctx, r.state, placed, node)
		return "", nil, fmt.Errorf("reserving node %s for pod %s: %w", node, podKey(r.pod), status.AsError())
	}
	back, err := r.engine.Apply(Edit{Place: placed})
	if err != nil {
		f.RunReservePluginsUnreserve(r.ctx, r.state, placed, node)
		return "", nil, err
	}
	return node, func() {
		back()
		f.RunReservePluginsUnreserve(r.ctx, r.state, placed, node)
	}, nil
}
