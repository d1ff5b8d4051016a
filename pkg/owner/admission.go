package owner

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// admit gives a new pod what the API server does: its defaults, and what the admission
// plugins add that are on unless they are turned off.
func (m *Maker) admit(pod *corev1.Pod) {
	m.mutate(pod)
	mergeLabelKeys(pod)
}

// mutate is admit up to where webhooks are called.
func (m *Maker) mutate(pod *corev1.Pod) {
	workload.ApplyLimitRanges(&pod.Spec, m.limits[pod.Namespace])
	m.defaults(pod)
	m.priority(pod)
	defaultTolerations(pod)
	m.runtimeClass(pod)
}

// priority resolves the priority class, as the Priority plugin does.
func (m *Maker) priority(pod *corev1.Pod) {
	if pod.Spec.Priority != nil {
		return
	}
	for _, class := range m.snap.PriorityClasses {
		if class.Name == pod.Spec.PriorityClassName || (pod.Spec.PriorityClassName == "" && class.GlobalDefault) {
			pod.Spec.PriorityClassName, pod.Spec.Priority, pod.Spec.PreemptionPolicy = class.Name, &class.Value, class.PreemptionPolicy
			return
		}
	}
}

// unreadySeconds is for how long pods stay on nodes that are not ready, unless they say.
const unreadySeconds = 300

// defaultTolerations are for nodes that are not ready or not reachable, as the
// DefaultTolerationSeconds plugin adds them.
func defaultTolerations(pod *corev1.Pod) {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		says := slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		})
		if !says {
			seconds := int64(unreadySeconds)
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
				Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
			})
		}
	}
}

// runtimeClass adds what the pod's runtime needs for itself, and where it is, as the
// RuntimeClass plugin does. A pod that asks for other nodes than its runtime's is refused
// there; here it keeps what it asks for.
func (m *Maker) runtimeClass(pod *corev1.Pod) {
	class := m.class(pod)
	if class == nil {
		return
	}
	if class.Overhead != nil {
		pod.Spec.Overhead = class.Overhead.PodFixed
	}
	if class.Scheduling == nil {
		return
	}
	if len(class.Scheduling.NodeSelector) > 0 {
		pod.Spec.NodeSelector = withEntries(class.Scheduling.NodeSelector, pod.Spec.NodeSelector)
	}
	pod.Spec.Tolerations = withTolerations(pod.Spec.Tolerations, class.Scheduling.Tolerations)
}

// class is the pod's runtime class; nil for none, or one that the snapshot does not hold.
func (m *Maker) class(pod *corev1.Pod) *nodev1.RuntimeClass {
	if pod.Spec.RuntimeClassName == nil {
		return nil
	}
	for _, class := range m.snap.RuntimeClasses {
		if class.Name == *pod.Spec.RuntimeClassName {
			return class
		}
	}
	return nil
}

// withTolerations are tolerations, and those of further that are not among them.
func withTolerations(tolerations, further []corev1.Toleration) []corev1.Toleration {
	for _, toleration := range further {
		if !slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return equality.Semantic.DeepEqual(t, toleration) }) {
			tolerations = append(tolerations, toleration)
		}
	}
	return tolerations
}

// mergeLabelKeys puts into the selectors of affinity terms and spread constraints what
// their matchLabelKeys and mismatchLabelKeys stand for, as the API server does when a pod
// is created.
func mergeLabelKeys(pod *corev1.Pod) {
	for _, terms := range podAffinityTerms(pod.Spec.Affinity) {
		for _, term := range terms {
			requireLabels(term.LabelSelector, term.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
			requireLabels(term.LabelSelector, term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, pod.Labels)
		}
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		constraint := &pod.Spec.TopologySpreadConstraints[i]
		requireLabels(constraint.LabelSelector, constraint.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
	}
}

// podAffinityTerms are all terms for being near to or far from other pods.
func podAffinityTerms(affinity *corev1.Affinity) [][]*corev1.PodAffinityTerm {
	if affinity == nil {
		return nil
	}
	var all [][]*corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		var terms []*corev1.PodAffinityTerm
		for i := range required {
			terms = append(terms, &required[i])
		}
		for i := range preferred {
			terms = append(terms, &preferred[i].PodAffinityTerm)
		}
		all = append(all, terms)
	}
	if near := affinity.PodAffinity; near != nil {
		add(near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if far := affinity.PodAntiAffinity; far != nil {
		add(far.RequiredDuringSchedulingIgnoredDuringExecution, far.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return all
}

// requireLabels adds to a selector the pod's own values of keys; keys that the pod has not
// are passed over. A selector that is not there selects nothing whatever is added.
func requireLabels(selector *metav1.LabelSelector, keys []string, operator metav1.LabelSelectorOperator, labels map[string]string) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		value, ok := labels[key]
		merged := slices.ContainsFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool {
			return r.Key == key && r.Operator == operator && slices.Equal(r.Values, []string{value})
		})
		if ok && !merged {
			selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}
