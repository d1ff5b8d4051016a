package quota

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// scale judges a new number of replicas of a workload, by the template that it has.
func (d *decider) scale(ctx context.Context, req *admission.Request) (*report.QuotaCheck, error) {
	kind := d.Kinds.ForResource(schema.GroupResource{Group: req.Resource.Group, Resource: req.Resource.Resource})
	if kind == nil || req.Operation != admissionv1.Update {
		return nil, nil
	}
	var before, after autoscalingv1.Scale
	if err := errors.Join(webhook.DecodeInto(req.OldObject, "oldObject", &before), webhook.DecodeInto(req.Object, "object", &after)); err != nil {
		return nil, err
	}
	if after.Spec.Replicas <= before.Spec.Replicas {
		return nil, nil
	}
	change, err := d.resized(ctx, kind, types.NamespacedName{Namespace: req.Namespace, Name: req.Name}, &before.Spec.Replicas, after.Spec.Replicas)
	if change == nil || err != nil {
		return nil, err
	}
	c, err := d.judgeOf(req).Scale(ctx, *change)
	if err != nil {
		return nil, err
	}
	return d.byGroup(ctx, req, c, change.New.Reference(), before.ResourceVersion)
}

// resized is the change of a live workload's replicas, from those that it has where
// from is nil; nil where it is not there, or is not scaled by one number.
func (d *decider) resized(ctx context.Context, kind *workload.Kind, name types.NamespacedName, from *int32, to int32) (*quota.Change, error) {
	path, ok := kind.ReplicasPath()
	if !ok {
		return nil, nil
	}
	obj, err := d.readObject(ctx, kind, name)
	if obj == nil || err != nil {
		return nil, err
	}
	change := &quota.Change{}
	if change.Old, err = at(kind, obj, path, from); err == nil {
		change.New, err = at(kind, obj, path, &to)
	}
	if err != nil {
		return nil, webhook.BadRequest{Err: fmt.Errorf("%s/%s/%s: %w", name.Namespace, kind.Singular(), name.Name, err)}
	}
	return change, nil
}

// at is obj, which it changes, with that number of replicas.
func at(kind *workload.Kind, obj *unstructured.Unstructured, path []string, replicas *int32) (*workload.Workload, error) {
	if replicas != nil {
		if err := unstructured.SetNestedField(obj.Object, int64(*replicas), path...); err != nil {
			return nil, err
		}
	}
	return kind.Read(obj)
}
