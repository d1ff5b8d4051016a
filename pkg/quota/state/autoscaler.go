package state

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Autoscale judges a HorizontalPodAutoscaler by what it scales, as the changes before
// left that; one that is deleted scales nothing. Errors name the object that cannot be
// read.
func (t *Trial) Autoscale(ctx context.Context, object *unstructured.Unstructured, deleted bool) (*report.QuotaCheck, error) {
	autoscaler, err := quota.ReadAutoscaler(object)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", object.GetKind(), object.GetName(), err)
	}
	check := &report.QuotaCheck{Allowed: true}
	if !deleted {
		if check, err = t.atMost(ctx, object.GetNamespace(), autoscaler); err != nil {
			check = quota.UnjudgedAutoscaler(autoscaler.Spec.MaxReplicas, err)
		}
	}
	if !check.Allowed && object.GroupVersionKind().GroupKind() == quota.ScaledObjectKind {
		quota.Warn(check, "the HorizontalPodAutoscaler that KEDA makes of it is refused: ")
	}
	check.Object = strangerName(object)
	return t.state.nameUsers(check), nil
}

// atMost judges a workload with the number of replicas that an autoscaler may give it.
func (t *Trial) atMost(ctx context.Context, namespace string, autoscaler quota.Autoscaler) (*report.QuotaCheck, error) {
	target := autoscaler.Spec.ScaleTargetRef
	kind := t.state.Kinds.Of(autoscaler.Target())
	if kind == nil {
		return nil, fmt.Errorf("%s %s: no known kind of workload", target.Kind, target.Name)
	}
	scaled := &unstructured.Unstructured{}
	scaled.SetGroupVersionKind(kind.GroupVersionKind())
	scaled.SetNamespace(namespace)
	scaled.SetName(target.Name)
	object := t.Object(Edit{Kind: kind, Object: scaled})
	if object == nil {
		return nil, fmt.Errorf("%s/%s is not there", kind.Singular(), target.Name)
	}
	change, err := resized(kind, object, int64(autoscaler.Spec.MaxReplicas))
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", kind.Singular(), target.Name, err)
	}
	c, err := t.judge().Autoscaler(ctx, change, autoscaler.Spec.MaxReplicas)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fmt.Errorf("%s/%s names no group, or is part of a workload that does", kind.Singular(), target.Name)
	}
	check := c.By(t.groups).QuotaCheck
	check.Warnings = append(check.Warnings, t.ofPods(fmt.Sprintf("spec.maxReplicas: at %d ", autoscaler.Spec.MaxReplicas), change)...)
	return check, nil
}

// resized is the change of an object to so many replicas.
func resized(kind *workload.Kind, object snapshot.Object, replicas int64) (change quota.Change, err error) {
	path, ok := kind.ReplicasPath()
	if !ok {
		return change, fmt.Errorf("a %s has no single number of replicas", kind.Kind)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object.DeepCopyObject())
	if err != nil {
		return change, err
	}
	if change.Old, err = kind.Read(object); err != nil {
		return change, err
	}
	if err := unstructured.SetNestedField(content, replicas, path...); err != nil {
		return change, err
	}
	change.New, err = kind.Read(&unstructured.Unstructured{Object: content})
	return change, err
}
