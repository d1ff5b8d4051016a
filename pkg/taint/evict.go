package taint

import (
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
)

// Fate is what the taint-eviction controller does with a pod on a node.
type Fate struct {
	// Evicted says that the pod will be deleted, After how long after the change.
	Evicted bool
	After   time.Duration
	// Counting says that the pod was being counted down before the change, and that
	// After is what is left of it. Since when a taint counts is what its timeAdded
	// says; where it says nothing After is the most it can be.
	Counting bool
}

// Evict is the fate of a pod when the taints of its node are changed at the time
// now.
func Evict(pod *corev1.Pod, before, after []corev1.Taint, now time.Time) Fate {
	stay, evicted := Stays(pod, after)
	if !evicted {
		return Fate{}
	}
	if stay == 0 {
		return Fate{Evicted: true}
	}
	if left, counting := countdown(pod, before, now); counting {
		return Fate{Evicted: true, After: left, Counting: true}
	}
	return Fate{Evicted: true, After: stay}
}

// Tolerates says whether a pod with these tolerations may be put on a node with
// these taints, as the scheduler's TaintToleration filter does.
func Tolerates(tolerations []corev1.Toleration, taints []corev1.Taint) bool {
	for i := range taints {
		if taints[i].Effect == corev1.TaintEffectPreferNoSchedule {
			continue
		}
		if firstMatch(tolerations, &taints[i]) == nil {
			return false
		}
	}
	return true
}

// Stays is for how long a pod stays on a node with these taints, before it is
// evicted; it is not where it tolerates all that are NoExecute for good.
func Stays(pod *corev1.Pod, taints []corev1.Taint) (stay time.Duration, evicted bool) {
	for i := range taints {
		if taints[i].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		toleration := firstMatch(pod.Spec.Tolerations, &taints[i])
		if toleration == nil {
			return 0, true
		}
		if toleration.TolerationSeconds == nil {
			continue
		}
		seconds := time.Duration(max(0, *toleration.TolerationSeconds)) * time.Second
		if !evicted || seconds < stay {
			stay, evicted = seconds, true
		}
	}
	return stay, evicted
}

// countdown is what is left to a pod that is counted down already. The controller
// begins when the first of the taints that now bound the pod's stay came to it, and
// keeps that time whatever comes later.
func countdown(pod *corev1.Pod, before []corev1.Taint, now time.Time) (left time.Duration, counting bool) {
	stay, counting := Stays(pod, before)
	if !counting || stay == 0 {
		return 0, false
	}
	since := now
	for i := range before {
		if added := before[i].TimeAdded; before[i].Effect == corev1.TaintEffectNoExecute && added != nil && added.Time.Before(since) {
			since = added.Time
		}
	}
	if start := boundAt(pod); start.After(since) && start.Before(now) {
		since = start
	}
	return max(0, stay-now.Sub(since)), true
}

// boundAt is when the pod came to its node, as far as it says.
func boundAt(pod *corev1.Pod) time.Time {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionTrue {
			return condition.LastTransitionTime.Time
		}
	}
	return pod.CreationTimestamp.Time
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
