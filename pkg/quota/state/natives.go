package state

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// natives says which ResourceQuotas of the namespace, as the changes before left them, will
// not let all pods of a change to an object start, or not the object: they stop what groups
// let by.
func (t *Trial) natives(object snapshot.Object, change quota.Change) []string {
	var notes []string
	for _, native := range t.nativesOf(change.New.Namespace) {
		if short := t.counts(native, change); short != "" {
			notes = append(notes, fmt.Sprintf("ResourceQuota %s has %s: the object itself is refused", native.Name, short))
		}
	}
	if len(change.New.Kind.PodSets) > 0 {
		return append(notes, t.ofPods("", change)...)
	}
	if made, err := t.state.Kinds.Made(change.New.Kind, object); made != nil && err == nil {
		notes = append(notes, t.ofPods("one "+made.Kind.Kind+" of it: ", quota.Change{New: made})...)
	}
	return notes
}

// nativesOf are the ResourceQuotas of a namespace.
func (t *Trial) nativesOf(namespace string) []*corev1.ResourceQuota {
	return slices.DeleteFunc(slices.Clone(t.state.Snapshot.ResourceQuotas), func(native *corev1.ResourceQuota) bool { return native.Namespace != namespace })
}

// counts says of a ResourceQuota that it has no room for one object more; "" where it has.
func (t *Trial) counts(native *corev1.ResourceQuota, change quota.Change) string {
	key := countKey(change.New)
	hard, ok := native.Spec.Hard[key]
	if left := less(hard, t.usedOf(native)[key]); ok && change.Old == nil && left.CmpInt64(1) < 0 {
		return fmt.Sprintf("%s: %s left, 1 needed", key, quota.Amount(key, left))
	}
	return ""
}

// countKey is the key by which ResourceQuotas count objects of the workload's kind.
func countKey(w *workload.Workload) corev1.ResourceName {
	return corev1.ResourceName("count/" + w.Kind.GroupResource().String())
}

// ofPods says, each after prefix, what the namespace's ResourceQuotas lack for the pods of a
// change.
func (t *Trial) ofPods(prefix string, change quota.Change) []string {
	var notes []string
	for _, native := range t.nativesOf(change.New.Namespace) {
		if lack := t.lacks(native, change); lack != "" {
			notes = append(notes, prefix+"ResourceQuota "+native.Name+lack)
		}
	}
	return notes
}

// lacks says what a ResourceQuota lacks for the pods of a change that are of its scopes; ""
// for nothing.
func (t *Trial) lacks(native *corev1.ResourceQuota, change quota.Change) string {
	scoped, sure := t.inScope(native, change.New)
	growth := t.growthIn(native, change)
	if len(growth) == 0 {
		return ""
	}
	doubt := ""
	if !sure {
		doubt = fmt.Sprintf(", if they are of its scopes (%s)", strings.Join(scopeNames(native), ", "))
	}
	if unset := quota.Unset(scoped, native.Spec.Hard, t.state.Workloads.Defaults(scoped.Namespace)); len(unset) > 0 {
		return fmt.Sprintf(": %s: no pod will start%s", strings.Join(unset, "; "), doubt)
	}
	if short := t.shortIn(native, growth); len(short) > 0 {
		return fmt.Sprintf(" has %s: not all pods will start%s", strings.Join(short, "; "), doubt)
	}
	return ""
}

// growthIn is what a ResourceQuota will have to count more after a change.
func (t *Trial) growthIn(native *corev1.ResourceQuota, change quota.Change) corev1.ResourceList {
	return quota.Increase(t.chargeIn(native, change.Old), t.chargeIn(native, change.New))
}

// chargeIn is what a workload's pods use of a ResourceQuota, by canonical key.
func (t *Trial) chargeIn(native *corev1.ResourceQuota, w *workload.Workload) corev1.ResourceList {
	if w == nil {
		return corev1.ResourceList{}
	}
	scoped, _ := t.inScope(native, w)
	return quota.Charge(scoped, quota.Options{Nodes: t.state.Workloads.Nodes(), Defaults: t.state.Workloads.Defaults(w.Namespace)})
}

// shortIn says of each key of a ResourceQuota of which too little is left, and what is
// needed: "limits.cpu: 1 left, 8 needed".
func (t *Trial) shortIn(native *corev1.ResourceQuota, growth corev1.ResourceList) []string {
	var short []string
	for _, key := range quota.Keys(native.Spec.Hard) {
		needs, asked := growth[quota.Canonical(key)]
		left := less(native.Spec.Hard[key], t.usedOf(native)[key])
		if asked && needs.Cmp(left) > 0 {
			amounts := quota.Amounts(key, left, needs)
			short = append(short, fmt.Sprintf("%s: %s left, %s needed", key, amounts[0], amounts[1]))
		}
	}
	return short
}

// usedOf is what is used of a ResourceQuota after the changes before.
func (t *Trial) usedOf(native *corev1.ResourceQuota) corev1.ResourceList {
	if used, ok := t.natively[native]; ok {
		return used
	}
	return native.Status.Used
}

