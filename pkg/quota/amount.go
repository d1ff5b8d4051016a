package quota

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The units that large amounts are written in, each 1000 or 1024 of the one before.
var (
	decimalUnits = []string{"", "k", "M", "G", "T", "P", "E"}
	binaryUnits  = []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
)

// Amount writes an amount of a key for people, in the key's unit and to three digits:
// cores, devices and pods as numbers ("0.5", "12", "974k"), bytes in the largest binary
// unit that fits ("17.4Gi"), hours as the amount of what they are hours of. How the
// quantity is spelled does not matter, so amounts of one key can be compared.
func Amount(key corev1.ResourceName, quantity resource.Quantity) string {
	return write(key, quantity, 3)
}

// Amounts are the amounts of one key, with as many digits more as it takes to tell
// different ones apart.
func Amounts(key corev1.ResourceName, quantities ...resource.Quantity) []string {
	const most = 12
	for digits := 3; ; digits++ {
		var texts []string
		for _, quantity := range quantities {
			texts = append(texts, write(key, quantity, digits))
		}
		if digits >= most || !alike(quantities, texts) {
			return texts
		}
	}
}

// alike says whether two quantities that differ have the same text.
func alike(quantities []resource.Quantity, texts []string) bool {
	for i := range texts {
		for j := range i {
			if texts[i] == texts[j] && quantities[i].Cmp(quantities[j]) != 0 {
				return true
			}
		}
	}
	return false
}

func write(key corev1.ResourceName, quantity resource.Quantity, digits int) string {
	amount := quantity.AsApproximateFloat64()
	if countsBytes(key) {
		return scaled(amount, 1024, 1024, binaryUnits, digits)
	}
	const readable = 100_000 // below that, a number needs no unit
	return scaled(amount, 1000, readable, decimalUnits, digits)
}

// scaled writes an amount to so many digits, from an absolute value of enough on in the
// largest unit that fits.
func scaled(amount, step, enough float64, units []string, digits int) string {
	i := 0
	for large := math.Abs(amount) >= enough; large && math.Abs(amount) >= step && i < len(units)-1; i++ {
		amount /= step
	}
	return rounded(amount, digits) + units[i]
}

// rounded writes a number to so many digits, all those of its whole part and at most as
// many behind the point. What is too small for that is not written as nothing.
func rounded(number float64, digits int) string {
	if number == 0 {
		return "0"
	}
	decimals := min(max(digits-1-int(math.Floor(math.Log10(math.Abs(number)))), 0), digits)
	text := strconv.FormatFloat(number, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "0" || text == "-0" {
		return map[bool]string{true: "<", false: ">-"}[number > 0] + strconv.FormatFloat(math.Pow10(-digits), 'f', digits, 64)
	}
	return text
}

// countsBytes says whether amounts of a key are bytes, or hours of bytes.
func countsBytes(key corev1.ResourceName) bool {
	name := resourceOf(key)
	return name == "storage" || strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) ||
		slices.ContainsFunc([]corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage}, func(bytes corev1.ResourceName) bool {
			return name == string(bytes) || strings.HasPrefix(name, string(bytes)+".")
		})
}

// resourceOf is the resource that a key counts, with its model: "nvidia.com/gpu.A30" of
// "cash/requests.nvidia.com/gpu.A30". Keys of ResourceQuota's may have a class before it
// ("gold.storageclass.storage.k8s.io/requests.storage").
func resourceOf(key corev1.ResourceName) string {
	name := strings.TrimPrefix(string(Canonical(key)), cashPrefix)
	for _, prefix := range []string{requestsPrefix, limitsPrefix} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
		if _, rest, ok := strings.Cut(name, "/"+prefix); ok {
			return rest
		}
	}
	return name
}

// amountOf writes an amount of a key with what it is of: "36 GPUs", "64Gi of memory",
// "100 core-hours".
func amountOf(key corev1.ResourceName, quantity resource.Quantity) string {
	return withUnit(key, Amount(key, quantity))
}

// usedOf writes how much of a key is used of its hard: "100.1 of 100 core-hours".
func usedOf(key corev1.ResourceName, used, hard resource.Quantity) string {
	amounts := Amounts(key, used, hard)
	return amounts[0] + " of " + withUnit(key, amounts[1])
}

// withUnit writes what an amount of a key, as a text, is of.
func withUnit(key corev1.ResourceName, text string) string {
	name, hours := resourceOf(key), ""
	if IsCash(key) {
		hours = "-hour"
	}
	switch base, _, _ := strings.Cut(name, "."); {
	case countsBytes(key) && IsCash(key):
		return text + "-hours of " + name
	case countsBytes(key):
		return text + " of " + name
	case base == string(corev1.ResourceCPU):
		return text + " core" + hours + plural(text)
	case base == string(corev1.ResourcePods):
		return text + " pod" + hours + plural(text)
	case strings.Contains(name, "/gpu"):
		return text + " GPU" + hours + plural(text)
	case IsCash(key):
		return text + " hours of " + name
	}
	return text + " " + name
}

// plural is the ending of what there is so much of.
func plural(amount string) string {
	if amount == "1" {
		return ""
	}
	return "s"
}

// count is a number of things.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
