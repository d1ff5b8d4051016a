package quota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// uncounted says what of a workload that is new to the group is charged to nobody: that
// it is admitted must not be taken for more than it is.
func (c Change) uncounted(group *Group) []string {
	if !c.ties() {
		return nil
	}
	if len(c.New.PodSets) == 0 {
		return []string{fmt.Sprintf("%s charges nothing itself: its pods are declared by another object (%s). What it makes is charged where the labels of that object's pod template name group %s",
			c.New, elsewhere(c.New.Kind), group.Name)}
	}
	if claims := claimed(c.New); len(claims) > 0 && !limitsDevices(group) {
		return []string{fmt.Sprintf("group %s: claimed devices are not counted (resourceClaims %s): no key of the group stands for them",
			group.Name, strings.Join(claims, ", "))}
	}
	return nil
}

// elsewhere is the field that refers to the object that declares the pods.
func elsewhere(kind *workload.Kind) string {
	for i := range kind.PodSets {
		if unless := kind.PodSets[i].Unless; unless != "" {
			return unless
		}
	}
	return "spec"
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
