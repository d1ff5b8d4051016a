package build

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// NodeBuilder makes a node.
type NodeBuilder struct{ node *corev1.Node }

// Node is a ready node with the usual hostname label, 110 pods' room and nothing else.
func Node(name string) *NodeBuilder {
	n := &corev1.Node{ObjectMeta: meta("", name)}
	n.Labels = map[string]string{corev1.LabelHostname: name}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: Epoch}}
	return (&NodeBuilder{n}).Capacity("pods=110")
}

// Capacity adds to what the node has and allots: "cpu=4,memory=8Gi".
func (b *NodeBuilder) Capacity(list string) *NodeBuilder {
	if b.node.Status.Capacity == nil {
		b.node.Status.Capacity = corev1.ResourceList{}
	}
	maps.Copy(b.node.Status.Capacity, Resources(list))
	b.node.Status.Allocatable = b.node.Status.Capacity.DeepCopy()
	return b
}

// Allocatable overrides what pods may use of the capacity.
func (b *NodeBuilder) Allocatable(list string) *NodeBuilder {
	maps.Copy(b.node.Status.Allocatable, Resources(list))
	return b
}

// Label adds a label.
func (b *NodeBuilder) Label(key, value string) *NodeBuilder {
	b.node.Labels[key] = value
	return b
}

// Zone sets the zone label.
func (b *NodeBuilder) Zone(zone string) *NodeBuilder { return b.Label(corev1.LabelTopologyZone, zone) }

// Taint adds "key=value:Effect".
func (b *NodeBuilder) Taint(taint string) *NodeBuilder {
	b.node.Spec.Taints = append(b.node.Spec.Taints, Taint(taint))
	return b
}

// Cordon makes the node unschedulable, with the taint that the node lifecycle
// controller adds.
func (b *NodeBuilder) Cordon() *NodeBuilder {
	b.node.Spec.Unschedulable = true
	return b.Taint(corev1.TaintNodeUnschedulable + ":NoSchedule")
}

// With changes the node in any other way.
func (b *NodeBuilder) With(edit func(*corev1.Node)) *NodeBuilder {
	edit(b.node)
	return b
}

// Obj is the node.
func (b *NodeBuilder) Obj() *corev1.Node { return b.node }
