package main

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/fleet"
)

// cargo is what a lab is loaded with, as a user would submit it.
type cargo struct {
	// first are the objects that come before the pods, so many nodes among them; then are pods and what makes them.
	first, then []runtime.Object
	nodes       int
	// pods is how many there will be; 0 where that is not known.
	pods int
	// groups are the business groups, parents before their children, with the hours that they had used.
	groups []*stowagev1alpha1.BizGroupResourceQuota
}

// ofFleet is a generated or recorded fleet.
func ofFleet(f *fleet.Fleet, err error) (*cargo, error) {
	if err != nil {
		return nil, err
	}
	objects := f.Manifests()
	first := len(f.Namespaces) + len(f.PriorityClasses) + len(f.Nodes)
	return &cargo{first: objects[:first], then: objects[first:], nodes: len(f.Nodes), pods: len(f.Pods)}, nil
}

// made are the kinds whose objects stand for pods, in the order to create them.
var made = []string{"DaemonSet", "StatefulSet", "Deployment", "Job", "CronJob", "ReplicaSet", "ReplicationController", "Pod"}

// firstMade are the kinds that others refer to, in the order to create them.
var firstMade = []string{
	"Namespace", "PriorityClass", "RuntimeClass", "StorageClass", "DeviceClass", "PersistentVolume", "PersistentVolumeClaim",
	"LimitRange", "ResourceQuota", "PodDisruptionBudget", "Node",
}

// ofDump is what nobody owns in a dump: the lab's controllers make what is owned.
func ofDump(path string) (*cargo, error) {
	s, err := snapshot.ReadFile(path)
	if err != nil {
		return nil, err
	}
	byKind := map[string][]runtime.Object{}
	for _, kind := range snapshot.Kinds() {
		for _, object := range kind.Objects(s) {
			if metav1.GetControllerOf(object) != nil {
				continue
			}
			manifest, err := submitted(kind, object)
			if err != nil {
				return nil, err
			}
			byKind[kind.Kind] = append(byKind[kind.Kind], manifest)
		}
	}
	c := &cargo{nodes: len(s.Nodes), groups: fromTheRoot(s.BizGroupResourceQuotas)}
	for _, kind := range firstMade {
		c.first = append(c.first, byKind[kind]...)
	}
	for _, kind := range made {
		c.then = append(c.then, byKind[kind]...)
	}
	return c, nil
}

// submitted is a copy of an object without what only a cluster sets. A node keeps its status: a kubelet sends it.
func submitted(kind snapshot.Kind, object snapshot.Object) (runtime.Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(content)}
	u.SetGroupVersionKind(kind.GroupVersionKind)
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	if _, isNode := object.(*corev1.Node); !isNode {
		unstructured.RemoveNestedField(u.Object, "status")
	}
	return u, nil
}

// fromTheRoot are groups with parents before their children; those whose parent is not there are left out.
func fromTheRoot(groups []*stowagev1alpha1.BizGroupResourceQuota) []*stowagev1alpha1.BizGroupResourceQuota {
	var ordered []*stowagev1alpha1.BizGroupResourceQuota
	level := []string{""}
	for len(level) > 0 {
		var next []string
		for _, group := range groups {
			if slices.Contains(level, group.Spec.ParentBizGroup) {
				ordered, next = append(ordered, group), append(next, group.Name)
			}
		}
		level = next
	}
	return ordered
}
