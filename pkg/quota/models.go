package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// withModels is amounts with what is of a model under its model's key too, and under
// those of the families that the model's name begins with: "C.32GB" counts as "C".
func withModels(amounts corev1.ResourceList, models workload.Models) corev1.ResourceList {
	charge := amounts.DeepCopy()
	for key, quantity := range amounts {
		for _, model := range families(modelOf(key, models)) {
			add(charge, corev1.ResourceList{modelKey(key, model): quantity}) // which may be the name of another resource
		}
	}
	return charge
}

// modelKey is the key of a model of what the base key stands for.
func modelKey(base corev1.ResourceName, model string) corev1.ResourceName {
	return base + "." + corev1.ResourceName(model)
}

// families are the model and all that its name begins with up to a dot; none for "".
func families(model string) []string {
	if model == "" {
		return nil
	}
	names := []string{model}
	for i, letter := range model {
		if letter == '.' && i > 0 {
			names = append(names, model[:i])
		}
	}
	return names
}

// modelOf is the hardware model of what a base key stands for; empty for any.
func modelOf(base corev1.ResourceName, models workload.Models) string {
	switch labelOf(base) {
	case stowagev1alpha1.CPUTypeLabel:
		return models.CPU
	case stowagev1alpha1.MemoryTypeLabel:
		return models.Memory
	case stowagev1alpha1.GPUTypeLabel:
		return models.GPU
	}
	return ""
}

// labelOf is the label that names the model of what a base key stands for; empty where
// that comes in none.
func labelOf(base corev1.ResourceName) string {
	_, name, _ := strings.Cut(string(base), ".") // after "requests." or "limits."
	switch {
	case name == string(corev1.ResourceCPU):
		return stowagev1alpha1.CPUTypeLabel
	case name == string(corev1.ResourceMemory):
		return stowagev1alpha1.MemoryTypeLabel
	case strings.Contains(name, "/"):
		return stowagev1alpha1.GPUTypeLabel
	}
	return ""
}

// limitedModels are the models by which the group limits the base key, where it does not
// limit the key itself.
func limitedModels(group *Group, base corev1.ResourceName) []string {
	var models []string
	for key := range CanonicalList(group.Spec.Hard) {
		key = corev1.ResourceName(strings.TrimPrefix(string(key), cashPrefix))
		if key == base {
			return nil
		}
		if model, ok := strings.CutPrefix(string(key), string(base)+"."); ok {
			models = append(models, model)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// checkModels refuses a workload that names no model for what its group limits by model
// only: it would be charged nothing. One that did without before, and asks for no more,
// may go on. Of a model that the group does not limit it says so.
func checkModels(check *report.QuotaCheck, group *Group, c Change, growth corev1.ResourceList) {
	asked := modelsAsked(c.New, c.Defaults)
	for _, base := range slices.Sorted(maps.Keys(asked)) {
		named := asked[base]
		models := limitedModels(group, base)
		if len(models) == 0 {
			continue
		}
		unnamed := slices.Contains(named, "")
		if _, grows := growth[base]; !c.ties() && !grows && unnamed == slices.Contains(modelsAsked(c.Old, c.Defaults)[base], "") {
			continue
		}
		if unnamed {
			refuse(check, "group %s: limits %s by model only (%s), and the workload names no model: add the label %s: MODEL to it, or to its pods' template",
				group.Name, base, strings.Join(models, ", "), labelOf(base))
			continue
		}
		for _, model := range named {
			if !slices.ContainsFunc(families(model), func(family string) bool { return slices.Contains(models, family) }) {
				warn(check, "group %s: model %s of %s is not limited and charges nothing: the group limits %s", group.Name, model, base, strings.Join(models, ", "))
			}
		}
	}
}

// modelsAsked are the models that the workload's pods are of, by the base key of what
// comes in models and they ask for, by themselves or by default; "" among them where one
// names none.
func modelsAsked(w *workload.Workload, defaults workload.Defaults) map[corev1.ResourceName][]string {
	asked := map[corev1.ResourceName][]string{}
	for _, pod := range podsOfSets(w, defaults) {
		models := workload.ModelsOf(pod.Labels).Or(w.Models)
		for base := range amountsOf(pod) {
			if model := modelOf(base, models); labelOf(base) != "" && !slices.Contains(asked[base], model) {
				asked[base] = append(asked[base], model)
			}
		}
	}
	return asked
}

// modelsOnly says which resources, or hours of them, a group limits by model only.
func modelsOnly(group *Group) []string {
	var warnings []string
	keys := Keys(CanonicalList(group.Spec.Hard))
	said := map[corev1.ResourceName]bool{}
	for _, key := range slices.Backward(keys) { // amounts before hours
		base := baseOf(corev1.ResourceName(strings.TrimPrefix(string(key), cashPrefix)))
		if base == "" || said[base] || slices.Contains(keys, base) || slices.Contains(keys, cashKey(base)) || validateKey(key) != nil {
			continue
		}
		said[base] = true
		all := base
		if IsCash(key) {
			all = cashKey(base)
		}
		warnings = append(warnings, fmt.Sprintf("spec.hard: limits %s by model only: a workload that names no model is refused, and other models are not limited; add %s to limit all of them", base, all))
	}
	slices.Sort(warnings)
	return warnings
}

// baseOf is the base key of a model key; empty where key is none, or may be none. The
// resource's name ends at its first dot: that of an extended resource whose own name has
// one (MIG's) cannot be told from a model.
func baseOf(key corev1.ResourceName) corev1.ResourceName {
	prefix, name, _ := strings.Cut(string(key), ".")
	domain, rest, extended := strings.Cut(name, "/")
	if !extended {
		domain, rest = "", name
	}
	base, _, model := strings.Cut(rest, ".")
	if !model || strings.HasPrefix(base, "mig-") || !extended && !slices.Contains(native, corev1.ResourceName(base)) {
		return ""
	}
	if extended {
		base = domain + "/" + base
	}
	return corev1.ResourceName(prefix + "." + base)
}
