package taint

import (
	"math"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Eviction is what the taint-eviction controller does to a pod on a node.
type Eviction struct {
	// Evicted says that the pod will be deleted, After how long after the change.
	Evicted bool
	After   time.Duration
	// Counting says that the pod was being counted down before the change, and that
	// After is what is left of it. A taint counts since its timeAdded; one without it is
	// taken to count since the change, so that After is the most it can be.
	Counting bool
}

// Evict says whether and when a pod is evicted if the taints of its node are changed at
// the time now.
func Evict(pod *corev1.Pod, before, after []corev1.Taint, now time.Time) Eviction {
	stay, bounded, tolerated := bears(pod, noExecute(after))
	if !tolerated {
		return Eviction{Evicted: true}
	}
	if !bounded {
		return Eviction{}
	}
	if left, counting := countdown(pod, noExecute(before), now); counting {
		return Eviction{Evicted: true, After: left, Counting: true}
	}
	return Eviction{Evicted: true, After: stay}
}

// Tolerates says whether a pod with these tolerations may be put on a node with
// these taints, as the scheduler's TaintToleration filter does.
func Tolerates(tolerations []corev1.Toleration, taints []corev1.Taint) bool {
	for i := range taints {
		if KeepsOff(tolerations, &taints[i]) {
			return false
		}
	}
	return true
}

// KeepsOff says whether a taint keeps pods with these tolerations off a node: one of
// PreferNoSchedule never does.
func KeepsOff(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	return taint.Effect != corev1.TaintEffectPreferNoSchedule && firstMatch(tolerations, taint) == nil
}

// Stays is for how long a pod stays on a node with these taints, before it is
// evicted; it is not where it tolerates all that are NoExecute for good.
func Stays(pod *corev1.Pod, taints []corev1.Taint) (stay time.Duration, evicted bool) {
	stay, bounded, tolerated := bears(pod, noExecute(taints))
	return stay, bounded || !tolerated
}

func noExecute(taints []corev1.Taint) []corev1.Taint {
	var list []corev1.Taint
	for _, taint := range taints {
		if taint.Effect == corev1.TaintEffectNoExecute {
			list = append(list, taint)
		}
	}
	return list
}

// bears says whether a pod tolerates all of the taints, and for how long, if that is
// bounded. As in the controller, seconds that a time.Duration does not hold may wrap
// around; what is then below zero is for ever.
func bears(pod *corev1.Pod, taints []corev1.Taint) (stay time.Duration, bounded, tolerated bool) {
	const forever = math.MaxInt64
	least := int64(forever)
	for i := range taints {
		toleration := firstMatch(pod.Spec.Tolerations, &taints[i])
		if toleration == nil {
			return 0, false, false
		}
		if toleration.TolerationSeconds != nil {
			least = min(least, max(0, *toleration.TolerationSeconds))
		}
	}
	if stay = time.Duration(least) * time.Second; least == forever || stay < 0 {
		return 0, false, true
	}
	return stay, true, true
}

// countdown is what is left to a pod that is counted down already, under the NoExecute
// taints before the change. The count begins when the taints that have come bound the
// pod's stay first; it goes by those, whatever comes later.
func countdown(pod *corev1.Pod, before []corev1.Taint, now time.Time) (left time.Duration, counting bool) {
	bound, known := snapshot.BoundAt(pod)
	if !known {
		bound = pod.CreationTimestamp.Time
	}
	since := func(taint corev1.Taint) time.Time {
		switch added := taint.TimeAdded; {
		case added == nil || added.After(now) || bound.After(now):
			return now
		case added.Time.Before(bound):
			return bound
		default:
			return added.Time
		}
	}
	slices.SortStableFunc(before, func(a, b corev1.Taint) int { return since(a).Compare(since(b)) })
	for i, taint := range before {
		if i+1 < len(before) && since(before[i+1]).Equal(since(taint)) {
			continue // comes with the next
		}
		stay, bounded, tolerated := bears(pod, before[:i+1])
		if !tolerated {
			return 0, false // evicted then
		}
		if bounded {
			return max(0, stay-now.Sub(since(taint))), true
		}
	}
	return 0, false
}

// firstMatch is the first toleration that matches the taint: the controller looks no
// further, although a later one may tolerate it for longer.
func firstMatch(tolerations []corev1.Toleration, taint *corev1.Taint) *corev1.Toleration {
	// A toleration by comparison is one only if the API server lets it in.
	const comparisons = true
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(logr.Discard(), taint, comparisons) {
			return &tolerations[i]
		}
	}
	return nil
}
