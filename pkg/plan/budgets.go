package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// budgets counts the PodDisruptionBudgets of a cluster as the disruption controller
// does (k8s.io/kubernetes pkg/controller/disruption): a pod counts in every budget
// whose selector matches it, and is healthy if it is ready and not being deleted.
type budgets struct {
	index *snapshot.Budgets
	known map[*policyv1.PodDisruptionBudget]*budget
	// matching are the budgets of pods that have been asked for.
	matching map[types.UID][]*budget
	// healthy are the pods that count; unfit are those in place of one that did not.
	healthy, unfit map[types.UID]bool
}

// budget is a PodDisruptionBudget, and how many healthy pods it asks for and has.
type budget struct {
	*policyv1.PodDisruptionBudget
	desired, healthy int32
}

// newBudgets counts the healthy pods of a snapshot; index finds their controllers.
func newBudgets(snap *snapshot.Snapshot, index *owner.Index) *budgets {
	b := &budgets{
		index: snapshot.NewBudgets(snap.PodDisruptionBudgets), known: map[*policyv1.PodDisruptionBudget]*budget{},
		matching: map[types.UID][]*budget{}, healthy: map[types.UID]bool{}, unfit: map[types.UID]bool{},
	}
	for _, pdb := range snap.PodDisruptionBudgets {
		b.known[pdb] = &budget{PodDisruptionBudget: pdb}
	}
	covered := map[*budget][]*corev1.Pod{}
	for _, pod := range snap.Pods {
		for _, budget := range b.of(pod) {
			covered[budget] = append(covered[budget], pod)
		}
		b.set(pod, snapshot.Healthy(pod))
	}
	scales := &scales{index}
	for budget, pods := range covered {
		budget.desired = scales.desired(budget.PodDisruptionBudget, pods)
	}
	return b
}

// of are the budgets that a pod counts in, by name.
func (b *budgets) of(pod *corev1.Pod) []*budget {
	matching, known := b.matching[pod.UID]
	if !known {
		for _, pdb := range b.index.Of(pod) {
			matching = append(matching, b.known[pdb])
		}
		b.matching[pod.UID] = matching
	}
	return matching
}

func compareBudgets(a, b *budget) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// set counts a pod as healthy, or no longer.
func (b *budgets) set(pod *corev1.Pod, healthy bool) {
	if b.healthy[pod.UID] == healthy {
		return
	}
	delta := int32(1)
	if healthy {
		b.healthy[pod.UID] = true
	} else {
		delete(b.healthy, pod.UID)
		delta = -1
	}
	for _, budget := range b.of(pod) {
		budget.healthy += delta
	}
}

// sound says what breaks when all pods of a wave are gone at once: nil, or a line
// for each budget that it takes below what it asks for, by namespace and name.
func (b *budgets) sound(wave []*move) []string {
	gone := map[types.UID]bool{}
	lost := map[*budget]int32{}
	for _, m := range wave {
		if !b.healthy[m.pod.UID] || gone[m.pod.UID] || snapshot.Mirror(m.pod) {
			continue
		}
		gone[m.pod.UID] = true
		for _, budget := range b.of(m.pod) {
			lost[budget]++
		}
	}
	var broken []string
	for _, budget := range slices.SortedFunc(maps.Keys(lost), compareBudgets) {
		if left := budget.healthy - lost[budget]; left < budget.desired {
			broken = append(broken, fmt.Sprintf("PodDisruptionBudget %s/%s wants %d healthy pods and would have %d of %d",
				budget.Namespace, budget.Name, budget.desired, left, budget.healthy))
		}
	}
	return broken
}

// advance makes the state after a wave the one to count from: its pods are gone, and
// what came to a node is healthy, unless it replaces a pod that was not.
func (b *budgets) advance(wave []*move, came []*arrival) {
	gone := map[types.UID]bool{}
	for _, m := range wave {
		if snapshot.Mirror(m.pod) {
			continue
		}
		if m.replacement != nil && !m.fit {
			b.unfit[m.replacement.UID] = true
		}
		gone[m.pod.UID] = true
		b.set(m.pod, false)
	}
	for _, a := range came {
		if !gone[a.pod.UID] && !b.unfit[a.pod.UID] {
			b.set(a.pod, true)
		}
	}
}

// verdicts says what the moves and steps make of each budget that counts an evicted
// pod, and names for each move the first budget by name that is below what it asks for
// with it.
func (b *budgets) verdicts(moves []*move, steps []*step) (map[*budget]report.BudgetVerdict, map[*move]string) {
	curves := map[*budget]*curve{}
	for _, m := range moves {
		if !m.counts() {
			continue
		}
		for _, budget := range b.of(m.pod) {
			curves[budget] = &curve{before: budget.healthy}
		}
	}
	for _, s := range steps {
		for _, budget := range b.of(s.pod) {
			if c := curves[budget]; c != nil {
				c.steps = append(c.steps, s)
			}
		}
	}
	verdicts, violated := map[*budget]report.BudgetVerdict{}, map[*move]string{}
	for _, budget := range slices.SortedFunc(maps.Keys(curves), compareBudgets) {
		c := curves[budget]
		lowest, _ := c.lowest()
		verdicts[budget] = report.BudgetVerdict{
			Namespace: budget.Namespace, Name: budget.Name, Desired: budget.desired, Healthy: budget.healthy,
			Lowest: lowest, BelowSeconds: c.belowSeconds(budget.desired), Violated: lowest < min(budget.desired, budget.healthy),
		}
		for _, m := range c.breaking(budget.desired) {
			violated[m] = cmp.Or(violated[m], budget.Name)
		}
	}
	return verdicts, violated
}
