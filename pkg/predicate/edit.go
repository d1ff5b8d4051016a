package predicate

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Edit is one change of the snapshot for a what-if. Exactly one field is set.
type Edit struct {
	// Node replaces the node of that name, or adds an empty one.
	Node *corev1.Node
	// Place puts a pod on its spec.nodeName.
	Place *corev1.Pod
	// Evict takes a pod off its node.
	Evict *corev1.Pod
	// Object adds or replaces an object that plugins read (a claim, a volume).
	Object runtime.Object
	// Delete removes such an object; one that is not there is no error.
	Delete runtime.Object
}

// Apply puts edits in force, in order, and returns what takes them back. Apply
// nests: undo the last first. On an error nothing is changed.
func (e *Engine) Apply(edits ...Edit) (undo func(), err error) {
	undos := make([]func(), 0, len(edits))
	undo = func() {
		for _, back := range slices.Backward(undos) {
			back()
		}
	}
	for _, edit := range edits {
		back, err := e.apply(edit)
		if err != nil {
			undo()
			return nil, err
		}
		undos = append(undos, back)
	}
	return undo, nil
}

func (e *Engine) apply(edit Edit) (undo func(), err error) {
	nodes := e.lister.current
	switch {
	case edit.Node != nil:
		return nodes.setNode(edit.Node), nil
	case edit.Place != nil:
		return nodes.addPod(edit.Place)
	case edit.Evict != nil:
		return nodes.removePod(edit.Evict)
	case edit.Object != nil:
		return e.objects.edit(edit.Object, false)
	case edit.Delete != nil:
		return e.objects.edit(edit.Delete, true)
	default:
		return nil, errors.New("an edit that changes nothing")
	}
}

// Objects are edits that add or replace objects.
func Objects(objects []snapshot.Object) []Edit {
	edits := make([]Edit, len(objects))
	for i, object := range objects {
		edits[i] = Edit{Object: object}
	}
	return edits
}
