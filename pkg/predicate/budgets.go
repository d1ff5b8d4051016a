package predicate

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// budgets keeps the status of the PodDisruptionBudgets up with the pods that are
// evicted and become ready, as the disruption controller does: preemption goes by it.
type budgets struct {
	listed []*policyv1.PodDisruptionBudget
	index  *snapshot.Budgets
	// lost is how many healthy pods each has less than in the snapshot, without zeros.
	lost map[*policyv1.PodDisruptionBudget]int32
	// ready are the pods that count as healthy now and did not in the snapshot.
	ready map[types.UID]bool
}

func newBudgets(listed []*policyv1.PodDisruptionBudget) *budgets {
	return &budgets{
		listed: listed, index: snapshot.NewBudgets(listed),
		lost: map[*policyv1.PodDisruptionBudget]int32{}, ready: map[types.UID]bool{},
	}
}

// clone copies what changes.
func (b *budgets) clone() *budgets {
	return &budgets{listed: b.listed, index: b.index, lost: maps.Clone(b.lost), ready: maps.Clone(b.ready)}
}

func (b *budgets) healthy(pod *corev1.Pod) bool { return snapshot.Healthy(pod) || b.ready[pod.UID] }

// leave counts a pod that is evicted.
func (b *budgets) leave(pod *corev1.Pod) (undo func()) {
	if !b.healthy(pod) {
		return func() {}
	}
	return b.lose(pod, 1)
}

// arrive counts a pod that becomes ready.
func (b *budgets) arrive(pod *corev1.Pod) (undo func()) {
	if b.healthy(pod) {
		return func() {}
	}
	b.ready[pod.UID] = true
	back := b.lose(pod, -1)
	return func() {
		back()
		delete(b.ready, pod.UID)
	}
}

// lose takes healthy pods off the budgets of a pod.
func (b *budgets) lose(pod *corev1.Pod, healthy int32) (undo func()) {
	matching := b.index.Of(pod)
	count := func(healthy int32) {
		for _, budget := range matching {
			if b.lost[budget] += healthy; b.lost[budget] == 0 {
				delete(b.lost, budget)
			}
		}
	}
	count(healthy)
	return func() { count(-healthy) }
}

// now lists the budgets as they are, sorted as the snapshot is.
func (b *budgets) now() []*policyv1.PodDisruptionBudget {
	if len(b.lost) == 0 {
		return b.listed
	}
	current := slices.Clone(b.listed)
	for i, budget := range current {
		if lost := b.lost[budget]; lost != 0 {
			changed := *budget
			changed.Status.DisruptionsAllowed = max(0, slack(budget)-lost)
			current[i] = &changed
		}
	}
	return current
}

// slack is how many healthy pods a budget of the snapshot has more than it asks for.
// Where it allows no disruption, it may have fewer.
func slack(budget *policyv1.PodDisruptionBudget) int32 {
	status := budget.Status
	if status.DisruptionsAllowed > 0 {
		return status.DisruptionsAllowed
	}
	return min(0, status.CurrentHealthy-status.DesiredHealthy)
}

// Ready counts a pod that has been placed as healthy in its PodDisruptionBudgets, for
// preemption that follows. Evict takes it out again.
func (e *Engine) Ready(pod *corev1.Pod) (undo func()) { return e.budgets.arrive(pod) }
