package workload

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// IsPod says whether the kind's objects are pods themselves.
func (k *Kind) IsPod() bool { return len(k.PodSets) == 1 && k.PodSets[0].isPod() }

// readPod reads a pod, of which there are too many to take the way of other objects.
// The template shares what it has with pod.
func (k *Kind) readPod(pod *corev1.Pod) (*Workload, error) {
	if where := negative(&pod.Spec); where != "" {
		return nil, fmt.Errorf("%s is negative: expected 0 or more", where)
	}
	w := k.Meta(pod)
	w.Finished = slices.Contains(k.Finished, string(pod.Status.Phase))
	status := slimStatus(&pod.Status)
	w.PodSets = []PodSet{{
		Replicas: 1, IsPod: true, Status: &status,
		Template: &corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
	}}
	return w, nil
}

// slimStatus is what the kubelet says of the resources that the pod has now, which are
// the larger ones while it is being made smaller in place. That a resize is not
// feasible now is left out: it may be later, and nobody asks again then.
func slimStatus(status *corev1.PodStatus) corev1.PodStatus {
	return corev1.PodStatus{
		ContainerStatuses:     slimStatuses(status.ContainerStatuses),
		InitContainerStatuses: slimStatuses(status.InitContainerStatuses),
		AllocatedResources:    status.AllocatedResources,
		Resources:             status.Resources,
	}
}

func slimStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for _, status := range statuses {
		if status.AllocatedResources != nil || status.Resources != nil {
			out = append(out, corev1.ContainerStatus{Name: status.Name, AllocatedResources: status.AllocatedResources, Resources: status.Resources})
		}
	}
	return out
}

// podStatus reads slimStatus of a pod that is decoded JSON.
func podStatus(root place) (*corev1.PodStatus, error) {
	fields, err := root.object("status")
	if err != nil || fields == nil {
		return nil, err
	}
	status := &corev1.PodStatus{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, status); err != nil {
		return nil, root.errorf("status", "expected a pod's status: %v", err)
	}
	slim := slimStatus(status)
	return &slim, nil
}
