package quota

import (
	"context"
	"errors"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// workload judges the creation or update of an object of a workload kind, or the
// resize of a pod.
func (d *decider) workload(ctx context.Context, req *admission.Request) (*report.QuotaCheck, error) {
	kind := d.Kinds.ForResource(schema.GroupResource{Group: req.Resource.Group, Resource: req.Resource.Resource})
	if kind == nil || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return nil, nil
	}
	edit, err := newEdit(kind, req)
	if err != nil {
		return nil, err
	}
	if err := d.exists(ctx, req, kind, edit.After.GetName()); err != nil {
		return nil, err
	}
	base := ""
	if edit.Before != nil {
		base = edit.Before.GetResourceVersion()
	}
	c, err := d.judgeOf(req).Edit(ctx, edit)
	if invalid := (quota.Invalid{}); errors.As(err, &invalid) {
		return nil, webhook.BadRequest{Err: err}
	}
	if err != nil {
		return nil, err
	}
	return d.byGroup(ctx, req, c, kind.Meta(edit.After).Reference(), base)
}

// newEdit decodes the objects.
func newEdit(kind *workload.Kind, req *admission.Request) (quota.Edit, error) {
	edit := quota.Edit{Kind: kind}
	after, err := webhook.Decode(req.Object, "object")
	if err != nil {
		return edit, err
	}
	edit.After = after
	if req.Operation == admissionv1.Create {
		return edit, nil
	}
	before, err := webhook.Decode(req.OldObject, "oldObject")
	if err != nil {
		return edit, err
	}
	edit.Before = before
	return edit, nil
}
