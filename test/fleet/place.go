package fleet

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// placer puts pods on nodes with room, round robin over the nodes that a pod shape may use. It knows only what
// the shapes say, which is enough for a plausible fleet; it is no scheduler.
type placer struct {
	nodes      []placedNode
	candidates map[int][]int // by pod shape: indexes into nodes
	next       map[int]int   // by pod shape: where to go on in candidates
}

// placedNode is what a node has left.
type placedNode struct {
	index                     int // in the fleet
	shape                     NodeShape
	milliCPU, memoryMiB, gpus int64
	pods                      int64
}

func newPlacer() *placer {
	return &placer{candidates: map[int][]int{}, next: map[int]int{}}
}

// add tells of an empty node, the index-th of the fleet.
func (p *placer) add(index int, s NodeShape) {
	p.nodes = append(p.nodes, placedNode{index, s, s.CPU * 1000, s.MemoryGiB << 10, s.GPUs, nodePods})
}

// place takes room for one pod of a shape and returns its node's index in the fleet. Room never comes back, so a
// candidate that is full for a shape once is dropped.
func (p *placer) place(shape int, s PodShape) (node int, ok bool) {
	if p.candidates[shape] == nil {
		p.candidates[shape] = p.usable(s)
	}
	for len(p.candidates[shape]) > 0 {
		at := p.next[shape] % len(p.candidates[shape])
		n := &p.nodes[p.candidates[shape][at]]
		if n.take(s) {
			p.next[shape] = at + 1
			return n.index, true
		}
		p.candidates[shape] = slices.Delete(p.candidates[shape], at, at+1)
		p.next[shape] = at
	}
	return 0, false
}

// usable returns the nodes that a shape's tolerations and models allow, as a list that is not nil.
func (p *placer) usable(s PodShape) []int {
	nodes := []int{}
	for i, n := range p.nodes {
		if tolerated(n.shape.taints(), s.tolerations()) && (len(s.Models) == 0 || slices.Contains(s.Models, n.shape.Model)) {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// tolerated says whether tolerations, all of which name a key only, cover taints.
func tolerated(taints []corev1.Taint, tolerations []corev1.Toleration) bool {
	for _, taint := range taints {
		covers := func(t corev1.Toleration) bool { return t.Key == taint.Key }
		if !slices.ContainsFunc(tolerations, covers) {
			return false
		}
	}
	return true
}

// take takes a pod's requests from what is left, if there is enough of each.
func (n *placedNode) take(s PodShape) bool {
	if n.milliCPU < s.MilliCPU || n.memoryMiB < s.MemoryMiB || n.gpus < s.GPUs || n.pods < 1 {
		return false
	}
	n.milliCPU -= s.MilliCPU
	n.memoryMiB -= s.MemoryMiB
	n.gpus -= s.GPUs
	n.pods--
	return true
}
