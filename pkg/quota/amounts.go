package quota

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// add adds b to a in place.
func add(a, b corev1.ResourceList) {
	for key, quantity := range b {
		sum, ok := a[key]
		if !ok {
			a[key] = quantity.DeepCopy()
			continue
		}
		sum.Add(quantity)
		a[key] = sum
	}
}

// addTimes adds n times b to a in place.
func addTimes(a, b corev1.ResourceList, n int64) {
	for key, quantity := range b {
		sum := a[key]
		sum.Add(times(quantity, n))
		a[key] = sum
	}
}

// times is n quantities.
func times(quantity resource.Quantity, n int64) resource.Quantity {
	product := quantity.DeepCopy()
	product.Mul(n)
	return product
}

// minus is a - b.
func minus(a, b resource.Quantity) resource.Quantity {
	difference := a.DeepCopy()
	difference.Sub(b)
	return difference
}

// Increase is what b has more than a, by key; keys that did not grow are left out.
func Increase(a, b corev1.ResourceList) corev1.ResourceList {
	grown := corev1.ResourceList{}
	for key, quantity := range b {
		if more := minus(quantity, a[key]); more.Sign() > 0 {
			grown[key] = more
		}
	}
	return grown
}

// CanonicalList is list with every key written out.
func CanonicalList(list corev1.ResourceList) corev1.ResourceList {
	out := make(corev1.ResourceList, len(list))
	for key, quantity := range list {
		out[Canonical(key)] = quantity
	}
	return out
}

// project is what list, of canonical keys, has for each key of hard.
func project(list, hard corev1.ResourceList) corev1.ResourceList {
	out := make(corev1.ResourceList, len(hard))
	for key := range hard {
		out[key] = list[Canonical(key)].DeepCopy()
	}
	return out
}
