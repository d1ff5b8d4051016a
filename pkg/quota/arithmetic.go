package quota

import (
	"maps"
	"math"
	"math/big"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// add adds b to a in place.
func add(a, b corev1.ResourceList) {
	for key, quantity := range b {
		sum, ok := a[key]
		if !ok {
			a[key] = writable(quantity.DeepCopy())
			continue
		}
		sum.Add(quantity)
		a[key] = writable(sum)
	}
}

// addTimes adds n times b to a in place.
func addTimes(a, b corev1.ResourceList, n int64) {
	for key, quantity := range b {
		sum := a[key]
		sum.Add(times(quantity, n))
		a[key] = writable(sum)
	}
}

// raise raises a, in place, to b by key where b is more.
func raise(a, b corev1.ResourceList) {
	for key, quantity := range b {
		if had, ok := a[key]; !ok || quantity.Cmp(had) > 0 {
			a[key] = quantity.DeepCopy()
		}
	}
}

// reduce takes n times b from a in place, and leaves out what nothing is left of.
func reduce(a, b corev1.ResourceList, n int64) {
	for key, quantity := range b {
		had, ok := a[key]
		if !ok || n <= 0 {
			continue
		}
		left := minus(had, times(quantity, n))
		if left.Sign() <= 0 {
			delete(a, key)
			continue
		}
		a[key] = left
	}
}

// times is n quantities.
func times(quantity resource.Quantity, n int64) resource.Quantity {
	product := quantity.DeepCopy()
	product.Mul(n)
	return writable(product)
}

// writable is quantity in a format in which it is read back as it is. Above 64 bits, one
// in binary suffixes would be read as 2^63-1, and 1e21 in decimal ones is written as "1".
func writable(quantity resource.Quantity) resource.Quantity {
	if quantity.CmpInt64(math.MaxInt64) > 0 || quantity.CmpInt64(math.MinInt64) < 0 {
		quantity.Format = resource.DecimalExponent
	}
	return quantity
}

// nano is the quantity in billionths, which is as fine as quantities are.
func nano(quantity resource.Quantity) *big.Int {
	const digits = 9
	dec := quantity.AsDec()
	shift := digits - int64(dec.Scale())
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(shift, -shift)), nil)
	if shift < 0 {
		return power.Quo(dec.UnscaledBig(), power)
	}
	return power.Mul(dec.UnscaledBig(), power)
}

// quotient is how many times b goes into a, for b > 0 and at most 2^63-1.
func quotient(a, b resource.Quantity) int64 {
	if fit := new(big.Int).Div(nano(a), nano(b)); fit.IsInt64() {
		return fit.Int64()
	}
	return math.MaxInt64
}

// most bounds every amount, of a group and of a container: an exa of anything (bytes of
// memory, cores, core-hours) is a mistake or an attack.
var most = resource.MustParse("1e18")

// exceedsMost says whether quantity is above most. It looks at the exponent first: an
// amount of 1e2147483647 can be written, and not be computed with.
func exceedsMost(quantity resource.Quantity) bool {
	return tooLong(quantity) || quantity.Cmp(most) > 0
}

// tooLong says whether quantity has more digits before its point than any number of
// anything, far above most.
func tooLong(quantity resource.Quantity) bool {
	const digits, bitsADigit = 40, 4
	dec := quantity.AsDec()
	return dec.Sign() != 0 && -int64(dec.Scale()) > digits || dec.UnscaledBig().BitLen() > (digits+9)*bitsADigit
}

// countable is list, where what is too long to be computed with is the largest amount
// that is. Admission refuses such; what was stored without it is counted as that.
func countable(list corev1.ResourceList) corev1.ResourceList {
	copied := false
	for key, quantity := range list {
		if !tooLong(quantity) {
			continue
		}
		if !copied {
			list, copied = maps.Clone(list), true
		}
		list[key] = resource.MustParse("1e40")
	}
	return list
}

// minus is a - b.
func minus(a, b resource.Quantity) resource.Quantity {
	difference := a.DeepCopy()
	difference.Sub(b)
	return writable(difference)
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
