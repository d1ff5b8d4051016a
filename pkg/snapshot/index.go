package snapshot

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Now is the instant the snapshot shows: TakenAt or, for a dump that does not
// tell, the newest timestamp of its objects; zero when there is none.
func (s *Snapshot) Now() metav1.Time {
	if !s.TakenAt.IsZero() {
		return s.TakenAt
	}
	var newest metav1.Time
	see := func(t metav1.Time) {
		if newest.Before(&t) {
			newest = t
		}
	}
	for _, k := range s.kinds() {
		for _, o := range k.Objects(s) {
			see(o.GetCreationTimestamp())
		}
	}
	for _, n := range s.Nodes {
		for _, c := range n.Status.Conditions {
			see(c.LastTransitionTime)
		}
	}
	for _, p := range s.Pods {
		for _, c := range p.Status.Conditions {
			see(c.LastTransitionTime)
		}
	}
	for _, e := range s.Events {
		see(e.LastTimestamp)
		see(metav1.Time(e.EventTime))
	}
	return newest
}

// Cluster is what tells one cluster from another: the UID of its namespace
// kube-system, empty where that cannot be seen.
func (s *Snapshot) Cluster() types.UID {
	if system := s.Namespace(metav1.NamespaceSystem); system != nil {
		return system.UID
	}
	return ""
}

// Pod returns the pod with that name, or nil.
func (s *Snapshot) Pod(namespace, name string) *corev1.Pod { return find(s.Pods, namespace, name) }

// Node returns the node with that name, or nil.
func (s *Snapshot) Node(name string) *corev1.Node { return find(s.Nodes, "", name) }

// Namespace returns the namespace with that name, or nil.
func (s *Snapshot) Namespace(name string) *corev1.Namespace { return find(s.Namespaces, "", name) }

// find searches a sorted list.
func find[P Object](objects []P, namespace, name string) P {
	i, ok := slices.BinarySearchFunc(objects, name, func(o P, name string) int {
		return cmp.Or(cmp.Compare(o.GetNamespace(), namespace), cmp.Compare(o.GetName(), name))
	})
	if !ok {
		var none P
		return none
	}
	return objects[i]
}

// Finished reports whether a pod has run to its end: it is on no node and uses
// nothing, whatever its spec says.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Mirror reports whether a pod is the API's image of a static one, which the kubelet
// runs whatever becomes of the image.
func Mirror(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// BoundAt is when a pod got its node, to the second: known only where the pod's condition
// PodScheduled says so.
func BoundAt(p *corev1.Pod) (at time.Time, known bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Time, true
		}
	}
	return time.Time{}, false
}

// Pending reports whether a pod waits for a node.
func Pending(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && !Finished(p)
}

// PendingPods returns the pods of namespace (all when empty) that wait for a node.
func (s *Snapshot) PendingPods(namespace string) []*corev1.Pod {
	var pending []*corev1.Pod
	for _, p := range s.Pods {
		if Pending(p) && (namespace == "" || p.Namespace == namespace) {
			pending = append(pending, p)
		}
	}
	return pending
}
