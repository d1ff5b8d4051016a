package explain

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// gateLifters says who removes the scheduling gates that are in common use, by
// the gate's prefix.
var gateLifters = []struct{ prefix, lifter string }{
	{"kueue.x-k8s.io/topology", "Kueue, when it has assigned a topology"},
	{"kueue.x-k8s.io/", "Kueue, when the workload is admitted to its queue"},
	{"scheduling.volcano.sh/", "Volcano, when the queue has room"},
	{"karmada.io/", "Karmada, when the binding is scheduled"},
	{"stowage.dev/", "Stowage, when the group's quota has room"},
}

// gatedMessage is the condition that the API server sets on a pod created with
// scheduling gates; the scheduler never sees it.
const gatedMessage = "Scheduling is blocked due to non-empty scheduling gates"

func gates(pod *corev1.Pod) []report.Gate {
	var list []report.Gate
	for _, gate := range pod.Spec.SchedulingGates {
		lifter := ""
		for _, known := range gateLifters {
			if strings.HasPrefix(gate.Name, known.prefix) {
				lifter = known.lifter
				break
			}
		}
		list = append(list, report.Gate{Name: gate.Name, LiftedBy: lifter})
	}
	return list
}

func gateNames(pod *corev1.Pod) []string {
	names := make([]string, len(pod.Spec.SchedulingGates))
	for i, gate := range pod.Spec.SchedulingGates {
		names[i] = gate.Name
	}
	return names
}

func gateText(list []report.Gate) string {
	var parts []string
	for _, gate := range list {
		text := gate.Name
		if gate.LiftedBy != "" {
			text += " (lifted by " + gate.LiftedBy + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// nameGates says what keeps the pod out of the scheduler's queue.
func (w *world) nameGates(verdict *predicate.Verdict, item *report.PendingItem) {
	if len(verdict.Gates) == 0 {
		return
	}
	item.Gates = gates(verdict.Pod)
	item.Preemption = nil
	item.Message = verdict.Gates[0].Reasons()
	var causes []report.Cause
	for _, gate := range verdict.Gates {
		if gate.Plugin == predicate.SchedulingGates {
			item.Message = gatedMessage
		}
		causes = append(causes, w.gateCause(verdict.Pod, gate))
	}
	item.Causes = append(causes, item.Causes...)
}

func (w *world) gateCause(pod *corev1.Pod, gate predicate.Failure) report.Cause {
	cause := report.Cause{Reason: gate.Reasons(), Plugin: gate.Plugin}
	switch gate.Plugin {
	case predicate.SchedulingGates:
		cause.Reason, cause.Detail = "scheduling gates", gateText(gates(pod))
		cause.Subject = strings.Join(gateNames(pod), ", ")
		cause.Text = cause.Subject
	case predicate.DynamicResources:
		var about point
		about, cause.Detail = listText(w.resourceClaimPoints(pod))
		cause.Subject, cause.Text = about.subject, about.text
	}
	return cause
}
