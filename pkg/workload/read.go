package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	if w.Older, err = wholeOf(content).oneHolds(k.Older); err != nil {
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
	if k.stateInMetadata() {
		value, err := content.at(k.Suspend)
		return value != nil, err
	}
	return as[bool](content, k.Suspend, "a bool")
}

// stateInMetadata says whether an annotation or a label suspends the object.
func (k *Kind) stateInMetadata() bool { return strings.HasPrefix(k.Suspend, "metadata.") }

func (k *Kind) finished(content place) (bool, error) {
	if len(k.Finished) == 0 {
		return false, nil
	}
	conditions, names := k.finishes()
	if done, err := wholeOf(content).oneHolds(conditions); done || err != nil {
		return done, err
	}
	return content.finished(names)
}

// finishes are the conditions among Finished, and the names of phases and of the types
// of conditions in the status.
func (k *Kind) finishes() (conditions, names []string) {
	for _, name := range k.Finished {
		if strings.Contains(name, ".") {
			conditions = append(conditions, name)
		} else {
			names = append(names, name)
		}
	}
	return conditions, names
}

// finished says whether the status has one of the names as its phase, or as a condition
// that is True.
func (p place) finished(names []string) (bool, error) {
	phase, err := p.at("status.phase")
	if err != nil {
		return false, err
	}
	if phase, ok := phase.(string); ok && slices.Contains(names, phase) {
		return true, nil
	}
	conditions, err := as[[]any](p, "status.conditions", "a list")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(conditions, func(value any) bool {
		condition, _ := value.(map[string]any)
		kind, _ := condition["type"].(string)
		return condition["status"] == string(metav1.ConditionTrue) && slices.Contains(names, kind)
	}), nil
}

// read reads the sets that p declares.
func (p *PodSetPaths) read(content place) ([]PodSet, error) {
	if p.each() {
		return p.readEach(content)
	}
	value, err := content.at(p.root())
	if err != nil || value == nil && p.Optional {
		return nil, err
	}
	set, err := p.readOne(scope{place{join(content.path, p.root()), value}, content}, p.Name, split(p.root()))
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
		set, err := p.readOne(scope{entry, content}, names[i], append(split(p.root()), key))
		if err != nil {
			return nil, err
		}
		if set != nil {
			sets = append(sets, *set)
		}
	}
	return sets, nil
}

// readOne reads the set at root, to which the fields of at lead; nil where When or
// Unless say that there is none.
func (p *PodSetPaths) readOne(root scope, name string, at []string) (*PodSet, error) {
	none, err := p.none(root)
	if none || err != nil {
		return nil, err
	}
	set := &PodSet{Name: name, PerNode: p.PerNode, IsPod: p.isPod(), Pods: p.Pods}
	if p.isPod() {
		if set.Status, err = podStatus(root.place); err != nil {
			return nil, err
		}
	}
	var path string
	if set.Template, path, err = p.template(root); err != nil {
		return nil, err
	}
	if set.Elsewhere = p.elsewhere(); !set.Elsewhere {
		set.TemplatePath = append(slices.Clip(at), split(path)...)
	}
	numbers, err := p.numbers(root, name)
	if err != nil {
		return nil, err
	}
	if !p.PerNode {
		if set.Replicas, err = product(root.place, p.factors(numbers)); err != nil {
			return nil, err
		}
	}
	return set, p.setSurge(set, root, numbers)
}

// factors are the numbers with Count, where that is given.
func (p *PodSetPaths) factors(numbers []int64) []int64 {
	if p.Count == 0 {
		return numbers
	}
	return append(slices.Clip(numbers), p.Count)
}

// none says whether When does not hold, or Unless does.
func (p *PodSetPaths) none(root scope) (bool, error) {
	if holds, err := root.holds(p.When); !holds || err != nil {
		return true, err
	}
	if p.Unless == "" {
		return false, nil
	}
	return root.holds(p.Unless)
}

