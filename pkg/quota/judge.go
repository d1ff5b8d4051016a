package quota

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// Questions are what has to be asked about one request. Errors are of the asking.
type Questions interface {
	// Owner returns the object that an owner reference of an object in the namespace
	// names, whatever its UID leads to; nil where it is not there. live is asked where
	// what was seen earlier is no answer: then it is nil too where the owner is being
	// deleted, and will leave what it made to itself.
	Owner(ctx context.Context, namespace string, ref *metav1.OwnerReference, live bool) (*workload.Workload, error)
	// RequiresGroup says whether every workload of the namespace needs a group.
	RequiresGroup(ctx context.Context, namespace string) (bool, error)
	// TakesPart says whether workloads of the namespace may charge groups, as far as is
	// known.
	TakesPart(ctx context.Context, namespace string) (Answer, error)
	// MayCharge says whether the requester may charge the workload's group, which does
	// not allow the workload's namespace, as far as is known.
	MayCharge(ctx context.Context, w *workload.Workload) (Answer, error)
	// Controls says whether the requester is the controller of the kind.
	Controls(ctx context.Context, kind *workload.Kind) (bool, error)
}

// Answer is that to the question who may charge a group.
type Answer int

// The answers. A dump does not know who may do what.
const (
	No Answer = iota
	Yes
	Unknown
)

// Judge judges one request to change a workload. It asks all that has to be asked, and
// what is left is a Case, to be judged by a state of the groups.
type Judge struct {
	Questions
	// Kinds are the workload kinds.
	Kinds *workload.Kinds
	// Nodes are the cluster's, for workloads with a pod on each eligible one.
	Nodes func() []*corev1.Node
	// Known returns the group of that name as last seen; nil where none was.
	Known func(name string) *Group
	// Requester is how a refusal names who asks: "user jane", "you".
	Requester string
}

// Object is an object of a workload kind, an *unstructured.Unstructured or an API type.
type Object interface {
	metav1.Object
	runtime.Object
}

// Edit is a creation or an update of an object of a workload kind.
type Edit struct {
	Kind *workload.Kind
	// Before is nil for a creation.
	Before, After Object
}

// Invalid is an error in the object that was sent, which asking again does not mend.
type Invalid struct{ error }

// Unwrap returns what is wrong with the object.
func (e Invalid) Unwrap() error { return e.error }

// meta reads the objects' metadata, which is enough to tell most edits apart.
func (e Edit) meta() Change {
	change := Change{New: e.Kind.Meta(e.After)}
	if e.Before != nil {
		change.Old = e.Kind.Meta(e.Before)
	}
	return change
}

// read reads the objects in full. An object that cannot be read charged nothing
// before; it may not stay so.
func (e Edit) read() (Change, error) {
	change := e.meta()
	after, err := e.Kind.Read(e.After)
	if err != nil {
		return change, Invalid{err}
	}
	change.New = after
	if e.Before != nil {
		if before, err := e.Kind.Read(e.Before); err == nil {
			change.Old = before
		}
	}
	return change, nil
}

// Edit judges a creation or an update. The case is nil where quota has nothing to say.
// Errors are Invalid, or those of the questions.
func (j *Judge) Edit(ctx context.Context, e Edit) (*Case, error) {
	change := e.meta()
	if change.New.Group == "" {
		if required, err := j.RequiresGroup(ctx, change.New.Namespace); !required || err != nil {
			return nil, err
		}
	}
	owner, err := j.CountedOwner(ctx, change.New)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		return j.part(ctx, e, owner)
	}
	former, err := j.wasPart(ctx, change)
	switch {
	case err != nil:
		return nil, err
	case change.New.Group == "":
		return j.ungrouped(e, former)
	case len(e.Kind.PodSets) == 0:
		return j.template(ctx, e)
	}
	return j.tied(ctx, e, former)
}

// Scale judges a new number of replicas, by the template that the workload has. The
// case is nil where quota has nothing to say. Errors are those of the questions.
func (j *Judge) Scale(ctx context.Context, change Change) (*Case, error) {
	change = j.withNodes(change)
	owner, err := j.CountedOwner(ctx, change.New)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		controls, err := j.controlsOwner(ctx, change.New)
		if controls || err != nil {
			return nil, err
		}
		return decided(CheckPart(change, j.ownerKind(change.New), owner)), nil
	}
	if change.New.Group != "" {
		return j.charged(ctx, change)
	}
	if required, err := j.RequiresGroup(ctx, change.New.Namespace); !required || err != nil {
		return nil, err
	}
	return decided(CheckUngrouped(change)), nil
}

// CountedOwner returns the counted workload that w is part of, and that is charged for
// it; nil for none. That there is one may have been seen; that there is none has to be
// read.
func (j *Judge) CountedOwner(ctx context.Context, w *workload.Workload) (*workload.Workload, error) {
	if owner, err := j.countedOwner(ctx, w, false); owner != nil || err != nil {
		return owner, err
	}
	return j.countedOwner(ctx, w, true)
}

