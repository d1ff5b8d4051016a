package quota

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

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
	// Living returns what stands of what the object of that UID has made, as last seen.
	Living func(types.UID) []Part
	// Defaults are what the API server adds to the pods of the namespace's templates.
	Defaults func(namespace string) workload.Defaults
	// Known returns the group of that name as last seen; nil where none was.
	Known func(name string) *Group
	// Allowing returns the names of the groups that workloads of the namespace may be tied
	// to, whoever asks, as last seen.
	Allowing func(namespace string) []string
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
	free, err := j.free(ctx, change.New)
	if err != nil || free && (change.Old == nil || change.New.Owner == nil) {
		return nil, err
	}
	owner, err := j.CountedOwner(ctx, change.New)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		return j.part(ctx, e, owner)
	}
	if free {
		return nil, nil
	}
	was, err := j.wasPart(ctx, change)
	switch {
	case err != nil:
		return nil, err
	case change.New.Group == "":
		return j.ungrouped(ctx, e, was)
	case len(e.Kind.PodSets) == 0:
		return j.template(ctx, e)
	}
	return j.tied(ctx, e, was)
}

// free says whether w has no group, and needs none.
func (j *Judge) free(ctx context.Context, w *workload.Workload) (bool, error) {
	if w.Group != "" {
		return false, nil
	}
	required, err := j.RequiresGroup(ctx, w.Namespace)
	return !required, err
}

