package explain

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// removeGates lifts all the gates by hand, where the pod would then fit.
func (s *search) removeGates(ctx context.Context) ([]verified, error) {
	if len(s.pod.Spec.SchedulingGates) == 0 {
		return nil, nil
	}
	names := gateNames(s.pod)
	remove := op{Op: report.OpRemove, Path: "/schedulingGates", from: strings.Join(names, ",")}
	lift := atom{
		kind: report.RemedyRemoveGate, key: "remove gates", what: strings.Join(names, ","), disturbance: disturbClaim,
		text: fmt.Sprintf("remove the scheduling gate %s by hand", strings.Join(names, ", ")),
		spec: func(*corev1.PodSpec) []op { return []op{remove} },
	}
	return s.together(ctx, []atom{lift})
}
