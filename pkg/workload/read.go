package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Meta reads obj's metadata: all but PodSets, Suspended, Finished and Older. It is what
// tells at little cost whether a workload has a group at all.
func (k *Kind) Meta(obj metav1.Object) *Workload {
	labels := obj.GetLabels()
	return &Workload{
		Kind:            k,
		Namespace:       obj.GetNamespace(),
		Name:            obj.GetName(),
		UID:             obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(),
		Group:           labels[stowagev1alpha1.GroupLabel],
		Models:          ModelsOf(labels),
		Owner:           metav1.GetControllerOf(obj),
	}
}

// Read reads obj, an *unstructured.Unstructured or an API type, as a workload of
// the kind. It leaves obj as it is. Errors name the field.
func (k *Kind) Read(obj runtime.Object) (*Workload, error) {
	accessor, ok := obj.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("%s: expected an object with metadata, found %T", k.Kind, obj)
	}
	if pod, ok := obj.(*corev1.Pod); ok && k.IsPod() {
		return k.readPod(pod)
	}
	content, err := toPlace(obj)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Kind, err)
	}
	w := k.Meta(accessor)
	if w.Suspended, err = k.suspended(content); err != nil {
		return nil, err
	}
	if w.Finished, err = k.finished(content); err != nil {
		return nil, err
	}
	if w.Older, err = content.oneHolds(k.Older); err != nil {
		return nil, err
	}
	for i := range k.PodSets {
		sets, err := k.PodSets[i].read(content)
		if err != nil {
			return nil, err
		}
		w.PodSets = append(w.PodSets, sets...)
	}
	for i := range w.PodSets {
		w.PodSets[i].PodsUnknown = len(w.PodSets) > 1 && w.PodSets[i].Pods == ""
	}
	return w, nil
}

// TemplateGroup is the group that the labels of obj's workload template name
// (Kind.Template), and whether they name one.
func (k *Kind) TemplateGroup(obj runtime.Object) (group string, ok bool, err error) {
	if k.Template == "" {
		return "", false, nil
	}
	content, err := toPlace(obj)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", k.Kind, err)
	}
	labels, err := content.object(join(k.Template, "metadata.labels"))
	if err != nil {
		return "", false, err
	}
	value, ok := labels[stowagev1alpha1.GroupLabel]
	if !ok {
		return "", false, nil
	}
	group, ok = value.(string)
	if !ok {
		return "", false, content.errorf(join(k.Template, "metadata.labels"), "%s: expected a string, found %s",
			stowagev1alpha1.GroupLabel, typeName(value))
	}
	return group, true, nil
}

// Made is one object as the template of obj says, an object of kind (Kind.Template), of
// the first kind that it makes and with its namespace and name; nil where that kind is not
// in the table. Errors name the field in the template.
func (ks *Kinds) Made(kind *Kind, obj runtime.Object) (*Workload, error) {
	if kind.Template == "" || len(kind.Makes) == 0 {
		return nil, nil
	}
	of := ks.Of(schema.ParseGroupKind(kind.Makes[0]))
	if of == nil {
		return nil, nil
	}
	content, err := toPlace(obj)
	if err != nil {
		return nil, err
	}
	template, err := content.object(kind.Template)
	if err != nil {
		return nil, err
	}
	made := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(template)}
	if accessor, ok := obj.(metav1.Object); ok {
		made.SetNamespace(accessor.GetNamespace())
		made.SetName(accessor.GetName())
	}
	return of.Read(made)
}

// toPlace is obj as decoded JSON.
func toPlace(obj runtime.Object) (place, error) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return place{value: u.Object}, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	return place{value: content}, err
}

func (k *Kind) suspended(content place) (bool, error) {
	if k.Suspend == "" {
		return false, nil
	}
	return as[bool](content, k.Suspend, "a bool")
}

