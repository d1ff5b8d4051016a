package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// cashPrefix starts the keys that count hours of a resource: "cash/limits.cpu" is
// in core-hours.
const cashPrefix = "cash/"

// The prefixes of compute keys, as ResourceQuota writes them.
const (
	requestsPrefix = "requests."
	limitsPrefix   = "limits."
)

// native are the compute resources that can be requested and limited, and that
// have no domain in their names.
var native = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// IsCash says whether key counts hours.
func IsCash(key corev1.ResourceName) bool { return strings.HasPrefix(string(key), cashPrefix) }

// cashKey is the cash key of a base or model key.
func cashKey(key corev1.ResourceName) corev1.ResourceName { return cashPrefix + key }

// Canonical is key with the short names that ResourceQuota knows written out:
// "cpu" is "requests.cpu", "cash/memory" is "cash/requests.memory".
func Canonical(key corev1.ResourceName) corev1.ResourceName {
	base, cash := strings.CutPrefix(string(key), cashPrefix)
	for _, short := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if base == string(short) || strings.HasPrefix(base, string(short)+".") {
			base = requestsPrefix + base
			break
		}
	}
	if cash {
		base = cashPrefix + base
	}
	return corev1.ResourceName(base)
}

// Keys are the keys of list, sorted.
func Keys(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

// validateKey says what is wrong with a key of a group's hard, without naming it.
func validateKey(key corev1.ResourceName) error {
	base := strings.TrimPrefix(string(Canonical(key)), cashPrefix)
	if base == string(corev1.ResourcePods) {
		return nil
	}
	name, requested := strings.CutPrefix(base, requestsPrefix)
	if !requested {
		var limited bool
		if name, limited = strings.CutPrefix(base, limitsPrefix); !limited {
			return fmt.Errorf(`expected "requests.RESOURCE", "limits.RESOURCE" or "pods", with ".MODEL" after it or %q before it`, cashPrefix)
		}
	}
	return validateResource(name, requested)
}

// validateResource checks the part of a key after "requests." or "limits.".
func validateResource(name string, requested bool) error {
	for _, known := range native {
		model, ok := strings.CutPrefix(name, string(known))
		if !ok {
			continue
		}
		if model == "" {
			return nil
		}
		if model, ok = strings.CutPrefix(model, "."); ok && known == corev1.ResourceEphemeralStorage {
			return fmt.Errorf("%s comes in no models", known)
		} else if ok {
			return validateModel(model)
		}
	}
	size, huge := strings.CutPrefix(name, corev1.ResourceHugePagesPrefix)
	if huge {
		if _, err := resource.ParseQuantity(size); err != nil {
			return fmt.Errorf("%q is no size of huge pages: expected hugepages-2Mi or another size, and no model", name)
		}
	} else if strings.HasPrefix(name, "count/") || ofStorage(name) {
		return fmt.Errorf("%q is no compute resource: a ResourceQuota counts objects and volumes", name)
	} else if !strings.Contains(name, "/") {
		return fmt.Errorf("%q is no compute resource: expected cpu, memory, ephemeral-storage, hugepages-SIZE or an extended resource such as nvidia.com/gpu", name)
	}
	if !requested {
		return fmt.Errorf("%q is limited by its requests: write requests.%s", name, name)
	}
	if errs := validation.IsQualifiedName(name); len(errs) > 0 {
		return fmt.Errorf("%q is no resource name: %s", name, errs[0])
	}
	return nil
}

// validateModel checks a model: workloads name it in a label's value.
func validateModel(model string) error {
	if model == "" {
		return fmt.Errorf(`a model must follow the last "."`)
	}
	if errs := validation.IsValidLabelValue(model); len(errs) > 0 {
		return fmt.Errorf("model %q can be no label's value: %s", model, errs[0])
	}
	return nil
}

// validateQuantity says what is wrong with a hard quantity, without naming its key.
func validateQuantity(key corev1.ResourceName, quantity resource.Quantity) error {
	switch {
	case quantity.Sign() < 0:
		return fmt.Errorf("%s is negative: expected 0 or more", quantity.String())
	case exceedsMost(quantity):
		return absurd(quantity)
	case IsCash(key):
		return nil
	}
	base := string(Canonical(key))
	if base == string(corev1.ResourcePods) || strings.HasPrefix(base, requestsPrefix) && strings.Contains(base, "/") {
		if fractional(quantity) {
			return fmt.Errorf("%s is no whole number: %s come whole", quantity.String(), key)
		}
	}
	return nil
}

// absurd says that quantity is above the bound of all.
func absurd(quantity resource.Quantity) error {
	return fmt.Errorf("%s is absurd: expected at most %s", quantity.String(), most.String())
}

// parentOf returns the key whose use counts key's too: the longest other key of
// keys that key extends by ".MODEL"; "" when there is none.
func parentOf(key corev1.ResourceName, keys []corev1.ResourceName) corev1.ResourceName {
	var found corev1.ResourceName
	for _, base := range keys {
		if strings.HasPrefix(string(Canonical(key)), string(Canonical(base))+".") && len(base) > len(found) {
			found = base
		}
	}
	return found
}

// HasCash says whether the group counts hours.
func HasCash(group *Group) bool {
	return slices.ContainsFunc(Keys(group.Spec.Hard), IsCash)
}
