package quota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// uncounted says what of a workload that is new to the group, or asks for more, is charged
// to nobody: that it is admitted must not be taken for more than it is.
func (c Change) uncounted(group *Group, growth corev1.ResourceList) []string {
	if len(c.New.PodSets) == 0 {
		return []string{fmt.Sprintf("%s charges nothing%s", c.New, podless(c.New.Kind, group.Name))}
	}
	claims := claimed(c.New)
	if !c.ties() && len(growth) == 0 {
		before := claimed(c.Old)
		claims = slices.DeleteFunc(claims, func(name string) bool { return slices.Contains(before, name) })
	}
	if len(claims) == 0 {
		return nil
	}
	why := "no key of the group stands for them"
	if limitsDevices(group) {
		why = "a key of a device class counts only what containers ask for as an extended resource"
	}
	return []string{fmt.Sprintf("group %s: claimed devices are not counted (resourceClaims %s): %s", group.Name, strings.Join(claims, ", "), why)}
}

// podless says, in the words that follow "charges nothing", why a workload of the kind that
// declares no pods does.
func podless(kind *workload.Kind, group string) string {
	if at := kind.ReferredAt(); at != "" {
		return fmt.Sprintf(" itself: its pods are declared by another object (%s). What it makes is charged where the labels of that object's pod template name group %s", at, group)
	}
	return ": it declares no pods"
}

// claimed are the names of the resource claims of the workload's pods.
func claimed(w *workload.Workload) []string {
	var names []string
	for i := range w.PodSets {
		for _, claim := range w.PodSets[i].Template.Spec.ResourceClaims {
			names = append(names, claim.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// limitsDevices says whether the group has a key of a device class that is asked for as
// an extended resource.
func limitsDevices(group *Group) bool {
	return slices.ContainsFunc(Keys(group.Spec.Hard), func(key corev1.ResourceName) bool {
		return strings.Contains(string(key), "deviceclass.resource.kubernetes.io/")
	})
}
