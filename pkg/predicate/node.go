package predicate

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/stowage-dev/stowage/pkg/usage"
)

// Node is a node with its pods, as the plugins see it at one moment of a what-if. What
// it gives must not be changed.
type Node struct {
	*corev1.Node
	info fwk.NodeInfo
}

func nodeOf(info fwk.NodeInfo) Node { return Node{info.Node(), info} }

// Pods are the pods on the node, in the order of their coming.
func (n Node) Pods() iter.Seq[*corev1.Pod] {
	return func(yield func(*corev1.Pod) bool) {
		for _, info := range n.info.GetPods() {
			if !yield(info.GetPod()) {
				return
			}
		}
	}
}

// Usage is what the node has and what its pods ask, by the scheduler's own sums.
func (n Node) Usage() usage.Node {
	allocatable, requested := amounts(n.info.GetAllocatable()), amounts(n.info.GetRequested())
	requested.Pods = int64(len(n.info.GetPods()))
	return usage.Node{Allocatable: allocatable, Requested: requested}
}

// Requests are the pods on the node with what the scheduler counts for each.
func (n Node) Requests() iter.Seq2[*corev1.Pod, usage.Amounts] {
	return func(yield func(*corev1.Pod, usage.Amounts) bool) {
		for _, info := range n.info.GetPods() {
			requested := amounts(info.CalculateResource().Resource)
			requested.Pods = 1
			if !yield(info.GetPod(), requested) {
				return
			}
		}
	}
}

// amounts shares the map with the scheduler's sum, which nothing changes in place.
func amounts(r fwk.Resource) usage.Amounts {
	return usage.Amounts{
		MilliCPU: r.GetMilliCPU(), Memory: r.GetMemory(), EphemeralStorage: r.GetEphemeralStorage(),
		Pods: int64(r.GetAllowedPodNumber()), Others: r.GetScalarResources(),
	}
}

// Takes says whether the node's pods hold a host port with which this one conflicts.
func (n Node) Takes(port corev1.ContainerPort) bool {
	return n.info.GetUsedPorts().CheckConflict(port.HostIP, string(port.Protocol), port.HostPort)
}

// Conflict says whether one of the host ports held conflicts with the wanted one.
func Conflict(held []corev1.ContainerPort, wanted corev1.ContainerPort) bool {
	used := fwk.HostPortInfo{}
	for _, port := range held {
		used.Add(port.HostIP, string(port.Protocol), port.HostPort)
	}
	return used.CheckConflict(wanted.HostIP, string(wanted.Protocol), wanted.HostPort)
}

// Repelling are the pods on the node whose required anti-affinity matches a pod in a
// namespace with those labels, with the topology key that each does it by.
func (n Node) Repelling(pod *corev1.Pod, namespace labels.Set) iter.Seq2[*corev1.Pod, string] {
	return func(yield func(*corev1.Pod, string) bool) {
		for _, info := range n.info.GetPodsWithRequiredAntiAffinity() {
			for _, term := range info.GetRequiredAntiAffinityTerms() {
				if term.Matches(pod, namespace) && !yield(info.GetPod(), term.TopologyKey) {
					return
				}
			}
		}
	}
}

// Selector says whether a term of a pod's affinity matches another pod in a namespace
// with those labels.
type Selector func(other *corev1.Pod, namespace labels.Set) bool

// TermSelector reads a term of a pod's affinity. The error says what does not parse.
func TermSelector(pod *corev1.Pod, term corev1.PodAffinityTerm) (Selector, error) {
	terms, err := fwk.GetAffinityTerms(pod, []corev1.PodAffinityTerm{term})
	if err != nil {
		return nil, err
	}
	return terms[0].Matches, nil
}

// Nodes are all nodes, by name; those added by an edit come last.
func (e *Engine) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, info := range e.lister.current.infos {
			if !yield(nodeOf(info)) {
				return
			}
		}
	}
}

// Len is how many nodes there are.
func (e *Engine) Len() int { return len(e.lister.current.infos) }

// Node is the node of that name; ok is false where there is none.
func (e *Engine) Node(name string) (node Node, ok bool) {
	info, err := e.lister.current.Get(name)
	if err != nil {
		return Node{}, false
	}
	return nodeOf(info), true
}
