package quota

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Autoscaler is what matters of a HorizontalPodAutoscaler, the same in all versions.
type Autoscaler struct {
	Spec struct {
		ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
		MaxReplicas    int32                                     `json:"maxReplicas"`
	} `json:"spec"`
}

// AutoscalerKind is the kind of autoscalers.
var AutoscalerKind = schema.GroupKind{Group: autoscalingv2.GroupName, Kind: "HorizontalPodAutoscaler"}

// ScaledObjectKind is the kind of what KEDA makes an autoscaler of.
var ScaledObjectKind = schema.GroupKind{Group: "keda.sh", Kind: "ScaledObject"}

// IsAutoscaler says whether objects of the kind are autoscalers, or what is made one of.
func IsAutoscaler(kind schema.GroupKind) bool {
	return kind == AutoscalerKind || kind == ScaledObjectKind
}

// ReadAutoscaler reads an autoscaler, or the one that KEDA will make of a ScaledObject. Errors
// say what is wrong with it, without naming it.
func ReadAutoscaler(object *unstructured.Unstructured) (autoscaler Autoscaler, err error) {
	if object.GroupVersionKind().GroupKind() != ScaledObjectKind {
		return autoscaler, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &autoscaler)
	}
	var scaled struct {
		Spec struct {
			ScaleTargetRef  autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
			MaxReplicaCount *int32                                    `json:"maxReplicaCount"`
		} `json:"spec"`
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &scaled)
	target, most := scaled.Spec.ScaleTargetRef, int32(100) // KEDA's defaults
	if target.Kind == "" {
		target.APIVersion, target.Kind = "apps/v1", "Deployment"
	}
	if scaled.Spec.MaxReplicaCount != nil {
		most = *scaled.Spec.MaxReplicaCount
	}
	autoscaler.Spec.ScaleTargetRef, autoscaler.Spec.MaxReplicas = target, most
	return autoscaler, err
}

// Target is the kind of what is scaled.
func (a Autoscaler) Target() schema.GroupKind {
	return schema.FromAPIVersionAndKind(a.Spec.ScaleTargetRef.APIVersion, a.Spec.ScaleTargetRef.Kind).GroupKind()
}

// Grows says whether the autoscaler may give its target more than before was allowed to.
func (a Autoscaler) Grows(before Autoscaler) bool {
	return a.Spec.ScaleTargetRef != before.Spec.ScaleTargetRef || a.Spec.MaxReplicas > before.Spec.MaxReplicas
}

// Autoscaler judges whether what an autoscaler scales would fit at maxReplicas, change
// being that to so many replicas. Nothing is charged for that: an autoscaler asks again
// when it scales. The case is nil where quota has nothing to say.
func (j *Judge) Autoscaler(ctx context.Context, change Change, maxReplicas int32) (*Case, error) {
	if change.New.Group == "" {
		return nil, nil
	}
	owner, err := j.CountedOwner(ctx, change.New)
	if owner != nil || err != nil {
		return nil, err
	}
	return &Case{Group: change.New.Group, change: j.with(change), maxReplicas: maxReplicas}, nil
}

// byAutoscaler refuses what will not fit where the group says so, and else warns.
func (c *Case) byAutoscaler(tree *Tree) *report.QuotaCheck {
	check := tree.CheckWorkload(c.change)
	for i, reason := range check.Reasons {
		check.Reasons[i] = fmt.Sprintf("spec.maxReplicas: %d will not fit: %s", c.maxReplicas, reason)
	}
	if group := tree.Group(c.Group); group == nil || group.Spec.HPA != stowagev1alpha1.HPADeny {
		Warn(check, "")
	}
	return check
}

// UnjudgedAutoscaler lets an autoscaler by, and says why it is not known whether what it
// scales will fit.
func UnjudgedAutoscaler(maxReplicas int32, why error) *report.QuotaCheck {
	check := newCheck("", "")
	warn(check, "spec.maxReplicas: whether %d will fit is not known: %v", maxReplicas, why)
	return check
}
