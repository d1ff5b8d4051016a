package load

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// sharer lets replicas share the parts of their specs that are equal, which are a
// third of a large cluster's snapshot: nobody may change a snapshot's objects, and
// a list has the replicas of a workload one after the other.
type sharer struct{ last *corev1.Pod }

// share replaces the parts of o that equal those of the pod before it.
func (s *sharer) share(o snapshot.Object) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	if s.last != nil {
		from, to := &s.last.Spec, &pod.Spec
		shareEqual(&to.Containers, from.Containers)
		shareEqual(&to.InitContainers, from.InitContainers)
		shareEqual(&to.Tolerations, from.Tolerations)
		shareEqual(&to.Affinity, from.Affinity)
		shareEqual(&to.TopologySpreadConstraints, from.TopologySpreadConstraints)
		shareEqual(&to.NodeSelector, from.NodeSelector)
		shareEqual(&pod.Labels, s.last.Labels)
	}
	s.last = pod
}

func shareEqual[T any](to *T, from T) {
	if reflect.DeepEqual(*to, from) {
		*to = from
	}
}
