package explain

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// compareWithCluster says whether the scheduler's last word is ours, and if not,
// what is known of why.
func compareWithCluster(pod *corev1.Pod, nodes int, item *report.PendingItem) {
	condition := scheduledCondition(pod)
	switch {
	case condition == nil && item.Verdict == report.VerdictGated:
		item.Disagreement = "the scheduler leaves neither a condition nor an event on a pod that this holds"
	case condition == nil:
		item.Disagreement = "the scheduler has not reported on this pod yet"
	case condition.Message == item.Message || equalButForTies(condition.Message, item):
		item.Agrees = report.AgreesTrue
	default:
		item.Agrees = report.AgreesFalse
		item.Disagreement = disagreement(condition, nodes, item)
	}
}

// equalButForTies: among nodes that preemption ranks equal the scheduler takes any.
func equalButForTies(message string, item *report.PendingItem) bool {
	if item.Preemption == nil || item.Preemption.Node == "" {
		return false
	}
	for _, node := range item.Preemption.EqualNodes {
		if strings.ReplaceAll(item.Message, "on node "+item.Preemption.Node+",", "on node "+node+",") == message {
			return true
		}
	}
	return false
}

func disagreement(condition *corev1.PodCondition, nodes int, item *report.PendingItem) string {
	when := ""
	if !condition.LastTransitionTime.IsZero() {
		when = " (first said " + condition.LastTransitionTime.UTC().Format("2006-01-02 15:04:05Z") + ")"
	}
	if item.Verdict == report.VerdictSchedulable {
		return "the cluster has changed since the scheduler's last try" + when + ": the pod would fit now"
	}
	if total := fmt.Sprintf("0/%d nodes", nodes); !strings.HasPrefix(condition.Message, total) {
		return fmt.Sprintf("the scheduler spoke of other nodes%s: there are %d now", when, nodes)
	}
	return "the cluster has changed since the scheduler's last try" + when
}
