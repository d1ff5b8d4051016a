package explain

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
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

// removeGates lifts all the gates by hand, where the pod would then fit.
func (e *Explainer) removeGates(ctx context.Context, pod *corev1.Pod) ([]verified, error) {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil, nil
	}
	names := gateNames(pod)
	remove := op{Op: report.OpRemove, Path: "/schedulingGates", from: strings.Join(names, ",")}
	lift := atom{
		kind: report.RemedyRemoveGate, key: "remove gates", what: strings.Join(names, ","), disturbance: disturbClaim,
		text: fmt.Sprintf("remove the scheduling gate %s by hand", strings.Join(names, ", ")),
		spec: func(*corev1.PodSpec) []op { return []op{remove} },
	}
	return e.together(ctx, pod, []atom{lift})
}
