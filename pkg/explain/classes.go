package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeClass is a set of nodes alike: same size, labels (but for those that name
// the node) and taints (but for those that a controller sets).
type nodeClass struct {
	// template is an empty, ready, uncordoned node of the class.
	template *corev1.Node
	// example is the first of the class by name, count how many there are.
	example string
	count   int
}

// maxClasses is how many classes are tried, the smallest that could hold the pod
// first.
const maxClasses = 12

// newNodeName is the name of the node that is tried.
const newNodeName = "new-node"

// nodeClasses finds the classes, the smallest machine first: fewest devices of
// any kind, then least cpu, then least memory.
func nodeClasses(nodes []*corev1.Node) []*nodeClass {
	byKey := map[string]*nodeClass{}
	for _, node := range nodes {
		template := emptyLike(node)
		key := classKey(template)
		if class, ok := byKey[key]; ok {
			class.count++
			continue
		}
		byKey[key] = &nodeClass{template: template, example: node.Name, count: 1}
	}
	classes := make([]*nodeClass, 0, len(byKey))
	for _, key := range sortedKeys(byKey) {
		classes = append(classes, byKey[key])
	}
	slices.SortStableFunc(classes, func(a, b *nodeClass) int {
		return cmp.Or(
			cmp.Compare(devices(a.template), devices(b.template)),
			a.template.Status.Allocatable.Cpu().Cmp(*b.template.Status.Allocatable.Cpu()),
			a.template.Status.Allocatable.Memory().Cmp(*b.template.Status.Allocatable.Memory()),
			cmp.Compare(a.example, b.example))
	})
	return classes
}

// emptyLike is a node as one of the same kind would join: no cordon, nothing that
// a controller put on it, a name of its own.
func emptyLike(node *corev1.Node) *corev1.Node {
	like := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: newNodeName, Labels: map[string]string{}},
		Status: corev1.NodeStatus{
			Capacity: node.Status.Capacity, Allocatable: node.Status.Allocatable, DeclaredFeatures: node.Status.DeclaredFeatures,
		},
	}
	for key, value := range node.Labels {
		if value != node.Name {
			like.Labels[key] = value
		}
	}
	like.Labels[corev1.LabelHostname] = newNodeName
	for _, taint := range node.Spec.Taints {
		if !controllerTaint(taint.Key) {
			taint.TimeAdded = nil
			like.Spec.Taints = append(like.Spec.Taints, taint)
		}
	}
	return like
}

func classKey(template *corev1.Node) string {
	var b strings.Builder
	for _, key := range sortedKeys(template.Labels) {
		fmt.Fprintf(&b, "%s=%s\n", key, template.Labels[key])
	}
	for _, name := range sortedKeys(template.Status.Allocatable) {
		fmt.Fprintf(&b, "%s:%d\n", name, amount(template.Status.Allocatable, name))
	}
	for _, taint := range template.Spec.Taints {
		fmt.Fprintf(&b, "%s\n", taint.ToString())
	}
	return b.String()
}

func devices(node *corev1.Node) int64 {
	var sum int64
	for name, quantity := range node.Status.Allocatable {
		if strings.Contains(string(name), "/") {
			sum += quantity.Value()
		}
	}
	return sum
}

// couldHold spares the try of a class that is too small when empty.
func couldHold(node *corev1.Node, pod *corev1.Pod) bool {
	for name := range node.Status.Allocatable {
		if podAmount(pod, name) > amount(node.Status.Allocatable, name) {
			return false
		}
	}
	return true
}

// sizeText is "8 cpu, 32Gi memory, 4 nvidia.com/gpu".
func sizeText(node *corev1.Node) string {
	var parts []string
	for _, name := range sortedKeys(node.Status.Allocatable) {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceMemory:
		default:
			if !strings.Contains(string(name), "/") {
				continue
			}
		}
		value := amount(node.Status.Allocatable, name)
		if value > 0 {
			parts = append(parts, roughly(name, value)+" "+string(name))
		}
	}
	return strings.Join(parts, ", ")
}