// admitNatively counts a change in the namespace's ResourceQuotas; change.New is nil for a
// deletion.
func (t *Trial) admitNatively(change quota.Change) {
	of := change.New
	if of == nil {
		of = change.Old
	}
	for _, native := range t.nativesOf(of.Namespace) {
		used := native.DeepCopy().Status.Used
		if earlier, ok := t.natively[native]; ok {
			used = earlier.DeepCopy()
		}
		if used == nil {
			used = corev1.ResourceList{}
		}
		before, after := t.chargeIn(native, change.Old), t.chargeIn(native, change.New)
		before[countKey(of)], after[countKey(of)] = objects(change.Old), objects(change.New)
		for key := range native.Spec.Hard {
			amount := less(used[key], before[quota.Canonical(key)])
			amount.Add(after[quota.Canonical(key)])
			used[key] = amount
		}
		t.natively[native] = used
	}
}

// objects is how many objects a workload is: one, or none where it is not there.
func objects(w *workload.Workload) resource.Quantity {
	if w == nil {
		return resource.Quantity{}
	}
	return *resource.NewQuantity(1, resource.DecimalSI)
}

// inScope is the workload with those of its pods that may be of the scopes of a
// ResourceQuota. sure says that they are.
func (t *Trial) inScope(native *corev1.ResourceQuota, w *workload.Workload) (scoped *workload.Workload, sure bool) {
	scopes := scopesOf(native)
	if len(scopes) == 0 {
		return w, true
	}
	scoped, sure = new(workload.Workload), true
	*scoped = *w
	scoped.PodSets = nil
	for _, set := range w.PodSets {
		pod := &corev1.Pod{ObjectMeta: set.Template.ObjectMeta, Spec: set.Template.Spec}
		if !set.IsPod {
			pod = t.state.Workloads.Defaults(w.Namespace).Pod(pod)
		}
		is := matchesAll(scopes, &pod.Spec)
		if is != quota.No {
			scoped.PodSets = append(scoped.PodSets, set)
		}
		sure = sure && is != quota.Unknown
	}
	return scoped, sure
}

// scopesOf are the scopes of a ResourceQuota, all of which its pods are of.
func scopesOf(native *corev1.ResourceQuota) []corev1.ScopedResourceSelectorRequirement {
	var scopes []corev1.ScopedResourceSelectorRequirement
	for _, scope := range native.Spec.Scopes {
		scopes = append(scopes, corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if selector := native.Spec.ScopeSelector; selector != nil {
		scopes = append(scopes, selector.MatchExpressions...)
	}
	return scopes
}

func scopeNames(native *corev1.ResourceQuota) []string {
	var names []string
	for _, scope := range scopesOf(native) {
		names = append(names, string(scope.ScopeName))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// matchesAll says whether a pod is of all the scopes, as far as its template tells.
func matchesAll(scopes []corev1.ScopedResourceSelectorRequirement, spec *corev1.PodSpec) quota.Answer {
	all := quota.Yes
	for _, scope := range scopes {
		switch matches(scope, spec) {
		case quota.No:
			return quota.No
		case quota.Unknown:
			all = quota.Unknown
		}
	}
	return all
}

// matches says whether a pod is of a scope. See k8s.io/kubernetes/pkg/quota/v1/evaluator/core.
func matches(scope corev1.ScopedResourceSelectorRequirement, spec *corev1.PodSpec) quota.Answer {
	switch scope.ScopeName {
	case corev1.ResourceQuotaScopeBestEffort:
		return answer(bestEffort(spec))
	case corev1.ResourceQuotaScopeNotBestEffort:
		return answer(!bestEffort(spec))
	case corev1.ResourceQuotaScopeTerminating:
		return answer(spec.ActiveDeadlineSeconds != nil)
	case corev1.ResourceQuotaScopeNotTerminating:
		return answer(spec.ActiveDeadlineSeconds == nil)
	case corev1.ResourceQuotaScopePriorityClass:
		return ofPriority(scope, spec.PriorityClassName)
	}
	return quota.Unknown
}

// ofPriority says whether a pod of that priority class is of a scope; one that names none
// may be given the cluster's default.
func ofPriority(scope corev1.ScopedResourceSelectorRequirement, class string) quota.Answer {
	if class == "" {
		return quota.Unknown
	}
	switch scope.Operator {
	case corev1.ScopeSelectorOpIn:
		return answer(slices.Contains(scope.Values, class))
	case corev1.ScopeSelectorOpNotIn:
		return answer(!slices.Contains(scope.Values, class))
	case corev1.ScopeSelectorOpExists:
		return quota.Yes
	}
	return quota.No
}

func answer(yes bool) quota.Answer {
	if yes {
		return quota.Yes
	}
	return quota.No
}

// bestEffort says whether a pod asks for no processor and no memory.
func bestEffort(spec *corev1.PodSpec) bool {
	given := []corev1.ResourceRequirements{}
	if spec.Resources != nil {
		given = append(given, *spec.Resources)
	}
	for _, container := range slices.Concat(spec.InitContainers, spec.Containers) {
		given = append(given, container.Resources)
	}
	return !slices.ContainsFunc(given, func(r corev1.ResourceRequirements) bool {
		return !r.Requests.Cpu().IsZero() || !r.Requests.Memory().IsZero() || !r.Limits.Cpu().IsZero() || !r.Limits.Memory().IsZero()
	})
}
