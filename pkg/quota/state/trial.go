package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Trial judges changes one after the other, each with those before it admitted, as
// the admission webhook would. The state itself stays as it is. Not safe for
// concurrent use.
type Trial struct {
	state *State
	// groups are as the changes before left them.
	groups    *quota.Tree
	requester Requester
	// objects are those that changes before left otherwise; nil when deleted.
	objects map[string]snapshot.Object
	// natively is what is used of the ResourceQuotas that changes before are counted in.
	natively map[*corev1.ResourceQuota]corev1.ResourceList
}

// Requester is who asks for the changes of a trial.
type Requester struct {
	// Name is how a refusal names who asks: "you".
	Name string
	// MayCharge says whether the requester has the right to use a group that does not
	// allow the namespace, as far as is known; nil where nobody can be asked.
	MayCharge func(ctx context.Context, group string) (quota.Answer, error)
}

// Try begins a trial.
func (s *State) Try(requester Requester) *Trial {
	return &Trial{
		state: s, groups: quota.NewTree(s.Snapshot.BizGroupResourceQuotas), requester: requester,
		objects: map[string]snapshot.Object{}, natively: map[*corev1.ResourceQuota]corev1.ResourceList{},
	}
}

// Group returns the group of that name, or nil.
func (t *Trial) Group(name string) *quota.Group { return t.groups.Group(name) }

// PutGroup judges the creation of a group, or the update of the one of its name.
func (t *Trial) PutGroup(group *quota.Group) *report.QuotaCheck {
	old := t.groups.Group(group.Name)
	if old == nil {
		created := group.DeepCopy()
		created.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{}
		return t.admitGroup(t.groups.CheckCreate(created), nil, created)
	}
	updated := old.DeepCopy()
	updated.Spec, updated.Labels, updated.Annotations = group.Spec, group.Labels, group.Annotations
	return t.admitGroup(t.groups.CheckUpdate(old, updated), old, updated)
}

// DeleteGroup judges the deletion of a group, which is there.
func (t *Trial) DeleteGroup(name string) *report.QuotaCheck {
	old := t.groups.Group(name)
	return t.admitGroup(t.groups.CheckDelete(old), old, nil)
}

// admitGroup changes the groups if that is allowed: the parent is charged by the
// difference.
func (t *Trial) admitGroup(check *report.QuotaCheck, old, group *quota.Group) *report.QuotaCheck {
	if !check.Allowed {
		return t.state.nameUsers(check)
	}
	if group == nil {
		t.groups.Remove(old.Name)
	} else {
		t.groups.Put(group)
	}
	t.charge(cmp.Or(group, old).Spec.ParentBizGroup, hardOf(old), hardOf(group))
	return check
}

// hardOf is a group's hard by canonical key; empty for no group.
func hardOf(group *quota.Group) corev1.ResourceList {
	if group == nil {
		return corev1.ResourceList{}
	}
	return quota.CanonicalList(group.Spec.Hard)
}

// charge charges a group, if there is one of that name, after for before.
func (t *Trial) charge(name string, before, after corev1.ResourceList) {
	known := t.groups.Group(name)
	if known == nil {
		return
	}
	group := known.DeepCopy()
	if group.Status.Used == nil {
		group.Status.Used = corev1.ResourceList{}
	}
	for key := range group.Spec.Hard {
		used := less(group.Status.Used[key], before[quota.Canonical(key)])
		used.Add(after[quota.Canonical(key)])
		group.Status.Used[key] = used
	}
	t.groups.Put(group)
}

// Edit is what is done with an object of a workload kind.
type Edit struct {
	Kind *workload.Kind
	// Object is what is created, or what the object of its name becomes.
	Object snapshot.Object
	// Scaled says that only the number of replicas is another, Deleted that the
	// object is deleted, which is there.
	Scaled, Deleted bool
}

// Object returns the object that an edit would change; nil for none.
func (t *Trial) Object(e Edit) snapshot.Object {
	if object, ok := t.objects[e.key()]; ok {
		return object
	}
	return t.state.find(e.Kind, e.Object.GetNamespace(), e.Object.GetName())
}

// key tells objects apart.
func (e Edit) key() string { return e.Object.GetNamespace() + "/" + e.Kind.Meta(e.Object).String() }

// find finds an object of a workload kind; nil where it is not there.
func (s *State) find(kind *workload.Kind, namespace, name string) snapshot.Object {
	for _, object := range s.Objects(kind) {
		if object.GetNamespace() == namespace && object.GetName() == name {
			return object
		}
	}
	return nil
}

// Edit judges what is done with a workload. Errors name the object that cannot be
// read, or are the requester's.
func (t *Trial) Edit(ctx context.Context, e Edit) (*report.QuotaCheck, error) {
	before := t.Object(e)
	change, err := e.read(before)
	if err != nil {
		return nil, err
	}
	if e.Deleted {
		return quota.LetBy(change.Old), t.admit(ctx, e, before, quota.Change{Old: change.Old})
	}
	c, err := t.caseOf(ctx, e, before, change)
	if invalid := (quota.Invalid{}); errors.As(err, &invalid) {
		return nil, e.errorf(err)
	}
	if err != nil {
		return nil, err
	}
	check := quota.LetBy(change.New)
	if c != nil {
		check = c.By(t.groups).QuotaCheck
	}
	if err := t.note(ctx, check, e, before, change); err != nil {
		return nil, err
	}
	if !check.Allowed {
		return t.state.nameUsers(check), nil
	}
	return check, t.admit(ctx, e, before, change)
}

