package simulate

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// memo knows which pods cannot have a node as things stand: those alike to one that
// has found none since the last change that may help them.
type memo struct {
	alike *Alike
	// failed is, for pods alike, what had been freed and placed when one failed.
	failed map[string]moment
	moment
}

// moment counts the changes that free something, and the placements.
type moment struct{ freed, placed int }

func newMemo() *memo { return &memo{failed: map[string]moment{}} }

// forget drops all failures, as what they saw is no more.
func (m *memo) forget() { clear(m.failed) }

// learn reads the selectors of all pods that there are, once.
func (m *memo) learn(engine *predicate.Engine, pods []*corev1.Pod) {
	if m.alike == nil {
		m.alike = NewAlike(engine.Config(), nil)
		for node := range engine.Nodes() {
			for pod := range node.Pods() {
				m.alike.add(pod)
			}
		}
	}
	for _, pod := range pods {
		m.alike.add(pod)
	}
}

// fail notes that a pod has found no node.
func (m *memo) fail(pod *corev1.Pod) { m.failed[m.alike.Key(pod)] = m.moment }

// hopeless says whether a pod alike has found no node and nothing has changed since
// that may help.
func (m *memo) hopeless(pod *corev1.Pod) bool {
	if len(m.failed) == 0 {
		return false
	}
	then, failed := m.failed[m.alike.Key(pod)]
	return failed && then.freed == m.freed && (then.placed == m.placed || !m.alike.further && !follows(pod))
}

// follows says whether a pod that is placed may open a node to this one, which asks
// to be near it, to be spread evenly with it, or shares a device with it.
func follows(pod *corev1.Pod) bool {
	affinity := pod.Spec.Affinity
	return affinity != nil && affinity.PodAffinity != nil || len(pod.Spec.TopologySpreadConstraints) > 0 || len(pod.Spec.ResourceClaims) > 0
}
