package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// judge judges changes one after the other, each with those before it admitted.
type judge struct {
	world *world
	// mayUse says whether the user has the right to use a group; nil where nobody
	// can be asked.
	mayUse func(ctx context.Context, group string) (bool, error)
	// admitted are the workloads' objects as changes before left them; nil when deleted.
	admitted map[string]snapshot.Object
}

func newJudge(w *world, mayUse func(ctx context.Context, group string) (bool, error)) *judge {
	return &judge{world: w, mayUse: mayUse, admitted: map[string]snapshot.Object{}}
}

// judge returns the verdict on what op would do with the subject; op is empty for
// an update of what exists and a creation of what does not.
func (j *judge) judge(ctx context.Context, s subject, op operation) (*reportv1alpha1.QuotaCheck, error) {
	if group := s.group(); group != nil {
		old := j.world.tree.Group(group.Name)
		op, err := op.of(groupResource, group.Name, old != nil)
		if err != nil {
			return nil, err
		}
		return j.judgeGroup(old, group, op), nil
	}
	return j.judgeWorkload(ctx, s, op)
}

// of is the operation on an object that exists or not.
func (op operation) of(resource, name string, exists bool) (operation, error) {
	switch {
	case op == "" && exists:
		return opUpdate, nil
	case op == "":
		return opCreate, nil
	case op == opCreate && exists:
		return "", fmt.Errorf("--op create: %s %q already exists", resource, name)
	case op != opCreate && !exists:
		return "", fmt.Errorf("--op %s: %s %q not found", op, resource, name)
	}
	return op, nil
}

func (j *judge) judgeGroup(old, group *quota.Group, op operation) *reportv1alpha1.QuotaCheck {
	switch op {
	case opCreate:
		created := group.DeepCopy()
		created.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{}
		check := j.world.tree.CheckCreate(created)
		j.applyGroup(check, nil, created)
		return check
	case opUpdate:
		updated := old.DeepCopy()
		updated.Spec, updated.Labels, updated.Annotations = group.Spec, group.Labels, group.Annotations
		check := j.world.tree.CheckUpdate(old, updated)
		j.applyGroup(check, old, updated)
		return check
	}
	check := j.world.tree.CheckDelete(old)
	j.applyGroup(check, old, nil)
	return check
}

// applyGroup changes the tree as admitted: the parent is charged by the difference.
func (j *judge) applyGroup(check *reportv1alpha1.QuotaCheck, old, group *quota.Group) {
	if !check.Allowed {
		return
	}
	if group == nil {
		j.world.tree.Remove(old.Name)
	} else {
		j.world.tree.Put(group)
	}
	j.charge(cmp.Or(group, old).Spec.ParentBizGroup, hardOf(old), hardOf(group))
}

// hardOf is a group's hard by canonical key; empty for no group.
func hardOf(group *quota.Group) corev1.ResourceList {
	if group == nil {
		return corev1.ResourceList{}
	}
	return quota.CanonicalList(group.Spec.Hard)
}

// charge charges a group, if there is one of that name, after for before.
func (j *judge) charge(name string, before, after corev1.ResourceList) {
	known := j.world.tree.Group(name)
	if known == nil {
		return
	}
	group := known.DeepCopy()
	if group.Status.Used == nil {
		group.Status.Used = corev1.ResourceList{}
	}
	for key := range group.Spec.Hard {
		group.Status.Used[key] = plus(less(group.Status.Used[key], before[quota.Canonical(key)]), after[quota.Canonical(key)])
	}
	j.world.tree.Put(group)
}

// judgeWorkload judges as the admission webhook does: by the same quota.Judge.
func (j *judge) judgeWorkload(ctx context.Context, s subject, op operation) (*reportv1alpha1.QuotaCheck, error) {
	before := j.existing(s)
	change, err := readChange(s, before)
	if err != nil {
		return nil, err
	}
	if op, err = op.of(s.kind.GroupResource().String(), s.object.GetName(), before != nil); err != nil {
		return nil, err
	}
	if op == opDelete {
		return quota.LetBy(change.Old), j.admit(ctx, s, quota.Change{Old: change.Old})
	}
	c, err := j.caseOf(ctx, s, before, change)
	if invalid := (quota.Invalid{}); errors.As(err, &invalid) {
		return nil, s.invalid(err)
	}
	if err != nil {
		return nil, err
	}
	check := quota.LetBy(change.New)
	if c != nil {
		check = c.By(j.world.tree).QuotaCheck
	}
	if !check.Allowed {
		return check, nil
	}
	return check, j.admit(ctx, s, change)
}

// readChange reads what the subject would change, nil for nothing, and what it would
// make of that.
func readChange(s subject, before snapshot.Object) (change quota.Change, err error) {
	if change.New, err = s.kind.Read(s.object); err != nil {
		return change, s.invalid(err)
	}
	if before != nil {
		if change.Old, err = s.kind.Read(before); err != nil {
			return change, s.invalid(err)
		}
	}
	return change, nil
}

