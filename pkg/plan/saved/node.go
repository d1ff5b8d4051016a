package saved

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// Done says whether a node that has the taints now has had its planned change: what
// was to be set is there, what was to go is not. Taints that the plan leaves as they
// are do not matter.
func Done(node report.TaintedNode, now []corev1.Taint) bool {
	for _, set := range node.After {
		if !taint.Has(node.Before, set) && !taint.Has(now, set) {
			return false
		}
	}
	for _, gone := range node.Before {
		if !taint.Has(node.After, gone) && taint.Has(now, gone) {
			return false
		}
	}
	return true
}

// Sets says whether the planned change of a node sets a taint, or changes its value.
func Sets(node report.TaintedNode, t corev1.Taint) bool {
	return taint.Has(node.After, t) && !taint.Has(node.Before, t)
}

// Restore is what to leave on a node that has the taints now in order to undo its
// planned change. What was set since then by others stays, also where it took the
// place of what the plan set.
func Restore(node report.TaintedNode, now []corev1.Taint) []corev1.Taint {
	if taint.Same(now, node.After) {
		return node.Before
	}
	var restored []corev1.Taint
	for _, t := range now {
		if !taint.Has(node.After, t) || taint.Has(node.Before, t) {
			restored = append(restored, t)
		}
	}
	for _, t := range node.Before {
		if !taint.Has(node.After, t) && !slices.ContainsFunc(restored, func(other corev1.Taint) bool { return other.MatchTaint(&t) }) {
			restored = append(restored, t)
		}
	}
	return restored
}

// Taints writes taints as kubectl does: "a=b:NoExecute, c:NoSchedule".
func Taints(taints []corev1.Taint) string {
	if len(taints) == 0 {
		return "no taints"
	}
	texts := make([]string, len(taints))
	for i := range taints {
		texts[i] = taints[i].ToString()
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