func (k *Kind) finished(content place) (bool, error) {
	if len(k.Finished) == 0 {
		return false, nil
	}
	phase, err := content.at("status.phase")
	if err != nil {
		return false, err
	}
	if phase, ok := phase.(string); ok && slices.Contains(k.Finished, phase) {
		return true, nil
	}
	conditions, err := as[[]any](content, "status.conditions", "a list")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(conditions, func(value any) bool {
		condition, _ := value.(map[string]any)
		kind, _ := condition["type"].(string)
		return condition["status"] == string(metav1.ConditionTrue) && slices.Contains(k.Finished, kind)
	}), nil
}

// read reads the sets that p declares.
func (p *PodSetPaths) read(content place) ([]PodSet, error) {
	if p.each() {
		return p.readEach(content)
	}
	value, err := content.at(p.root())
	if err != nil {
		return nil, err
	}
	set, err := p.readOne(place{join(content.path, p.root()), value}, p.Name, split(p.root()))
	if set == nil || err != nil {
		return nil, err
	}
	return []PodSet{*set}, nil
}

// readEach reads a set from each entry at Root.
func (p *PodSetPaths) readEach(content place) ([]PodSet, error) {
	entries, names, err := content.entries(p.root(), p.Key)
	if err != nil {
		return nil, err
	}
	var sets []PodSet
	for i, entry := range entries {
		key := names[i]
		if p.Key != "" {
			key = strconv.Itoa(i) // In a list.
		}
		set, err := p.readOne(entry, names[i], append(split(p.root()), key))
		if err != nil {
			return nil, err
		}
		if set != nil {
			sets = append(sets, *set)
		}
	}
	return sets, nil
}

// readOne reads the set at root, to which the fields of at lead; nil where Unless says
// that there is none.
func (p *PodSetPaths) readOne(root place, name string, at []string) (*PodSet, error) {
	none, err := p.none(root)
	if none || err != nil {
		return nil, err
	}
	set := &PodSet{Name: name, PerNode: p.PerNode, IsPod: p.isPod(), Pods: p.Pods}
	if p.isPod() {
		if set.Status, err = podStatus(root); err != nil {
			return nil, err
		}
	}
	var path string
	if set.Template, path, err = p.template(root); err != nil {
		return nil, err
	}
	if set.Elsewhere = p.Resources != ""; !set.Elsewhere {
		set.TemplatePath = append(slices.Clip(at), split(path)...)
	}
	numbers, err := p.numbers(root)
	if err != nil {
		return nil, err
	}
	if !p.PerNode {
		if set.Replicas, err = product(root, numbers); err != nil {
			return nil, err
		}
	}
	return set, p.setSurge(set, root, numbers)
}

// none says whether Unless holds.
func (p *PodSetPaths) none(root place) (bool, error) {
	if p.Unless == "" {
		return false, nil
	}
	return root.holds(p.Unless)
}

