package quota

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// judge judges changes one after the other, each with those before it admitted.
type judge struct {
	world *world
	// mayUse says whether the user has the right to use a group; nil where nobody
	// can be asked.
	mayUse func(ctx context.Context, group string) (bool, error)
	// admitted are the workloads as changes before left them; nil when deleted.
	admitted map[string]*workload.Workload
}

func newJudge(w *world, mayUse func(ctx context.Context, group string) (bool, error)) *judge {
	return &judge{world: w, mayUse: mayUse, admitted: map[string]*workload.Workload{}}
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

// judgeWorkload takes the ways of the admission webhook (package webhook).
func (j *judge) judgeWorkload(ctx context.Context, s subject, op operation) (*reportv1alpha1.QuotaCheck, error) {
	w, err := s.kind.Read(s.object)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", s.kind.Kind, s.object.GetName(), err)
	}
	old, err := j.existing(s)
	if err != nil {
		return nil, err
	}
	if op, err = op.of(s.kind.GroupResource().String(), w.Name, old != nil); err != nil {
		return nil, err
	}
	if op == opDelete {
		return j.delete(old), nil
	}
	maker := j.maker(w)
	switch {
	case maker != nil:
		return j.judgePart(old, w, maker), nil
	case w.Group == "":
		return j.judgeUntied(old, w), nil
	case len(s.kind.PodSets) == 0:
		return j.judgeTemplate(ctx, s, old, w)
	}
	return j.judgeTied(ctx, old, w)
}

// maker is the workload that w is part of, and that is charged for it; nil for none.
func (j *judge) maker(w *workload.Workload) *workload.Workload {
	if w == nil || w.Owner == nil {
		return nil
	}
	part := *w
	part.Group = ""
	maker, _ := j.world.index.Charger(&part)
	return maker
}

// judgePart judges what somebody does with a part of a workload, in whose
// controller's place nobody may act.
func (j *judge) judgePart(old, w, maker *workload.Workload) *reportv1alpha1.QuotaCheck {
	owner := j.world.kinds.Of(workload.OwnerKind(w.Owner))
	return quota.CheckPart(quota.Change{Old: old, New: w, Nodes: j.world.index.Nodes()}, owner, maker)
}

// judgeUntied judges a workload without a group, which some namespaces refuse.
func (j *judge) judgeUntied(old, w *workload.Workload) *reportv1alpha1.QuotaCheck {
	check := j.uncharged(w)
	if namespace := j.world.snap.Namespace(w.Namespace); namespace != nil && namespace.Labels[stowagev1alpha1.RequireGroupLabel] == "true" {
		check = quota.CheckUngrouped(quota.Change{Old: old, New: w, Nodes: j.world.index.Nodes()})
	}
	if check.Allowed {
		j.admit(old, w)
	}
	return check
}

func (j *judge) judgeTied(ctx context.Context, old, w *workload.Workload) (*reportv1alpha1.QuotaCheck, error) {
	before := old
	if j.maker(old) != nil { // it was not charged itself
		before = nil
	}
	change := quota.Change{Old: before, New: w, Nodes: j.world.index.Nodes()}
	check := j.world.tree.CheckWorkload(change)
	group := j.world.tree.Group(w.Group)
	if group != nil && (ties(before, w) || len(change.Growth(group)) > 0) {
		if err := j.checkAccess(ctx, check, group, w.Namespace); err != nil {
			return nil, err
		}
	}
	if check.Allowed {
		j.admit(before, w)
	}
	return check, nil
}

// ties says whether a change ties a workload to its group.
func ties(old, w *workload.Workload) bool { return old == nil || old.Group != w.Group }

// judgeTemplate judges a workload without pods of its own, by those of one object
// that it makes: that one does not fit now is worth a warning.
func (j *judge) judgeTemplate(ctx context.Context, s subject, old, w *workload.Workload) (*reportv1alpha1.QuotaCheck, error) {
	name, _, err := s.kind.TemplateGroup(s.object)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", s.kind.Kind, w.Name, err)
	}
	check := quota.CheckTemplate(w, name)
	if !check.Allowed {
		return check, nil
	}
	made, err := j.world.made(s)
	if made == nil || err != nil {
		return check, err
	}
	fits := j.world.tree.CheckWorkload(quota.Change{New: made, Nodes: j.world.index.Nodes()})
	group := j.world.tree.Group(w.Group)
	if group == nil && ties(old, w) {
		check.Allowed, check.Reasons = fits.Allowed, fits.Reasons
		return check, nil
	}
	for _, reason := range fits.Reasons {
		check.Warnings = append(check.Warnings, "one "+made.Kind.Kind+" of it does not fit now: "+reason)
	}
	if group != nil && ties(old, w) {
		return check, j.checkAccess(ctx, check, group, w.Namespace)
	}
	return check, nil
}

