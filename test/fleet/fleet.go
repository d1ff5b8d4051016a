package fleet

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Labels that tell what hardware a node has and which tier it is of. A node without a cloud label is on premises.
const (
	LabelGPUProduct = "nvidia.com/gpu.product"         // NVIDIA's GPU feature discovery
	LabelGPUName    = "aliyun.accelerator/nvidia_name" // Alibaba Cloud's device plugin
	LabelNodePool   = "alibabacloud.com/nodepool-id"   // on ECS nodes
	LabelNodeType   = "type"                           // "virtual-kubelet" on ECI's virtual nodes
	TaintVirtual    = "virtual-kubelet.io/provider"    // on virtual nodes
	ResourceGPU     = corev1.ResourceName("nvidia.com/gpu")
	TaintGPU        = string(ResourceGPU) // on nodes with GPUs
)

// Fleet is a cluster's nodes and pods, with what they refer to. Pods are in the order of creation.
type Fleet struct {
	Namespaces      []*corev1.Namespace
	PriorityClasses []*schedulingv1.PriorityClass
	Nodes           []*corev1.Node
	Pods            []*corev1.Pod
	ReplicaSets     []*appsv1.ReplicaSet
}

// Objects returns the fleet as a cluster would hold it. The objects are the fleet's own.
func (f *Fleet) Objects() []runtime.Object {
	var objs []runtime.Object
	objs = appendAll(objs, f.Namespaces)
	objs = appendAll(objs, f.PriorityClasses)
	objs = appendAll(objs, f.Nodes)
	objs = appendAll(objs, f.Pods)
	return appendAll(objs, f.ReplicaSets)
}

// Manifests returns copies of the fleet's objects as a user would submit them, in the order to create them.
func (f *Fleet) Manifests() []runtime.Object {
	objs := f.Objects()
	for i := range objs {
		objs[i] = manifest(objs[i])
	}
	return objs
}

// manifest returns a copy of obj without what only a cluster sets. A node keeps its status: a kubelet sends it.
func manifest(obj runtime.Object) runtime.Object {
	obj = obj.DeepCopyObject()
	if o, ok := obj.(metav1.Object); ok {
		o.SetUID("")
		o.SetCreationTimestamp(metav1.Time{})
		o.SetOwnerReferences(nil)
	}
	switch o := obj.(type) {
	case *corev1.Namespace:
		o.Status = corev1.NamespaceStatus{}
	case *corev1.Pod:
		o.Status = corev1.PodStatus{}
	case *appsv1.ReplicaSet:
		o.Status = appsv1.ReplicaSetStatus{}
	}
	return obj
}

// appendAll appends objects of one type.
func appendAll[T runtime.Object](objs []runtime.Object, more []T) []runtime.Object {
	for _, o := range more {
		objs = append(objs, o)
	}
	return objs
}
