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
	if why := Podless(c.New); why != "" {
		return []string{c.New.String() + " " + why}
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

// Podless says of a workload that is tied to a group and declares no pods itself why it
// charges nothing, in the words that follow its name; "" of any other.
func Podless(w *workload.Workload) string {
	if w.Group == "" || len(w.PodSets) > 0 || len(w.Kind.PodSets) == 0 {
		return ""
	}
	if at := w.Kind.ReferredAt(); at != "" {
		return fmt.Sprintf("charges nothing itself: its pods are declared by another object (%s). What it makes is charged where the labels of that object's pod template name group %s", at, w.Group)
	}
	return "charges nothing: it declares no pods"
}

// chargesNothing says why a workload that is new to the group, and is to run, charges none
// of the group's keys.
func (c Change) chargesNothing(group *Group, growth corev1.ResourceList) []string {
	switch {
	case !c.ties() || len(group.Spec.Hard) == 0 || c.New.Suspended || c.New.Finished:
		return nil
	case len(growth) == 0 && c.New.PerNode() && len(c.Nodes) > 0:
		return []string{fmt.Sprintf("group %s: %s charges nothing: no node is eligible; what runs once one is will be counted, whether or not it fits", group.Name, c.New)}
	case len(growth) == 0:
		return nil
	}
	keys := Keys(CanonicalList(group.Spec.Hard))
	for _, key := range keys {
		if _, charges := growth[corev1.ResourceName(strings.TrimPrefix(string(key), cashPrefix))]; charges {
			return nil
		}
	}
	var names []string
	for _, key := range keys {
		names = append(names, string(key))
	}
	return []string{fmt.Sprintf("group %s: %s charges nothing: it asks for nothing that the group limits (%s)", group.Name, c.New, Few(names, 3))}
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
