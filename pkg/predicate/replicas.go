package predicate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// replicas makes the framework's PodInfos. Summing a pod's requests is nine tenths
// of the work of filling the nodes, and a pod mostly follows one with the same
// requests, as pods are sorted by name: then the sum is taken over.
type replicas struct{ last *podInfo }

// podInfo is a pod with the sum of its requests, which pods may share.
type podInfo struct {
	*framework.PodInfo
	requests fwk.PodResource
}

// CalculateResource returns the sum. It must not be changed.
func (p *podInfo) CalculateResource() fwk.PodResource { return p.requests }

// info returns the pod's PodInfo. As in the scheduler's cache, affinity terms that
// do not parse are left out.
func (r *replicas) info(pod *corev1.Pod) *podInfo {
	parsed, _ := framework.NewPodInfo(pod)
	info := &podInfo{PodInfo: parsed}
	if r.last != nil && sameRequests(r.last.Pod, pod) {
		info.requests = r.last.requests
	} else {
		info.requests = parsed.CalculateResource()
	}
	r.last = info
	return info
}

// sameRequests says whether two pods differ in nothing that PodRequests of
// component-helpers/resource reads; false where one has what few pods have.
func sameRequests(a, b *corev1.Pod) bool {
	return plainRequests(a) && plainRequests(b) &&
		slices.EqualFunc(a.Spec.Containers, b.Spec.Containers, sameContainer) &&
		slices.EqualFunc(a.Spec.InitContainers, b.Spec.InitContainers, sameContainer) &&
		slices.EqualFunc(a.Status.ContainerStatuses, b.Status.ContainerStatuses, sameStatus) &&
		slices.EqualFunc(a.Status.InitContainerStatuses, b.Status.InitContainerStatuses, sameStatus)
}

// plainRequests says whether only containers count: no pod-level resources, no
// overhead, no devices that stand for node resources, and no refused resize.
func plainRequests(pod *corev1.Pod) bool {
	return pod.Spec.Overhead == nil && pod.Spec.Resources == nil &&
		pod.Status.Resources == nil && pod.Status.AllocatedResources == nil &&
		len(pod.Status.NodeAllocatableResourceClaimStatuses) == 0 && !resourcehelper.IsPodResizeInfeasible(pod)
}

func sameContainer(a, b corev1.Container) bool {
	restarts := func(c corev1.Container) corev1.ContainerRestartPolicy {
		if c.RestartPolicy == nil {
			return ""
		}
		return *c.RestartPolicy
	}
	return a.Name == b.Name && restarts(a) == restarts(b) && sameAmounts(a.Resources.Requests, b.Resources.Requests)
}

// sameStatus compares what a resize has allocated and put in force.
func sameStatus(a, b corev1.ContainerStatus) bool {
	if a.Name != b.Name || !sameAmounts(a.AllocatedResources, b.AllocatedResources) {
		return false
	}
	if a.Resources == nil || b.Resources == nil {
		return a.Resources == b.Resources
	}
	return sameAmounts(a.Resources.Requests, b.Resources.Requests)
}

func sameAmounts(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, amount := range a {
		other, ok := b[name]
		if !ok || amount.Cmp(other) != 0 {
			return false
		}
	}
	return true
}