// read reads what the edit would change, nil for nothing, and what it would make of
// that.
func (e Edit) read(before snapshot.Object) (change quota.Change, err error) {
	if !e.Deleted {
		if change.New, err = e.Kind.Read(e.Object); err != nil {
			return change, e.errorf(err)
		}
	}
	if before != nil {
		old, err := e.Kind.Read(before)
		if err != nil { // it charges nothing, and may be mended
			old = e.Kind.Meta(before)
		}
		change.Old = old
	}
	return change, nil
}

func (e Edit) errorf(err error) error {
	return fmt.Errorf("%s %q: %w", e.Kind.Kind, e.Object.GetName(), err)
}

// caseOf is the case of the edit; nil where quota has nothing to say of it.
func (t *Trial) caseOf(ctx context.Context, e Edit, before snapshot.Object, change quota.Change) (*quota.Case, error) {
	judge := t.judge()
	if e.Scaled && e.Kind.Scale != "" {
		return judge.Scale(ctx, change)
	}
	edit := quota.Edit{Kind: e.Kind, After: e.Object}
	if before != nil { // or the interface would hold a nil
		edit.Before = before
	}
	return judge.Edit(ctx, edit)
}

// judge is the admission webhook's, who asks the state.
func (t *Trial) judge() *quota.Judge {
	return &quota.Judge{
		Questions: questions{t},
		Kinds:     t.state.Kinds,
		Nodes:     t.state.Workloads.Nodes,
		Living:    t.state.Workloads.Living,
		Defaults:  t.state.Workloads.Defaults,
		Known:     t.groups.Group,
		Allowing:  t.groups.Allowing,
		Requester: t.requester.Name,
	}
}

// admit charges the groups as if the change had been admitted; change.New is nil for a
// deletion. What is part of a counted workload is charged as that.
func (t *Trial) admit(ctx context.Context, e Edit, before snapshot.Object, change quota.Change) error {
	judge := t.judge()
	for _, w := range []*workload.Workload{change.Old, change.New} {
		if w == nil {
			continue
		}
		owner, err := judge.CountedOwner(ctx, w)
		if err != nil {
			return err
		}
		if owner != nil {
			continue
		}
		object := e.Object
		if w == change.Old {
			object = before
		}
		for _, charged := range t.charged(object, w) {
			if amounts := t.amounts(charged); w == change.New {
				t.charge(charged.Group, nil, amounts)
			} else {
				t.charge(charged.Group, amounts, nil)
			}
		}
	}
	t.admitNatively(change)
	t.objects[e.key()] = nil
	if change.New != nil {
		t.objects[e.key()] = e.Object
	}
	return nil
}

// charged are the workload, and what is charged in its place: not what a CronJob makes,
// which it does not now.
func (t *Trial) charged(object snapshot.Object, w *workload.Workload) []*workload.Workload {
	charged := []*workload.Workload{w}
	if len(w.Kind.PodSets) > 0 {
		charged = append(charged, t.state.heirs(object, w)...)
	}
	return charged
}

// amounts is what the workload charges its group.
func (t *Trial) amounts(w *workload.Workload) corev1.ResourceList {
	group := t.groups.Group(w.Group)
	if group == nil {
		return nil
	}
	return quota.Change{New: w, Nodes: t.state.Workloads.Nodes(), Made: t.state.Workloads.Living(w.UID), Defaults: t.state.Workloads.Defaults(w.Namespace)}.Growth(group)
}

// questions answers what package quota's judge asks, by the state and the requester's
// rights.
type questions struct{ *Trial }

// Owner implements quota.Questions.
func (q questions) Owner(_ context.Context, namespace string, ref *metav1.OwnerReference, live bool) (*workload.Workload, error) {
	owner := q.state.Workloads.Get(ref.UID)
	if owner == nil || !live {
		return owner, nil
	}
	if object := q.state.find(owner.Kind, namespace, ref.Name); object == nil || object.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	return owner, nil
}

// RequiresGroup implements quota.Questions.
func (q questions) RequiresGroup(_ context.Context, name string) (bool, error) {
	namespace := q.state.Snapshot.Namespace(name)
	return namespace != nil && quota.RequiresGroup(namespace.Labels), nil
}

// TakesPart implements quota.Questions. A dump may hold no namespaces, or be of a cluster
// in which none takes part yet: what would hold there is asked then.
func (q questions) TakesPart(_ context.Context, name string) (quota.Answer, error) {
	namespace := q.state.Snapshot.Namespace(name)
	none := func() bool {
		return !slices.ContainsFunc(q.state.Snapshot.Namespaces, func(n *corev1.Namespace) bool { return quota.TakesPart(n.Labels) })
	}
	switch {
	case namespace == nil, q.requester.MayCharge == nil && none():
		return quota.Unknown, nil
	case quota.TakesPart(namespace.Labels):
		return quota.Yes, nil
	}
	return quota.No, nil
}

// MayCharge implements quota.Questions.
func (q questions) MayCharge(ctx context.Context, w *workload.Workload) (quota.Answer, error) {
	if q.requester.MayCharge == nil || q.groups.Group(w.Group) == nil {
		return quota.Unknown, nil
	}
	return q.requester.MayCharge(ctx, w.Group)
}

// Controls implements quota.Questions. Nobody acts in a controller's place by hand.
func (q questions) Controls(context.Context, *workload.Kind) (bool, error) { return false, nil }