// numbers are the numbers of Replicas, the last one within its bounds, each less what
// is done of it.
func (p *PodSetPaths) numbers(root scope, name string) ([]int64, error) {
	numbers := make([]int64, len(p.Replicas))
	for i, path := range p.Replicas {
		number, ok, err := root.number(path)
		switch {
		case err != nil:
			return nil, err
		case ok:
			numbers[i] = number
		case p.mustStand(i):
			return nil, root.errorf(path, "must be given: what holds without it stands %s", cmp.Or(p.From, "elsewhere"))
		default:
			numbers[i] = p.orDefault(i)
		}
	}
	if len(numbers) == 0 {
		return nil, nil
	}
	if running, last, err := p.last(root); last || err != nil {
		numbers[len(numbers)-1] = running
		return numbers, err
	}
	done, err := p.done(root, name)
	if err != nil {
		return nil, err
	}
	for i, path := range p.Replicas {
		numbers[i] = max(0, numbers[i]-done[path])
	}
	last, err := p.bounded(root.place, numbers[len(numbers)-1], done[p.AtMost])
	numbers[len(numbers)-1] = last
	return numbers, err
}

// last says whether no more pods are made, and how many run then.
func (p *PodSetPaths) last(root scope) (running int64, last bool, err error) {
	if p.Done == nil || p.Done.Last == "" {
		return 0, false, nil
	}
	if last, err = root.holds(p.Done.Last); !last || err != nil {
		return 0, false, err
	}
	running, err = root.whole.numberOr(p.Done.Running, 0)
	return running, true, err
}

// done is how much is done of the number at each path.
func (p *PodSetPaths) done(root scope, name string) (map[string]int64, error) {
	if p.Done == nil {
		return nil, nil
	}
	if again, err := root.oneHolds(p.Done.Unless); again || err != nil {
		return nil, err
	}
	from, path := root.whole, p.Done.At
	if list, rest, each := strings.Cut(path, ".*."); each {
		entries, names, err := from.items(list, "name")
		i := slices.Index(names, name)
		if i < 0 || err != nil {
			return nil, err
		}
		from, path = entries[i], rest
	}
	number, err := from.numberOr(path, 0)
	return map[string]int64{p.Done.Of: number}, err
}

// bounded is number within AtMost, of which some is done, and AtLeast, less Minus.
func (p *PodSetPaths) bounded(root place, number, done int64) (int64, error) {
	most, given, err := int64(maxPods), false, error(nil)
	if p.AtMost != "" {
		most, given, err = root.number(p.AtMost)
	}
	if err != nil {
		return 0, err
	}
	if most -= done; !given {
		most = maxPods
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
func (p *PodSetPaths) setSurge(set *PodSet, root scope, numbers []int64) error {
	if numbers = p.factors(numbers); len(numbers) == 0 {
		numbers = []int64{1}
	}
	for _, rule := range p.Surge {
		if holds, err := root.holds(rule.When); err != nil {
			return err
		} else if holds {
			return rule.apply(set, root.place, numbers)
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
	if set.Replicas == 0 {
		return nil // No pods, no update.
	}
	kept, err := s.kept(root)
	if err != nil {
		return err
	}
	if len(numbers) == 1 {
		set.SurgeAt, set.Kept = value, kept
	}
	// No factor is above maxPods, so nothing overflows here.
	first, err := surgeOf(value, kept, numbers[0])
	if err != nil {
		return root.errorf(s.Path, "%v", err)
	}
	surged := slices.Clone(numbers)
	surged[0] = first
	set.Surge, err = product(root, surged)
	return err
}

// kept is the number or percentage at Kept; nil for none.
func (s *Surge) kept(root place) (*intstr.IntOrString, error) {
	if s.Kept == "" {
		return nil, nil
	}
	kept, err := root.numberOrPercent(s.Kept)
	if kept == nil || err != nil {
		return nil, err
	}
	if _, err := intstr.GetScaledValueFromIntOrPercent(kept, 100, false); err != nil {
		return nil, root.errorf(s.Kept, "expected a number or a percentage, found %q", kept.String())
	}
	return kept, nil
}

// surgeOf is the surge of so many replicas, of which an update leaves kept as they are,
// where that is given: what is in doubt is not kept.
func surgeOf(surge, kept *intstr.IntOrString, replicas int64) (int64, error) {
	pods, err := intstr.GetScaledValueFromIntOrPercent(surge, int(replicas), true)
	if kept == nil || err != nil {
		return int64(pods), err
	}
	stay, err := intstr.GetScaledValueFromIntOrPercent(kept, int(replicas), false)
	return max(0, min(int64(pods), replicas-int64(max(0, stay)))), err
}