// Scale judges a new number of replicas, by the template that the workload has. The
// case is nil where quota has nothing to say. Errors are those of the questions.
func (j *Judge) Scale(ctx context.Context, change Change) (*Case, error) {
	change = j.with(change)
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
	if free, err := j.free(ctx, change.New); free || err != nil {
		return nil, err
	}
	return j.untied(ctx, change)
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

// former is whether an object was part of a counted workload before an edit, and is none
// now.
type former int

const (
	never    former = iota
	taken           // somebody took it out of the workload
	released        // the workload's controller let it go
)

// wasPart says what the object was before the edit. It is no part now, so nothing has to
// be asked while the owner is the same.
func (j *Judge) wasPart(ctx context.Context, change Change) (former, error) {
	if change.Old == nil || change.Old.Owner == nil || change.Old.SameOwner(change.New) {
		return never, nil
	}
	owner, err := j.countedOwner(ctx, change.Old, true)
	if owner == nil || err != nil {
		return never, err
	}
	controls, err := j.controlsOwner(ctx, change.Old)
	if controls {
		return released, err
	}
	return taken, err
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
	if podMakesPod(w) {
		return j.podOfPod(ctx, change, owner)
	}
	check := CheckPart(j.with(change), j.ownerKind(w), owner)
	if change.New.Group == "" && e.relabels() {
		required, err := j.RequiresGroup(ctx, w.Namespace)
		if err != nil {
			return nil, err
		}
		if required {
			refuseRelabelled(check, change.New, owner)
		}
	}
	return decided(check), nil
}

// podOfPod judges a pod that another one makes for the counted workload owner. No
// controller answers for it: what runs in the other pod does, and may make any number. So
// it is judged as a workload of owner's group, until it is seen to be part of owner.
func (j *Judge) podOfPod(ctx context.Context, change Change, owner *workload.Workload) (*Case, error) {
	if old := change.Old; old != nil && old.Owner != nil && !old.SameOwner(change.New) {
		change.Old = nil // another's part
	}
	sides := []*workload.Workload{change.New}
	if change.Old != nil && change.Old.Owner != nil {
		sides = append(sides, change.Old)
	}
	for _, w := range sides {
		w.Group, w.Models = owner.Group, w.Models.Or(owner.Models)
	}
	return j.charged(ctx, j.with(change))
}

// relabels says whether the edit changes the object's labels, by which its controller
// may let it go.
func (e Edit) relabels() bool {
	return e.Before != nil && !maps.Equal(e.Before.GetLabels(), e.After.GetLabels())
}

func (j *Judge) ownerKind(w *workload.Workload) *workload.Kind {
	return j.Kinds.Of(workload.OwnerKind(w.Owner))
}

func (j *Judge) controlsOwner(ctx context.Context, w *workload.Workload) (bool, error) {
	return j.Controls(ctx, j.ownerKind(w))
}

// ungrouped judges an object without a group in a namespace that demands one. What was
// taken out of a counted workload is judged as if it were new, since its group was its
// owner's.
func (j *Judge) ungrouped(ctx context.Context, e Edit, was former) (*Case, error) {
	switch was {
	case released:
		return nil, nil // its controller cannot but let it go
	case taken:
		return decided(CheckUngrouped(Change{New: e.Kind.Meta(e.After)}, j.Allowing)), nil
	}
	change, err := e.read()
	if err != nil {
		return nil, err
	}
	if len(e.Kind.PodSets) == 0 { // it is as large as what it makes
		if change, err = j.making(e); err != nil {
			return nil, err
		}
	}
	return j.untied(ctx, j.with(change))
}

// making is the change of what an object without pods of its own makes.
func (j *Judge) making(e Edit) (Change, error) {
	change := e.meta()
	for _, side := range []struct {
		object Object
		made   **workload.Workload
	}{{e.Before, &change.Old}, {e.After, &change.New}} {
		if side.object == nil {
			continue
		}
		made, err := j.Kinds.Made(e.Kind, side.object)
		if err != nil {
			return change, Invalid{err}
		}
		if made != nil {
			made.Kind, made.Name, made.Group = e.Kind, side.object.GetName(), (*side.made).Group
			*side.made = made
		}
	}
	return change, nil
}

// untied judges the change of a workload without a group in a namespace that demands
// one. What stood before the namespace did may stay as large as it is, and so its
// controllers make what belongs to that.
func (j *Judge) untied(ctx context.Context, change Change) (*Case, error) {
	stands, err := j.madeByStanding(ctx, change.New)
	if stands || err != nil {
		return nil, err
	}
	return decided(CheckUngrouped(change, j.Allowing)), nil
}

// madeByStanding says whether the requester is the controller of an object that stands,
// whose size is known and cannot grow, and of whose kind's making w is.
func (j *Judge) madeByStanding(ctx context.Context, w *workload.Workload) (bool, error) {
	if w.Owner == nil || !j.Kinds.Makes(workload.OwnerKind(w.Owner), w.Kind.GroupKind()) {
		return false, nil
	}
	owner, err := j.Owner(ctx, w.Namespace, w.Owner, true)
	if owner == nil || err != nil || !owner.IsNamed(w.Namespace, w.Owner) || len(owner.PodSets) == 0 && owner.Kind.Template == "" {
		return false, err
	}
	return j.controlsOwner(ctx, w)
}

// tied judges a workload that is tied to a group. What a counted workload let go was
// not charged itself before: its controller cannot but let it go, so that it is counted,
// and refused to nobody; for everybody else it is new.
func (j *Judge) tied(ctx context.Context, e Edit, was former) (*Case, error) {
	change, err := e.read()
	if err != nil {
		return nil, err
	}
	if was != never {
		change.Old = nil
	}
	change = j.with(change)
	if was == released {
		return &Case{Group: change.New.Group, change: change, counted: true}, nil
	}
	return j.charged(ctx, change)
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
	if !labelled(change.New) && (change.ties() || change.grows() || labelled(change.Old)) {
		if c.labels, err = j.RequiresGroup(ctx, change.New.Namespace); err != nil {
			return nil, err
		}
	}
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
	c := &Case{Group: group, change: j.with(Change{New: made}), template: change, takesPart: takesPart, requester: j.Requester}
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

// with is the change with what it depends on beside the workload: the nodes, where there
// is a pod on each, what is added to its pods, and what it has made.
func (j *Judge) with(change Change) Change {
	if change.Old != nil && change.Old.PerNode() || change.New.PerNode() {
		change.Nodes = j.Nodes()
	}
	change.Defaults = j.Defaults(change.New.Namespace)
	if change.New.UID != "" {
		change.Made = j.Living(change.New.UID)
	}
	return change
}
