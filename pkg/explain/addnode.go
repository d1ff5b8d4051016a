package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/workload"
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

// addNode proposes the smallest class of which one more node would take the pod.
func (e *Explainer) addNode(ctx context.Context, pod *corev1.Pod) ([]verified, error) {
	tried := 0
	for _, class := range e.classes() {
		if tried >= maxClasses || !couldHold(class.template, pod) {
			continue
		}
		tried++
		add, err := e.addNodeAtom(ctx, class)
		if err != nil {
			return nil, err
		}
		c := candidate{atoms: []atom{add}, nodes: []string{newNodeName}}
		fits, err := e.verify(ctx, pod, c)
		if err != nil {
			return nil, err
		}
		if len(fits) > 0 {
			return []verified{{c, fits}}, nil
		}
	}
	return nil, nil
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

// addNodeAtom adds a node of the class with what runs on every such node: the
// pods of DaemonSets take their part before the pod does, and the node comes with
// the storage drivers of the example.
func (e *Explainer) addNodeAtom(ctx context.Context, class *nodeClass) (atom, error) {
	edits := []predicate.Edit{{Node: class.template}}
	created := []report.Change{{Object: "Node/" + newNodeName, Op: report.OpCreate, Value: toJSON(class.template)}}
	for _, csi := range e.world.snap.CSINodes {
		if csi.Name == class.example {
			like := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: newNodeName}, Spec: *csi.Spec.DeepCopy()}
			edits = append(edits, predicate.Edit{Object: like})
			created = append(created, report.Change{Object: "CSINode/" + newNodeName, Op: report.OpCreate, Value: toJSON(like)})
		}
	}
	daemons, err := e.daemonsOn(ctx, edits)
	if err != nil {
		return atom{}, err
	}
	edits = append(edits, daemons...)
	return atom{
		kind: report.RemedyAddNodes, key: "add node like " + class.example, what: class.example, disturbance: disturbAddNode,
		edits:   edits,
		text:    fmt.Sprintf("add 1 node like %s (%s)", class.example, sizeText(class.template)),
		command: shellCommand("kubectl", "get", "node", class.example, "-o", "yaml") + " # the kind of node to add",
		changes: created,
	}, nil
}

// daemonsOn are the pods that DaemonSets would run on the new node: of those that the
// controller makes for it, the ones that have room there. The others would wait.
func (e *Explainer) daemonsOn(ctx context.Context, node []predicate.Edit) ([]predicate.Edit, error) {
	undo, err := e.engine.Apply(node...)
	if err != nil {
		return nil, err
	}
	defer undo()
	added, ok := e.engine.Node(newNodeName)
	if !ok {
		return nil, nil
	}
	var placed []predicate.Edit
	for _, set := range e.world.snap.DaemonSets {
		if !workload.Eligible(&set.Spec.Template, added.Node) {
			continue
		}
		pod, err := e.world.maker.DaemonPod(set, newNodeName)
		if err != nil {
			continue // A set without containers runs nothing.
		}
		fits, err := e.engine.FitsOn(ctx, pod, []string{newNodeName})
		if err != nil || len(fits) == 0 {
			continue
		}
		pod.Spec.NodeName = newNodeName
		placed = append(placed, predicate.Edit{Place: pod})
	}
	return placed, nil
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
