package quota_test

import (
	"context"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

func TestScaleSubresource(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	for _, obj := range []client.Object{
		w.deployment("web", nlp, 1, cpu("1")), w.statefulSet("db", nlp, 1, cpu("1")), w.replicaSet("rs", nlp, 1, cpu("1")),
	} {
		w.create(obj)
	}
	w.used(nlp, hard{"limits.cpu": "3"})
	w.refusedWith(w.scale(w.deployment("web", "", 0, cpu("1")), 9),
		"group "+nlp+": limits.cpu: needs 8, 7 of 10 left (short 1); largest that fits: 8 replicas")
	w.admitted(w.scale(w.deployment("web", "", 0, cpu("1")), 6))
	w.admitted(w.scale(w.statefulSet("db", "", 0, cpu("1")), 3))
	w.refusedWith(w.scale(w.replicaSet("rs", "", 0, cpu("1")), 2), "limits.cpu: needs 1, 0 of 10 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "10"})
	w.admitted(w.scale(w.deployment("web", "", 0, cpu("1")), 1))
	w.admitted(w.scale(w.replicaSet("rs", "", 0, cpu("1")), 0))
	w.used(nlp, hard{"limits.cpu": "4"})

	free := w.deployment("free", "", 1, cpu("1")) // of no group
	w.create(free)
	w.admitted(w.scale(free, 50))
	w.admitted(w.scale(free, 0))
}

// autoscaler scales a Deployment between two bounds.
func (w *world) autoscaler(target string, low, high int32) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: w.meta(target, ""),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target},
			MinReplicas:    &low, MaxReplicas: high,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](50)},
				},
			}},
		},
	}
}

func TestAutoscalerThatCannotFit(t *testing.T) {
	w := newWorld(t)
	warn := w.group("warn", "", hard{"limits.cpu": "10"})
	deny := w.group("deny", "", hard{"limits.cpu": "10"}, func(g *group) { g.Spec.HPA = stowagev1alpha1.HPADeny })
	w.create(w.deployment("warned", warn, 2, cpu("1")))
	w.create(w.deployment("denied", deny, 2, cpu("1")))
	w.create(w.deployment("free", "", 2, cpu("1")))

	w.create(w.autoscaler("free", 1, 1000))
	if texts := w.warnings.take(); len(texts) > 0 {
		t.Errorf("warnings %q on an autoscaler of no group's workload", texts)
	}
	w.create(w.autoscaler("warned", 1, 11))
	w.warned("maxReplicas", "group "+warn+": limits.cpu: needs 9, 8 of 10 left (short 1)")

	tooHigh := w.autoscaler("denied", 1, 11)
	w.refusedWith(w.Create(t.Context(), tooHigh), "maxReplicas", "group "+deny+": limits.cpu: needs 9, 8 of 10 left (short 1)")
	fits := w.autoscaler("denied", 1, 10)
	w.create(fits)
	if texts := w.warnings.take(); len(texts) > 0 {
		t.Errorf("warnings %q on an autoscaler that fits", texts)
	}
	w.refusedWith(update(w, fits, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MaxReplicas = 12 }), "maxReplicas")
	w.admitted(update(w, fits, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.MaxReplicas = 5 }))
	w.used(deny, hard{"limits.cpu": "2"}) // an autoscaler itself charges nothing
}

// The autoscaler's own scaling is checked as everybody's.
func TestAutoscalerScales(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "4"})
	w.create(w.deployment("fits", nlp, 1, cpu("1")))
	w.create(w.autoscaler("fits", 2, 3))
	w.used(nlp, hard{"limits.cpu": "2"})

	w.create(w.deployment("grows", nlp, 1, cpu("1")))
	w.create(w.autoscaler("grows", 3, 5))
	refusedText := ""
	if !w.eventually(func(ctx context.Context) (bool, error) {
		var a autoscalingv2.HorizontalPodAutoscaler
		if err := w.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: "grows"}, &a); err != nil {
			return false, err
		}
		for _, c := range a.Status.Conditions {
			if c.Type == autoscalingv2.AbleToScale {
				refusedText = c.Message
			}
		}
		return contains(refusedText, "group "+nlp+": limits.cpu: needs 2, 1 of 4 left (short 1)"), nil
	}) {
		t.Errorf("the autoscaler says %q, want the refusal", refusedText)
	}
	w.used(nlp, hard{"limits.cpu": "3"})
}
