package explain

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Owners are the objects of a snapshot that make pods, directly or through others, by
// "Kind/namespace/name".
type Owners map[string]metav1.Object

// NewOwners indexes a snapshot.
func NewOwners(snap *snapshot.Snapshot) Owners {
	o := Owners{}
	index(o, "Deployment", snap.Deployments)
	index(o, "ReplicaSet", snap.ReplicaSets)
	index(o, "StatefulSet", snap.StatefulSets)
	index(o, "DaemonSet", snap.DaemonSets)
	index(o, "Job", snap.Jobs)
	index(o, "CronJob", snap.CronJobs)
	index(o, "ReplicationController", snap.ReplicationControllers)
	return o
}

func index[T metav1.Object](o Owners, kind string, objects []T) {
	for _, object := range objects {
		o[ownerKey(kind, object.GetNamespace(), object.GetName())] = object
	}
}

func ownerKey(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// Workload is an object's top owner as "Kind/name", empty when it has none: the
// controller references are followed up as far as the snapshot knows them.
func (o Owners) Workload(object metav1.Object) string { return o.top(object).String() }

// Controller is the object that has made this one; nil when nothing has, or the
// snapshot does not hold it.
func (o Owners) Controller(object metav1.Object) metav1.Object {
	owner := metav1.GetControllerOfNoCopy(object)
	if owner == nil {
		return nil
	}
	return o[ownerKey(owner.Kind, object.GetNamespace(), owner.Name)]
}

// Wanted is how many pods a controller should run at once now; false for one that
// makes no pods by itself.
func Wanted(controller metav1.Object) (int32, bool) {
	o, ok := owner(controller)
	return o.wanted, ok
}

// Template is what a controller makes its pods of; nil for one that makes none by
// itself.
func Template(controller metav1.Object) *corev1.PodTemplateSpec {
	o, _ := owner(controller)
	return o.template
}

// workloadRef names a pod's top owner.
type workloadRef struct {
	kind, namespace, name string
}

// String is "Kind/name".
func (r workloadRef) String() string {
	if r.kind == "" {
		return ""
	}
	return r.kind + "/" + r.name
}

// top follows controller references up. An owner of a kind that the snapshot does not
// hold is a top owner too.
func (o Owners) top(object metav1.Object) workloadRef {
	var top workloadRef
	for range 8 { // Longer chains, or loops, do not occur in a real cluster.
		owner := metav1.GetControllerOfNoCopy(object)
		if owner == nil {
			return top
		}
		top = workloadRef{owner.Kind, object.GetNamespace(), owner.Name}
		next, ok := o[ownerKey(owner.Kind, object.GetNamespace(), owner.Name)]
		if !ok {
			return top
		}
		object = next
	}
	return top
}
