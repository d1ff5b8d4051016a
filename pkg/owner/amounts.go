package owner

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// vpaAnnotations are what the VerticalPodAutoscaler puts on pods whose amounts it has set,
// at their admission or in place: it sets those of the next one as well.
var vpaAnnotations = []string{"vpaUpdates", "vpaInPlaceUpdated"}

// admitAmounts gives the template's own containers the amounts that admission has given
// those of a pod which runs. CPU and memory may also have been resized in place since:
// then they say nothing of the next pod, which has the template's. All else cannot be.
func admitAmounts(made, pod *corev1.Pod) {
	admitted := amountsAdmitted(made, pod)
	keep := func(name corev1.ResourceName) bool {
		return admitted || name != corev1.ResourceCPU && name != corev1.ResourceMemory
	}
	if admitted && pod.Spec.Resources != nil {
		made.Spec.Resources = pod.Spec.Resources.DeepCopy()
	}
	for _, lists := range [][2][]corev1.Container{{made.Spec.InitContainers, pod.Spec.InitContainers}, {made.Spec.Containers, pod.Spec.Containers}} {
		running := map[string]*corev1.ResourceRequirements{}
		for i := range lists[1] {
			running[lists[1][i].Name] = &lists[1][i].Resources
		}
		for i := range lists[0] {
			if from := running[lists[0][i].Name]; from != nil {
				to := &lists[0][i].Resources
				to.Requests, to.Limits = replaced(to.Requests, from.Requests, keep), replaced(to.Limits, from.Limits, keep)
			}
		}
	}
}

// replaced are amounts, of which those of some resources are another list's.
func replaced(amounts, by corev1.ResourceList, of func(corev1.ResourceName) bool) corev1.ResourceList {
	replaced := maps.Clone(by)
	maps.DeleteFunc(replaced, func(name corev1.ResourceName, _ resource.Quantity) bool { return !of(name) })
	for name, amount := range amounts {
		if !of(name) {
			if replaced == nil {
				replaced = corev1.ResourceList{}
			}
			replaced[name] = amount
		}
	}
	return replaced
}

// amountsAdmitted says whether a pod still has the amounts that it was admitted with, or
// such as the next one will be admitted with. A resize raises a pod's generation, which
// is 1 at first; so do the lifting of a gate and the deletion. Of a pod without a
// generation, from a server older than 1.33, it is not known, and the template counts.
func amountsAdmitted(made, pod *corev1.Pod) bool {
	for _, key := range vpaAnnotations {
		if pod.Annotations[key] != "" {
			return true
		}
	}
	changes := max(0, len(made.Spec.SchedulingGates)-len(pod.Spec.SchedulingGates))
	if pod.DeletionTimestamp != nil {
		changes++
	}
	return pod.Generation > 0 && pod.Generation <= int64(1+changes)
}
