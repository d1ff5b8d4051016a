package explain

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// objectKey names what a report's item is about; kind is empty for a pod.
type objectKey struct{ kind, namespace, name string }

func keyOf(pod *corev1.Pod) objectKey { return objectKey{"", pod.Namespace, pod.Name} }

func itemKey(item *report.PendingItem) objectKey {
	return objectKey{item.Kind, item.Namespace, item.Name}
}

func podObject(pod *corev1.Pod) string { return fmt.Sprintf("Pod/%s/%s", pod.Namespace, pod.Name) }

func reference(pod *corev1.Pod) report.PodReference {
	return report.PodReference{Namespace: pod.Namespace, Name: pod.Name, Priority: pod.Spec.Priority, Node: pod.Spec.NodeName}
}

func scheduledCondition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodScheduled {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func startOf(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	return pod.CreationTimestamp.Time
}

// hostPorts are a pod's host ports, those of init containers that run on included.
func hostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	add := func(container *corev1.Container) {
		for _, port := range container.Ports {
			if port.HostPort > 0 {
				ports = append(ports, port)
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if isSidecar(&pod.Spec.InitContainers[i]) {
			add(&pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return ports
}

func isSidecar(container *corev1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// requestsOf are a container's requests with the API server's default: what has a
// limit only asks for its limit. A template in the cluster lacks that default.
func requestsOf(container *corev1.Container) corev1.ResourceList {
	requests := corev1.ResourceList{}
	maps.Copy(requests, container.Resources.Limits)
	maps.Copy(requests, container.Resources.Requests)
	return requests
}
