package quota

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// horizontal is what matters of a HorizontalPodAutoscaler, the same in all versions.
type horizontal struct {
	Spec struct {
		ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
		MaxReplicas    int32                                     `json:"maxReplicas"`
	} `json:"spec"`
}

// autoscaler judges whether what a HorizontalPodAutoscaler scales would fit at
// maxReplicas. Nothing is charged for that: an autoscaler asks again when it scales,
// and so it may be admitted when that cannot be said.
func (d *decider) autoscaler(ctx context.Context, req *admission.Request) (*report.QuotaCheck, error) {
	var before, after horizontal
	if err := webhook.DecodeInto(req.Object, "object", &after); err != nil {
		return nil, err
	}
	if req.Operation == admissionv1.Update {
		if err := webhook.DecodeInto(req.OldObject, "oldObject", &before); err != nil {
			return nil, err
		}
	}
	target := after.Spec.ScaleTargetRef
	if target == before.Spec.ScaleTargetRef && after.Spec.MaxReplicas <= before.Spec.MaxReplicas {
		return nil, nil
	}
	kind := d.Kinds.Of(schema.FromAPIVersionAndKind(target.APIVersion, target.Kind).GroupKind())
	if kind == nil {
		return nil, nil
	}
	check, err := d.atMost(ctx, req, kind, types.NamespacedName{Namespace: req.Namespace, Name: target.Name}, after.Spec.MaxReplicas)
	if err != nil {
		return &report.QuotaCheck{Allowed: true, Warnings: []string{fmt.Sprintf("spec.maxReplicas: whether %d will fit is not known: %v", after.Spec.MaxReplicas, err)}}, nil
	}
	return check, nil
}

// atMost judges a workload with the number of replicas that an autoscaler may give it.
func (d *decider) atMost(ctx context.Context, req *admission.Request, kind *workload.Kind, name types.NamespacedName, replicas int32) (*report.QuotaCheck, error) {
	change, err := d.resized(ctx, kind, name, nil, replicas)
	if change == nil || err != nil || change.New.Group == "" {
		return nil, err
	}
	owner, err := d.judgeOf(req).CountedOwner(ctx, change.New)
	if owner != nil || err != nil {
		return nil, err
	}
	return d.ledger.judgeLive(ctx, change.New.Group, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		check := tree.CheckWorkload(*change)
		for i, reason := range check.Reasons {
			check.Reasons[i] = fmt.Sprintf("spec.maxReplicas: %d will not fit: %s", replicas, reason)
		}
		if group := tree.Group(change.New.Group); group == nil || group.Spec.HPA != stowagev1alpha1.HPADeny {
			quota.Warn(check, "")
		}
		return check, nil
	})
}
