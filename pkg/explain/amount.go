package explain

import (
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// formatAmount renders an amount of a resource exactly, as a quantity.
func formatAmount(name corev1.ResourceName, amount int64) string {
	switch {
	case name == corev1.ResourceCPU:
		return resource.NewMilliQuantity(amount, resource.DecimalSI).String()
	case inBytes(name):
		return resource.NewQuantity(amount, resource.BinarySI).String()
	default:
		return resource.NewQuantity(amount, resource.DecimalSI).String()
	}
}

func inBytes(name corev1.ResourceName) bool {
	return name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// roughly renders an amount for reading: cores and not millicores, bytes in the
// largest unit that leaves at least one, both cut (never raised) to one decimal.
func roughly(name corev1.ResourceName, amount int64) string {
	value, unit := float64(amount), ""
	switch {
	case name == corev1.ResourceCPU && amount < 100:
		return formatAmount(name, amount)
	case name == corev1.ResourceCPU:
		value /= 1000
	case inBytes(name):
		for _, larger := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
			if math.Abs(value) < 1024 {
				break
			}
			value, unit = value/1024, larger
		}
	default:
		return formatAmount(name, amount)
	}
	return strconv.FormatFloat(math.Trunc(value*10)/10, 'f', -1, 64) + unit
}

// amount is a quantity in the resource's unit.
func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	quantity, ok := list[name]
	if !ok {
		return 0
	}
	if name == corev1.ResourceCPU {
		return quantity.MilliValue()
	}
	return quantity.Value()
}

// podAmount is what the scheduler counts for a pod.
func podAmount(pod *corev1.Pod, name corev1.ResourceName) int64 {
	return amount(resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}), name)
}