// made is one object as the subject's template says; nil where its kind is not in
// the table.
func (w *world) made(s subject) (*workload.Workload, error) {
	if len(s.kind.Makes) == 0 {
		return nil, nil
	}
	kind := w.kinds.Of(schema.ParseGroupKind(s.kind.Makes[0]))
	if kind == nil {
		return nil, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.object)
	if err != nil {
		return nil, err
	}
	template, _, err := unstructured.NestedMap(content, strings.Split(s.kind.Template, ".")...)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", s.kind.Kind, s.object.GetName(), err)
	}
	object := &unstructured.Unstructured{Object: template}
	object.SetNamespace(s.object.GetNamespace())
	object.SetName(s.object.GetName())
	made, err := kind.Read(object)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %s: %w", s.kind.Kind, s.object.GetName(), s.kind.Template, err)
	}
	return made, nil
}

// uncharged is the verdict on what charges nothing.
func (j *judge) uncharged(w *workload.Workload) *reportv1alpha1.QuotaCheck {
	free := *w
	free.Group = ""
	return j.world.tree.CheckWorkload(quota.Change{New: &free})
}

// delete is the verdict on a deletion, which is never refused.
func (j *judge) delete(old *workload.Workload) *reportv1alpha1.QuotaCheck {
	check := j.uncharged(old)
	check.Group = old.Group
	j.charge(old.Group, j.amounts(old), nil)
	j.admitted[nameOf(old)] = nil
	return check
}

// admit charges the workload's group for it, and its group before no more.
func (j *judge) admit(old, w *workload.Workload) {
	if old != nil {
		j.charge(old.Group, j.amounts(old), nil)
	}
	j.charge(w.Group, nil, j.amounts(w))
	j.admitted[nameOf(w)] = w
}

// amounts is what the workload charges its group.
func (j *judge) amounts(w *workload.Workload) corev1.ResourceList {
	group := j.world.tree.Group(w.Group)
	if group == nil {
		return nil
	}
	return quota.Charge(w, quota.Options{Surge: group.Spec.Surge == stowagev1alpha1.SurgeCount, Nodes: j.world.index.Nodes()})
}

func nameOf(w *workload.Workload) string { return w.Namespace + "/" + w.String() }

// existing is the workload that the subject would change; nil for none.
func (j *judge) existing(s subject) (*workload.Workload, error) {
	if w, ok := j.admitted[nameOf(s.kind.Meta(s.object))]; ok {
		return w, nil
	}
	for _, object := range objects(j.world.snap, s.kind) {
		if object.GetNamespace() == s.object.GetNamespace() && object.GetName() == s.object.GetName() {
			w, err := s.kind.Read(object)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w", s.kind.Kind, object.GetName(), err)
			}
			return w, nil
		}
	}
	return nil, nil
}

// checkAccess makes a verdict one on who may charge the group, where the user may
// not from that namespace.
func (j *judge) checkAccess(ctx context.Context, check *reportv1alpha1.QuotaCheck, group *quota.Group, namespace string) error {
	if quota.Allows(group, namespace) {
		return nil
	}
	use := fmt.Sprintf("%s/%s", stowagev1alpha1.BizGroupResourceQuotaResource, group.Name)
	if j.mayUse == nil {
		check.Warnings = append(check.Warnings, fmt.Sprintf(`group %s: its spec.allow.namespaces does not have %s, and a dump does not say who has the verb "use" on %s: without it, this is refused`, group.Name, namespace, use))
		return nil
	}
	allowed, err := j.mayUse(ctx, group.Name)
	if err != nil || allowed {
		return err
	}
	quota.RefuseUse(check, "you", namespace)
	return nil
}

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
