package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// reduceLabelled reduces the pods that a workload without a Go type would make,
// wherever its kind has their templates.
func reduceLabelled(o Object) bool {
	eachPodTemplate(o.(*unstructured.Unstructured).Object, func(template map[string]any) {
		editPodSpec(template, reducePodSpec)
	})
	return true
}

// redactLabelled redacts the pods that a workload without a Go type would make. A
// pod spec that is none is left out: nobody can say what it holds.
func redactLabelled(u *unstructured.Unstructured) {
	eachPodTemplate(u.Object, func(template map[string]any) {
		if !editPodSpec(template, redactImages) {
			delete(template, "spec")
		}
		unstructured.RemoveNestedField(template, "metadata", "annotations")
	})
}

// eachPodTemplate calls edit with every map below value whose "spec" has
// containers.
func eachPodTemplate(value any, edit func(template map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		if _, found, _ := unstructured.NestedSlice(v, "spec", "containers"); found {
			edit(v)
			return
		}
		for _, field := range v {
			eachPodTemplate(field, edit)
		}
	case []any:
		for _, element := range v {
			eachPodTemplate(element, edit)
		}
	}
}

// editPodSpec changes a template's pod spec, and says whether it is one.
func editPodSpec(template map[string]any, edit func(*corev1.PodSpec)) bool {
	content, _, _ := unstructured.NestedMap(template, "spec")
	var spec corev1.PodSpec
	if runtime.DefaultUnstructuredConverter.FromUnstructured(content, &spec) != nil {
		return false
	}
	edit(&spec)
	edited, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
	if err != nil {
		return false
	}
	template["spec"] = edited
	return true
}