// numbers are the numbers of Replicas, the last one within its bounds.
func (p *PodSetPaths) numbers(root place) ([]int64, error) {
	numbers := make([]int64, len(p.Replicas))
	for i, path := range p.Replicas {
		number, ok, err := root.number(path)
		switch {
		case err != nil:
			return nil, err
		case ok:
			numbers[i] = number
		case p.Resources != "":
			return nil, root.errorf(path, "must be given: what holds without it stands elsewhere")
		default:
			numbers[i] = p.orDefault(i)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	last, err := p.bounded(root, numbers[len(numbers)-1])
	numbers[len(numbers)-1] = last
	return numbers, err
}

// bounded is number within AtMost and AtLeast, less Minus.
func (p *PodSetPaths) bounded(root place, number int64) (int64, error) {
	most, err := root.numberOr(p.AtMost, maxPods)
	if err != nil {
		return 0, err
	}
	least, err := root.numberOr(p.AtLeast, 0)
	if err != nil {
		return 0, err
	}
	return max(0, max(least, min(most, number))-p.Minus), nil
}

// product is that of numbers, 1 for none.
func product(root place, numbers []int64) (int64, error) {
	result := int64(1)
	for _, number := range numbers {
		result *= number
		if result > maxPods {
			return 0, root.errorf("", "expected at most %d pods, found the product of %v", maxPods, numbers)
		}
	}
	return result, nil
}

// setSurge sets what the first rule that holds says.
func (p *PodSetPaths) setSurge(set *PodSet, root place, numbers []int64) error {
	for _, rule := range p.Surge {
		holds := rule.When == ""
		if !holds {
			var err error
			if holds, err = root.holds(rule.When); err != nil {
				return err
			}
		}
		if holds {
			return rule.apply(set, root, numbers)
		}
	}
	return nil
}

// apply sets the rule's surge: of the first number, times the others.
func (s *Surge) apply(set *PodSet, root place, numbers []int64) error {
	value := new(intstr.Parse(s.Default))
	if s.Path != "" {
		found, err := root.numberOrPercent(s.Path)
		if err != nil {
			return err
		}
		if found != nil {
			value = found
		}
	}
	percent, err := intstr.GetScaledValueFromIntOrPercent(value, 100, true)
	if err != nil || percent < 0 || percent > maxPods {
		return root.errorf(s.Path, "expected a number or a percentage, from 0 to %d, found %q", maxPods, value.String())
	}
	if set.PerNode {
		if value.Type == intstr.String {
			set.SurgePercent = int64(percent)
		} else {
			set.Surge = int64(percent)
		}
		return nil
	}
	if set.Replicas == 0 || len(numbers) == 0 {
		return nil // No pods, no update.
	}
	if len(numbers) == 1 {
		set.SurgeAt = value
	}
	// No factor is above maxPods, so nothing overflows here.
	first, err := intstr.GetScaledValueFromIntOrPercent(value, int(numbers[0]), true)
	if err != nil {
		return root.errorf(s.Path, "%v", err)
	}
	surged := slices.Clone(numbers)
	surged[0] = int64(first)
	set.Surge, err = product(root, surged)
	return err
}

// template reads the pods' template, and says where it stands from root.
func (p *PodSetPaths) template(root place) (template *corev1.PodTemplateSpec, path string, err error) {
	if p.Resources != "" {
		template, err = p.templateOf(root)
		return template, "", err
	}
	for _, path := range []string{p.Template, p.TemplateDefault} {
		if path == "" {
			continue
		}
		fields, err := root.object(path)
		if err != nil {
			return nil, "", err
		}
		if fields == nil {
			continue
		}
		template = &corev1.PodTemplateSpec{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, template); err != nil {
			return nil, "", root.errorf(path, "expected a pod template: %v", err)
		}
		if where := negative(&template.Spec); where != "" {
			return nil, "", root.errorf(path, "%s is negative: expected 0 or more", where)
		}
		return template, path, nil
	}
	return nil, "", root.errorf(p.Template, "expected a pod template, found none")
}

// templateOf is a template of one container with the resources at Resources.
func (p *PodSetPaths) templateOf(root place) (*corev1.PodTemplateSpec, error) {
	fields, err := root.object(p.Resources)
	if err != nil {
		return nil, err
	}
	container := corev1.Container{Name: p.Name}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &container.Resources); err != nil {
		return nil, root.errorf(p.Resources, "expected resources: %v", err)
	}
	spec := corev1.PodSpec{Containers: []corev1.Container{container}}
	if where := negative(&spec); where != "" {
		return nil, root.errorf(p.Resources, "%s is negative: expected 0 or more", where)
	}
	return &corev1.PodTemplateSpec{Spec: spec}, nil
}

// negative names a resource of the pod's that is below 0; "" when none is. The API
// server validates the templates of its own kinds only.
func negative(spec *corev1.PodSpec) string {
	lists := map[string]corev1.ResourceList{"overhead": spec.Overhead}
	if spec.Resources != nil {
		lists["resources.requests"], lists["resources.limits"] = spec.Resources.Requests, spec.Resources.Limits
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, container := range containers {
			lists["requests of container "+container.Name] = container.Resources.Requests
			lists["limits of container "+container.Name] = container.Resources.Limits
		}
	}
	for _, where := range slices.Sorted(maps.Keys(lists)) {
		for name, quantity := range lists[where] {
			if quantity.Sign() < 0 {
				return fmt.Sprintf("%s[%s]", where, name)
			}
		}
	}
	return ""
}
