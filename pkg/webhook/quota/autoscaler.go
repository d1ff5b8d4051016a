package quota

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
)

// autoscaler judges whether what a HorizontalPodAutoscaler scales would fit at
// maxReplicas. Nothing is charged for that, and so it may be admitted when that cannot
// be said.
func (d *decider) autoscaler(ctx context.Context, req *admission.Request) (*report.QuotaCheck, error) {
	var before, after quota.Autoscaler
	if err := webhook.DecodeInto(req.Object, "object", &after); err != nil {
		return nil, err
	}
	if req.Operation == admissionv1.Update {
		if err := webhook.DecodeInto(req.OldObject, "oldObject", &before); err != nil {
			return nil, err
		}
	}
	if !after.Grows(before) {
		return nil, nil
	}
	check, err := d.atMost(ctx, req, after)
	if err != nil {
		return quota.UnjudgedAutoscaler(after.Spec.MaxReplicas, err), nil
	}
	return check, nil
}

// atMost judges a workload with the number of replicas that an autoscaler may give it.
func (d *decider) atMost(ctx context.Context, req *admission.Request, autoscaler quota.Autoscaler) (*report.QuotaCheck, error) {
	kind := d.Kinds.Of(autoscaler.Target())
	if kind == nil {
		return nil, nil
	}
	name := types.NamespacedName{Namespace: req.Namespace, Name: autoscaler.Spec.ScaleTargetRef.Name}
	change, err := d.resized(ctx, kind, name, nil, autoscaler.Spec.MaxReplicas)
	if change == nil || err != nil {
		return nil, err
	}
	c, err := d.judgeOf(req).Autoscaler(ctx, *change, autoscaler.Spec.MaxReplicas)
	if c == nil || err != nil {
		return nil, err
	}
	return d.ledger.judgeLive(ctx, c.Group, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		return c.By(tree).QuotaCheck, nil
	})
}
