package plan

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	owners "github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// scales knows how many pods the controllers want that the disruption controller
// asks (its finders).
type scales struct {
	replicas map[owners.Ref]int32
	// deployments are those of ReplicaSets.
	deployments map[owners.Ref]owners.Ref
}

func newScales(snap *snapshot.Snapshot) *scales {
	s := &scales{replicas: map[owners.Ref]int32{}, deployments: map[owners.Ref]owners.Ref{}}
	for _, d := range snap.Deployments {
		s.add("Deployment", d, d.Spec.Replicas)
	}
	for _, set := range snap.StatefulSets {
		s.add("StatefulSet", set, set.Spec.Replicas)
	}
	for _, rc := range snap.ReplicationControllers {
		s.add("ReplicationController", rc, rc.Spec.Replicas)
	}
	for _, rs := range snap.ReplicaSets {
		s.add("ReplicaSet", rs, rs.Spec.Replicas)
		if owner := owners.Of(rs); owner.Kind == "Deployment" {
			s.deployments[owners.Ref{Kind: "ReplicaSet", Namespace: rs.Namespace, Name: rs.Name}] = owner
		}
	}
	return s
}

// add notes the replicas of an object: one, where it does not say.
func (s *scales) add(kind string, object metav1.Object, replicas *int32) {
	s.replicas[owners.Ref{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}] = ptr.Deref(replicas, 1)
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
	counted := map[owners.Ref]bool{}
	for _, pod := range pods {
		owner := owners.Of(pod)
		if deployment, ok := s.deployments[owner]; ok {
			owner = deployment
		}
		if owner.Kind == "" || counted[owner] {
			continue
		}
		replicas, ok := s.replicas[owner]
		if !ok {
			return 0, false
		}
		counted[owner] = true
		sum += replicas
	}
	return sum, true
}
