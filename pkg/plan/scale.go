package plan

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/stowage-dev/stowage/pkg/owner"
)

// scales knows how many pods the controllers want that the disruption controller
// asks (its finders): those whose kind has a scale.
type scales struct{ index *owner.Index }

// finder is what the disruption controller asks about a pod: its controller, or the
// Deployment of that. The zero Ref for a pod without a controller.
func (s *scales) finder(pod *corev1.Pod) owner.Ref {
	set := s.index.Controller(pod)
	if set == nil {
		return owner.Of(pod)
	}
	if deployment := owner.Of(set); deployment.Kind == "Deployment" {
		return deployment
	}
	return owner.Of(pod)
}

// replicas is how many pods an object wants; false if it is not known, or has no scale.
func (s *scales) replicas(ref owner.Ref) (int32, bool) {
	w, ok := s.index.Workload(ref)
	if !ok {
		return 0, false
	}
	set := w.Kind.Scaled(w.Sets)
	if set == nil {
		return 0, false
	}
	return int32(set.Replicas), true
}

// desired is how many healthy pods a budget asks for: what its status says if that
// is of its present spec, or else what the disruption controller is about to write
// there. Where that controller cannot tell, it leaves the status as it is.
func (s *scales) desired(pdb *policyv1.PodDisruptionBudget, pods []*corev1.Pod) int32 {
	if observed := pdb.Status.ObservedGeneration; observed > 0 && observed == pdb.Generation {
		return pdb.Status.DesiredHealthy
	}
	spec := pdb.Spec
	if spec.MaxUnavailable == nil && spec.MinAvailable == nil {
		return 0
	}
	if spec.MaxUnavailable == nil && spec.MinAvailable.Type == intstr.Int {
		return spec.MinAvailable.IntVal
	}
	expected, known := s.expected(pods)
	amount, err := intstr.GetScaledValueFromIntOrPercent(cmp.Or(spec.MaxUnavailable, spec.MinAvailable), int(expected), true)
	switch {
	case !known || err != nil:
		return pdb.Status.DesiredHealthy
	case spec.MaxUnavailable != nil:
		return max(0, expected-int32(amount))
	default:
		return int32(amount)
	}
}

// expected is how many pods the controllers of these want together. It is not known
// if one of them is not, or has no scale. Pods without a controller do not count.
func (s *scales) expected(pods []*corev1.Pod) (sum int32, known bool) {
	counted := map[owner.Ref]bool{}
	for _, pod := range pods {
		controller := s.finder(pod)
		if controller.Kind == "" || counted[controller] {
			continue
		}
		replicas, ok := s.replicas(controller)
		if !ok {
			return 0, false
		}
		counted[controller] = true
		sum += replicas
	}
	return sum, true
}
