package snapshot

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Budgets finds the PodDisruptionBudgets that pods count in, as the disruption
// controller does (k8s.io/kubernetes pkg/controller/disruption). It is safe for
// concurrent use.
type Budgets struct {
	// byLabel holds each budget under one label that its selector asks for; unlabelled
	// those whose selectors ask for none, by namespace.
	byLabel    map[label][]selective
	unlabelled map[string][]selective
}

// selective is a budget with its selector.
type selective struct {
	budget   *policyv1.PodDisruptionBudget
	selector labels.Selector
}

// label is one that pods of a namespace may have.
type label struct{ namespace, key, value string }

// NewBudgets indexes budgets. A selector that is not valid matches nothing.
func NewBudgets(budgets []*policyv1.PodDisruptionBudget) *Budgets {
	b := &Budgets{byLabel: map[label][]selective{}, unlabelled: map[string][]selective{}}
	for _, budget := range budgets {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err == nil && budget.Spec.Selector != nil {
			b.add(selective{budget, selector})
		}
	}
	return b
}

func (b *Budgets) add(s selective) {
	namespace, wanted := s.budget.Namespace, s.budget.Spec.Selector.MatchLabels
	if len(wanted) == 0 {
		b.unlabelled[namespace] = append(b.unlabelled[namespace], s)
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(wanted)))
	key := label{namespace, first, wanted[first]}
	b.byLabel[key] = append(b.byLabel[key], s)
}

// Of returns the budgets that a pod counts in, by name.
func (b *Budgets) Of(pod *corev1.Pod) []*policyv1.PodDisruptionBudget {
	matching := matched(nil, b.unlabelled[pod.Namespace], pod)
	for key, value := range pod.Labels {
		matching = matched(matching, b.byLabel[label{pod.Namespace, key, value}], pod)
	}
	slices.SortFunc(matching, func(a, b *policyv1.PodDisruptionBudget) int { return cmp.Compare(a.Name, b.Name) })
	return matching
}

// matched appends those of the candidates that match the pod.
func matched(budgets []*policyv1.PodDisruptionBudget, candidates []selective, pod *corev1.Pod) []*policyv1.PodDisruptionBudget {
	for _, c := range candidates {
		if c.selector.Matches(labels.Set(pod.Labels)) {
			budgets = append(budgets, c.budget)
		}
	}
	return budgets
}

// Healthy reports whether budgets count a pod as there: it is ready and is not being
// deleted.
func Healthy(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
