package predicate

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
}

// Apply puts edits in force, in order, and returns what takes them back. Apply
// nests: undo the last first. On an error nothing is changed.
func (e *Engine) Apply(edits ...Edit) (undo func(), err error) {
	before := e.lister.current
	e.lister.current = before.clone()
	var undos []func() error
	undo = func() {
		for _, back := range slices.Backward(undos) {
			// Putting back what was there cannot fail where taking it out did not.
			_ = back()
		}
		e.lister.current = before
	}
	for _, edit := range edits {
		back, err := e.apply(edit)
		if err != nil {
			undo()
			return nil, err
		}
		if back != nil {
			undos = append(undos, back)
		}
	}
	return undo, nil
}

func (e *Engine) apply(edit Edit) (undo func() error, err error) {
	nodes := e.lister.current
	switch {
	case edit.Node != nil:
		nodes.setNode(edit.Node)
		return nil, nil
	case edit.Place != nil:
		return nil, nodes.addPod(edit.Place)
	case edit.Evict != nil:
		return nil, nodes.removePod(edit.Evict)
	case edit.Object != nil:
		return e.objects.edit(edit.Object, false)
	default:
		return nil, errors.New("an edit that changes nothing")
	}
}