func (j *Judge) countedOwner(ctx context.Context, w *workload.Workload, live bool) (*workload.Workload, error) {
	owners := NewIndex(j.Kinds)
	for up := w; up.Owner != nil && j.Kinds.Makes(workload.OwnerKind(up.Owner), up.Kind.GroupKind()) && owners.Get(up.Owner.UID) == nil; {
		owner, err := j.Owner(ctx, w.Namespace, up.Owner, live)
		if err != nil {
			return nil, err
		}
		if owner == nil || !owner.IsNamed(w.Namespace, up.Owner) {
			break
		}
		owners.Put(owner)
		up = owner
	}
	if charger, _ := owners.Charger(w); charger != w {
		return charger, nil
	}
	return nil, nil
}

// wasPart says whether the object was part of a counted workload before the edit. It is
// none now, so nothing has to be asked while the owner is the same.
func (j *Judge) wasPart(ctx context.Context, change Change) (bool, error) {
	if change.Old == nil || change.Old.Owner == nil || change.Old.SameOwner(change.New) {
		return false, nil
	}
	owner, err := j.countedOwner(ctx, change.Old, true)
	return owner != nil, err
}

// part judges an object that is part of the counted workload owner: only the controller
// of the object's own owner may make it so, or make it larger.
func (j *Judge) part(ctx context.Context, e Edit, owner *workload.Workload) (*Case, error) {
	w := e.Kind.Meta(e.After)
	controls, err := j.controlsOwner(ctx, w)
	if controls || err != nil {
		return nil, err
	}
	change, err := e.read()
	if err != nil {
		return nil, err
	}
	return decided(CheckPart(j.withNodes(change), j.ownerKind(w), owner)), nil
}

func (j *Judge) ownerKind(w *workload.Workload) *workload.Kind {
	return j.Kinds.Of(workload.OwnerKind(w.Owner))
}

func (j *Judge) controlsOwner(ctx context.Context, w *workload.Workload) (bool, error) {
	return j.Controls(ctx, j.ownerKind(w))
}

// ungrouped judges an object without a group in a namespace that demands one. What a
// counted workload let go is judged as if it were new, since its group was its owner's.
func (j *Judge) ungrouped(e Edit, former bool) (*Case, error) {
	if e.Before == nil || former {
		return decided(CheckUngrouped(Change{New: e.Kind.Meta(e.After)})), nil
	}
	change, err := e.read()
	if err != nil {
		return nil, err
	}
	return decided(CheckUngrouped(j.withNodes(change))), nil
}

// tied judges a workload that is tied to a group. What a counted workload let go was
// not charged itself before.
func (j *Judge) tied(ctx context.Context, e Edit, former bool) (*Case, error) {
	change, err := e.read()
	if err != nil {
		return nil, err
	}
	if former {
		change.Old = nil
	}
	return j.charged(ctx, j.withNodes(change))
}

// charged is the case of a workload that is charged to its group. Who may charge it is
// only asked where the workload is new there, or grows.
func (j *Judge) charged(ctx context.Context, change Change) (*Case, error) {
	takesPart, err := j.TakesPart(ctx, change.New.Namespace)
	if err != nil {
		return nil, err
	}
	if takesPart == No && (change.ties() || change.grows()) {
		return decided(refuseOutside(change.New)), nil
	}
	c := &Case{Group: change.New.Group, change: change, takesPart: takesPart, mayCharge: Yes, requester: j.Requester}
	if known := j.Known(c.Group); change.ties() || known == nil || len(c.growth(known)) > 0 {
		c.mayCharge, err = j.askMayCharge(ctx, change.New)
	}
	return c, err
}

// template is the case of a workload without pods of its own, which is judged by those
// of one object that it makes: it must name their group, and the requester must be
// allowed to charge that. Of a changed template too, because the controller that makes
// them later is not asked. That one of them does not fit now is worth a warning.
func (j *Judge) template(ctx context.Context, e Edit) (*Case, error) {
	change := e.meta()
	group, _, err := e.Kind.TemplateGroup(e.After)
	if err != nil {
		return nil, Invalid{err}
	}
	if check := CheckTemplate(change.New, group); !check.Allowed {
		return decided(check), nil
	}
	takesPart, err := j.TakesPart(ctx, change.New.Namespace)
	if err != nil {
		return nil, err
	}
	if takesPart == No && change.ties() {
		return decided(refuseOutside(change.New)), nil
	}
	made, err := j.Kinds.Made(e.Kind, e.After)
	if err != nil {
		return nil, Invalid{fmt.Errorf("%s: %w", e.Kind.Template, err)}
	}
	if made == nil {
		return nil, nil
	}
	c := &Case{Group: group, change: j.withNodes(Change{New: made}), template: change, takesPart: takesPart, requester: j.Requester}
	c.mayCharge, err = j.askMayCharge(ctx, made)
	return c, err
}

// askMayCharge says whether the requester may charge the workload's group, as far as is
// known: the group may say so itself when the case is judged.
func (j *Judge) askMayCharge(ctx context.Context, w *workload.Workload) (Answer, error) {
	if known := j.Known(w.Group); known != nil && Allows(known, w.Namespace) {
		return Yes, nil
	}
	return j.MayCharge(ctx, w)
}

// withNodes is the change with the nodes, where what it charges depends on them.
func (j *Judge) withNodes(change Change) Change {
	if change.Old != nil && change.Old.PerNode() || change.New.PerNode() {
		change.Nodes = j.Nodes()
	}
	return change
}
