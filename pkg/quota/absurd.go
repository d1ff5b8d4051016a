package quota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// absurdOf names the first amount of the workload's pods that is above the bound of
// every amount, with its field; "" when none is.
func absurdOf(w *workload.Workload) string {
	for _, set := range w.PodSets {
		where, problem := absurdIn(set.Template.Spec)
		switch {
		case where == "":
		case set.Elsewhere: // of one container that is not in the object
			return strings.TrimPrefix(set.Name+"."+strings.TrimPrefix(where, "containers[0]."), ".") + problem
		default:
			return strings.Join(append(slices.Clone(set.TemplatePath), "spec", where), ".") + problem
		}
	}
	return ""
}

// absurdIn is the first field of spec with such an amount, and what is wrong there.
func absurdIn(spec corev1.PodSpec) (where, problem string) {
	look := func(path string, list corev1.ResourceList) {
		for _, name := range Keys(list) {
			if quantity := list[name]; where == "" && exceedsMost(quantity) {
				where, problem = path, fmt.Sprintf("[%s]: %v", name, absurd(quantity))
			}
		}
	}
	lookIn := func(path string, resources corev1.ResourceRequirements) {
		look(path+"resources.limits", resources.Limits)
		look(path+"resources.requests", resources.Requests)
	}
	for i, container := range spec.InitContainers {
		lookIn(fmt.Sprintf("initContainers[%d].", i), container.Resources)
	}
	for i, container := range spec.Containers {
		lookIn(fmt.Sprintf("containers[%d].", i), container.Resources)
	}
	if spec.Resources != nil {
		lookIn("", *spec.Resources)
	}
	look("overhead", spec.Overhead)
	return where, problem
}
