package predicate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// The least number of nodes, and the least percentage of all, that the scheduler
// looks for (k8s.io/kubernetes pkg/scheduler, schedule_one.go).
const (
	minFeasibleNodes      = 100
	minFeasiblePercentage = 5
)

// PlaceSampled is Place among as many nodes as the scheduler samples
// (percentageOfNodesToScore), looking for them from the start-th on, by turns from
// each zone. next is where the search for the next pod starts.
func (e *Engine) PlaceSampled(ctx context.Context, pod *corev1.Pod, start int) (node string, next int, undo func(), err error) {
	run, err := e.prefiltered(ctx, pod)
	if run == nil || err != nil {
		return "", start, nil, err
	}
	if node := pod.Status.NominatedNodeName; node != "" && run.passesNamed(node) {
		node, undo, err = run.reserve(node)
		return node, start, undo, err
	}
	nodes, looked := run.sample(start)
	next = (start + looked) % max(len(run.nodes), 1)
	node, err = run.best(nodes)
	if err != nil || node == "" {
		return "", next, nil, err
	}
	node, undo, err = run.reserve(node)
	return node, next, undo, err
}

// passesNamed says whether the node of that name is there and passes every filter.
func (r *run) passesNamed(name string) bool {
	node, err := r.engine.lister.current.Get(name)
	return err == nil && r.passes(node)
}

// sample is findNodesThatPassFilters of the scheduler: nodes that pass every filter,
// until there are enough, and how many it has looked at. Where the scheduler's
// goroutines race for the last places, the first in order get them.
func (r *run) sample(start int) (feasible []fwk.NodeInfo, looked int) {
	nodes := r.candidates()
	enough := r.enough(len(nodes))
	for looked < len(nodes) && len(feasible) < enough {
		const fewest = 128 // that are worth a goroutine
		window := min(max(enough-len(feasible), fewest), len(nodes)-looked)
		fits := make([]bool, window)
		at := func(i int) fwk.NodeInfo { return r.nodes[nodes[(start+looked+i)%len(nodes)]] }
		inParallel(window, r.engine.workers, func(i int) { fits[i] = r.feasible(at(i)) })
		seen := 0
		for ; seen < window && len(feasible) < enough; seen++ {
			if fits[seen] {
				feasible = append(feasible, at(seen))
			}
		}
		looked += seen
	}
	return feasible, looked
}

// candidates are the indices, in the scheduler's order, of the nodes that the
// PreFilters left.
func (r *run) candidates() []int {
	rotated := r.engine.lister.current.rotated()
	if r.allowed == nil {
		return rotated
	}
	var left []int
	for _, i := range rotated {
		if !r.isExcluded(r.nodes[i]) {
			left = append(left, i)
		}
	}
	return left
}

// enough is numFeasibleNodesToFind of the scheduler: how many of the nodes are
// scored.
func (r *run) enough(nodes int) int {
	f := r.profile.framework
	if !f.HasScorePlugins() {
		return 1
	}
	if nodes < minFeasibleNodes {
		return nodes
	}
	percentage := int(r.engine.config.percentage)
	if own := f.PercentageOfNodesToScore(); own != nil {
		percentage = int(*own)
	}
	if percentage == 0 {
		percentage = max(50-nodes/125, minFeasiblePercentage)
	}
	return max(nodes*percentage/100, minFeasibleNodes)
}