func (s subject) invalid(err error) error {
	return fmt.Errorf("%s %q: %w", s.kind.Kind, s.object.GetName(), err)
}

// caseOf is the case of what the subject would change; nil where quota has nothing to
// say of it.
func (j *judge) caseOf(ctx context.Context, s subject, before snapshot.Object, change quota.Change) (*quota.Case, error) {
	core := j.core()
	if s.scaled && s.kind.Scale {
		return core.Scale(ctx, change)
	}
	edit := quota.Edit{Kind: s.kind, After: s.object}
	if before != nil { // or the interface would hold a nil
		edit.Before = before
	}
	return core.Edit(ctx, edit)
}

// core is the judge of the admission webhook, who asks the world.
func (j *judge) core() *quota.Judge {
	return &quota.Judge{
		Questions: questions{j},
		Kinds:     j.world.kinds,
		Nodes:     j.world.index.Nodes,
		Known:     j.world.tree.Group,
		Requester: "you",
	}
}

// admit charges the groups as if the change had been admitted; change.New is nil for a
// deletion. What is part of a counted workload is charged as that.
func (j *judge) admit(ctx context.Context, s subject, change quota.Change) error {
	core := j.core()
	for _, w := range []*workload.Workload{change.Old, change.New} {
		if w == nil {
			continue
		}
		owner, err := core.CountedOwner(ctx, w)
		if err != nil {
			return err
		}
		switch amounts := j.amounts(w); {
		case owner != nil:
		case w == change.New:
			j.charge(w.Group, nil, amounts)
		default:
			j.charge(w.Group, amounts, nil)
		}
	}
	after := s.object
	if change.New == nil {
		after = nil
	}
	j.admitted[s.key()] = after
	return nil
}

// amounts is what the workload charges its group.
func (j *judge) amounts(w *workload.Workload) corev1.ResourceList {
	group := j.world.tree.Group(w.Group)
	if group == nil {
		return nil
	}
	return quota.Change{New: w, Nodes: j.world.index.Nodes()}.Growth(group)
}

// key tells workloads apart.
func (s subject) key() string { return s.object.GetNamespace() + "/" + s.kind.Meta(s.object).String() }

// existing is the object that the subject would change; nil for none.
func (j *judge) existing(s subject) snapshot.Object {
	if object, ok := j.admitted[s.key()]; ok {
		return object
	}
	return j.world.find(s.kind, s.object.GetNamespace(), s.object.GetName())
}

// find finds an object of a workload kind; nil where it is not there.
func (w *world) find(kind *workload.Kind, namespace, name string) snapshot.Object {
	for _, object := range objects(w.snap, kind) {
		if object.GetNamespace() == namespace && object.GetName() == name {
			return object
		}
	}
	return nil
}

// questions answers what package quota's judge asks, by the world and the user's rights.
type questions struct{ *judge }

// Owner implements quota.Questions.
func (q questions) Owner(_ context.Context, namespace string, ref *metav1.OwnerReference, live bool) (*workload.Workload, error) {
	owner := q.world.index.Get(ref.UID)
	if owner == nil || !live {
		return owner, nil
	}
	if object := q.world.find(owner.Kind, namespace, ref.Name); object == nil || object.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	return owner, nil
}

// RequiresGroup implements quota.Questions.
func (q questions) RequiresGroup(_ context.Context, name string) (bool, error) {
	namespace := q.world.snap.Namespace(name)
	return namespace != nil && quota.RequiresGroup(namespace.Labels), nil
}

// MayCharge implements quota.Questions.
func (q questions) MayCharge(ctx context.Context, w *workload.Workload) (quota.Answer, error) {
	if q.mayUse == nil || q.world.tree.Group(w.Group) == nil {
		return quota.Unknown, nil
	}
	may, err := q.mayUse(ctx, w.Group)
	if may {
		return quota.Yes, err
	}
	return quota.No, err
}

// Controls implements quota.Questions. Nobody acts in a controller's place by hand.
func (q questions) Controls(context.Context, *workload.Kind) (bool, error) { return false, nil }

// selfMayUse asks the cluster whether the user has the verb use on a group.
func selfMayUse(env cli.Env) (func(ctx context.Context, group string) (bool, error), error) {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := authorizationv1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, group string) (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "use", Group: stowagev1alpha1.GroupName, Version: stowagev1alpha1.GroupVersion.Version,
				Resource: stowagev1alpha1.BizGroupResourceQuotaResource, Name: group,
			},
		}}
		answer, err := client.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("asking whether you may use group %s: %w", group, err)
		}
		return answer.Status.Allowed, nil
	}, nil
}
