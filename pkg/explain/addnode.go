package explain

import (
	"context"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// addNode proposes the smallest class of which one more node would take the pod.
func (s *search) addNode(ctx context.Context) ([]verified, error) {
	tried := 0
	for _, class := range s.shared.nodeClasses(s.world.snap.Nodes) {
		if tried >= maxClasses || !couldHold(class.template, s.pod) {
			continue
		}
		tried++
		add, err := s.addNodeAtom(ctx, class)
		if err != nil {
			return nil, err
		}
		c := candidate{atoms: []atom{add}, nodes: []string{newNodeName}}
		fits, err := s.verify(ctx, c)
		if err != nil {
			return nil, err
		}
		if len(fits) > 0 {
			return []verified{{c, fits}}, nil
		}
	}
	return nil, nil
}

// addNodeAtom adds a node of the class with what runs on every such node: the
// pods of DaemonSets take their part before the pod does, and the node comes with
// the storage drivers of the example.
func (s *search) addNodeAtom(ctx context.Context, class *nodeClass) (atom, error) {
	edits := []predicate.Edit{{Node: class.template}}
	created := []report.Change{{Object: "Node/" + newNodeName, Op: report.OpCreate, Value: toJSON(class.template)}}
	for _, csi := range s.world.snap.CSINodes {
		if csi.Name == class.example {
			like := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: newNodeName}, Spec: *csi.Spec.DeepCopy()}
			edits = append(edits, predicate.Edit{Object: like})
			created = append(created, report.Change{Object: "CSINode/" + newNodeName, Op: report.OpCreate, Value: toJSON(like)})
		}
	}
	daemons, err := s.daemonsOn(ctx, edits)
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
func (s *search) daemonsOn(ctx context.Context, node []predicate.Edit) ([]predicate.Edit, error) {
	undo, err := s.engine.Apply(node...)
	if err != nil {
		return nil, err
	}
	defer undo()
	added, ok := s.engine.Node(newNodeName)
	if !ok {
		return nil, nil
	}
	var placed []predicate.Edit
	for _, set := range s.world.snap.DaemonSets {
		if !workload.Eligible(&set.Spec.Template, added.Node) {
			continue
		}
		pod, err := s.world.maker.DaemonPod(set, newNodeName)
		if err != nil {
			continue // A set without containers runs nothing.
		}
		fits, err := s.engine.FitsOn(ctx, pod, []string{newNodeName})
		if err != nil || len(fits) == 0 {
			continue
		}
		pod.Spec.NodeName = newNodeName
		placed = append(placed, predicate.Edit{Place: pod})
	}
	return placed, nil
}
