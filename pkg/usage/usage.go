package usage

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Amounts are amounts of resources. The zero value is nothing.
type Amounts struct {
	// MilliCPU is in thousandths of a core, Memory and EphemeralStorage in bytes, Pods a
	// count.
	MilliCPU, Memory, EphemeralStorage, Pods int64
	// Others counts extended resources, huge pages (bytes) and attachable volumes. It may
	// be shared and must not be changed.
	Others map[corev1.ResourceName]int64
}

// Of is the amount of one resource, in its unit.
func (a Amounts) Of(name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return a.MilliCPU
	case corev1.ResourceMemory:
		return a.Memory
	case corev1.ResourceEphemeralStorage:
		return a.EphemeralStorage
	case corev1.ResourcePods:
		return a.Pods
	}
	return a.Others[name]
}

// Names are the resources of which there is any, sorted.
func (a Amounts) Names() []corev1.ResourceName {
	var names []corev1.ResourceName
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods} {
		if a.Of(name) != 0 {
			names = append(names, name)
		}
	}
	for name, amount := range a.Others {
		if amount != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// plus is the sum of both.
func (a Amounts) plus(b Amounts) Amounts {
	sum := Amounts{
		MilliCPU: a.MilliCPU + b.MilliCPU, Memory: a.Memory + b.Memory,
		EphemeralStorage: a.EphemeralStorage + b.EphemeralStorage, Pods: a.Pods + b.Pods, Others: a.Others,
	}
	if len(b.Others) == 0 {
		return sum
	}
	sum.Others = make(map[corev1.ResourceName]int64, len(a.Others)+len(b.Others))
	maps.Copy(sum.Others, a.Others)
	for name, amount := range b.Others {
		sum.Others[name] += amount
	}
	return sum
}

// Listed are the amounts of a resource list; each is rounded up to its unit. Resources
// that no node offers to pods ("storage") are left out.
func Listed(list corev1.ResourceList) Amounts {
	var a Amounts
	for name, quantity := range list {
		switch name {
		case corev1.ResourceCPU:
			a.MilliCPU = quantity.MilliValue()
		case corev1.ResourceMemory:
			a.Memory = quantity.Value()
		case corev1.ResourceEphemeralStorage:
			a.EphemeralStorage = quantity.Value()
		case corev1.ResourcePods:
			a.Pods = quantity.Value()
		default:
			if !counts(name) {
				continue
			}
			if a.Others == nil {
				a.Others = map[corev1.ResourceName]int64{}
			}
			a.Others[name] = quantity.Value()
		}
	}
	return a
}

// counts says whether the scheduler counts a resource beside the four that it has fields
// for (IsScalarResourceName in k8s.io/kubernetes pkg/scheduler/util).
func counts(name corev1.ResourceName) bool {
	text := string(name)
	switch {
	case strings.HasPrefix(text, corev1.ResourceHugePagesPrefix), strings.HasPrefix(text, corev1.ResourceAttachableVolumesPrefix),
		strings.Contains(text, corev1.ResourceDefaultNamespacePrefix):
		return true
	}
	return strings.Contains(text, "/") && !strings.HasPrefix(text, corev1.DefaultResourceRequestsPrefix) // that is a quota's
}

// Requests are what a pod asks of its node: itself, and what its containers, its overhead
// and a resize under way add up to.
func Requests(pod *corev1.Pod) Amounts {
	requests := Listed(resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{
		UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}))
	requests.Pods = 1
	return requests
}

// Node is what a node has, and what its pods ask of it.
type Node struct{ Allocatable, Requested Amounts }

// Of is a node's usage with those pods on it. Finished ones ask nothing.
func Of(node *corev1.Node, pods []*corev1.Pod) Node {
	n := Node{Allocatable: Listed(node.Status.Allocatable)}
	for _, pod := range pods {
		if !snapshot.Finished(pod) {
			n.Requested = n.Requested.plus(Requests(pod))
		}
	}
	return n
}

// Free is what is left of a resource, in its unit; below zero on a node that is
// over-committed.
func (n Node) Free(name corev1.ResourceName) int64 {
	return n.Allocatable.Of(name) - n.Requested.Of(name)
}
