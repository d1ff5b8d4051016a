package predicate

import (
	"context"
	"fmt"
	"slices"
	"sync"

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

// best is the node of the highest score, by the profile's own plugins and weights;
// the first among equals. It mirrors RunScorePlugins of the framework, which keeps
// every plugin's score of every node.
func (r *run) best(nodes []fwk.NodeInfo) (string, error) {
	if len(nodes) == 0 {
		return "", nil
	}
	if len(nodes) == 1 {
		return nodes[0].Node().Name, nil
	}
	if status := r.profile.framework.RunPreScorePlugins(r.ctx, r.state, r.pod, nodes); !status.IsSuccess() {
		return "", fmt.Errorf("scoring pod %s: %w", podKey(r.pod), status.AsError())
	}
	totals, err := r.scores(nodes)
	if err != nil {
		return "", fmt.Errorf("scoring pod %s: %w", podKey(r.pod), err)
	}
	best := 0
	for i := range totals {
		if totals[i] > totals[best] {
			best = i
		}
	}
	return nodes[best].Node().Name, nil
}

// scoreLists are lists to fill in, one a plugin. They serve one call after another.
func (e *Engine) scoreLists(plugins, nodes int) []fwk.NodeScoreList {
	if len(e.scratch) < plugins*nodes {
		e.scratch = make(fwk.NodeScoreList, plugins*nodes)
	}
	lists := make([]fwk.NodeScoreList, plugins)
	for k := range lists {
		lists[k] = e.scratch[k*nodes : (k+1)*nodes : (k+1)*nodes]
	}
	return lists
}

// scores are the nodes' weighted sums over all plugins, each normalized over the
// nodes. The nodes are scored by all plugins in one go: to wake workers takes longer
// than a plugin.
func (r *run) scores(nodes []fwk.NodeInfo) (totals []int64, err error) {
	plugins := slices.DeleteFunc(slices.Clone(r.profile.score), func(plugin weighted) bool {
		return r.state.GetSkipScorePlugins().Has(plugin.Name())
	})
	lists := r.engine.scoreLists(len(plugins), len(nodes))
	var once sync.Once
	inParallel(len(nodes), r.engine.workers, func(i int) {
		name := nodes[i].Node().Name
		for k, plugin := range plugins {
			score, status := plugin.Score(r.ctx, r.state, r.pod, nodes[i])
			lists[k][i] = fwk.NodeScore{Name: name, Score: score}
			if !status.IsSuccess() {
				once.Do(func() { err = fmt.Errorf("plugin %q: %w", plugin.Name(), status.AsError()) })
			}
		}
	})
	if err != nil {
		return nil, err
	}
	totals = make([]int64, len(nodes))
	for k, plugin := range plugins {
		if normalizer := plugin.ScoreExtensions(); normalizer != nil {
			if status := normalizer.NormalizeScore(r.ctx, r.state, r.pod, lists[k]); !status.IsSuccess() {
				return nil, fmt.Errorf("plugin %q: %w", plugin.Name(), status.AsError())
			}
		}
		for i := range totals {
			totals[i] += lists[k][i].Score * plugin.weight
		}
	}
	return totals, nil
}

// reserve assumes the pod on the node, as the scheduler does before it binds, and
// leaves its device claims as they are once it has. Where a plugin's Reserve or Permit
// rejects the pod, the node is empty, and, as in the scheduler, no other is tried. A pod
// that Permit lets wait holds its node meanwhile.
func (r *run) reserve(node string) (string, func(), error) {
	placed := *r.pod
	placed.Spec.NodeName = node
	f := r.profile.framework
	unreserve := func() { f.RunReservePluginsUnreserve(r.ctx, r.state, &placed, node) }
	status := f.RunReservePluginsReserve(r.ctx, r.state, &placed, node)
	if status.IsSuccess() {
		_, status = f.RunPermitPlugins(r.ctx, r.state, &placed, node)
	}
	switch {
	case status.IsRejected():
		unreserve()
		return "", nil, nil
	case !status.IsSuccess() && !status.IsWait():
		unreserve()
		return "", nil, fmt.Errorf("reserving node %s for pod %s: %w", node, podKey(r.pod), status.AsError())
	}
	back, err := r.engine.Apply(append(r.boundClaims(), Edit{Place: &placed})...)
	if err != nil {
		unreserve()
		return "", nil, err
	}
	renominate := r.engine.nominator.end(r.pod)
	return node, func() {
		renominate()
		back()
		unreserve()
	}, nil
}
