package webhook

import (
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// edit is one change of an object of a workload kind, before it is known who is
// charged for it. Old is nil for a creation.
type edit struct {
	kind     *workload.Kind
	old, new *workload.Workload
	// before and after are the objects; before is nil for a creation.
	before, after *unstructured.Unstructured
}

// workload judges the creation or update of an object of a workload kind, or the
// resize of a pod.
func (d *decider) workload(ctx context.Context, req *admission.Request) (*reportv1alpha1.QuotaCheck, error) {
	kind := d.Kinds.ForResource(schema.GroupResource{Group: req.Resource.Group, Resource: req.Resource.Resource})
	if kind == nil || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return nil, nil
	}
	e, err := newEdit(kind, req)
	if err != nil {
		return nil, err
	}
	required := false
	if e.new.Group == "" {
		if required, err = d.requiresGroup(ctx, req.Namespace); !required || err != nil {
			return nil, err
		}
	}
	maker, err := d.maker(ctx, e.new)
	if err != nil {
		return nil, err
	}
	if maker != nil {
		return d.child(ctx, req, e, maker)
	}
	return d.unmade(ctx, req, e, required)
}

// newEdit reads the objects' metadata.
func newEdit(kind *workload.Kind, req *admission.Request) (e edit, err error) {
	e.kind = kind
	if e.after, err = decode(req.Object, "object"); err != nil {
		return e, err
	}
	e.new = kind.Meta(e.after)
	if req.Operation == admissionv1.Create {
		return e, nil
	}
	if e.before, err = decode(req.OldObject, "oldObject"); err != nil {
		return e, err
	}
	e.old = kind.Meta(e.before)
	return e, nil
}

// read reads the objects in full. An object that cannot be read charged nothing
// before; it may not stay so.
func (e *edit) read() (err error) {
	if e.new, err = e.kind.Read(e.after); err != nil {
		return badRequest{err}
	}
	if e.old != nil {
		if old, err := e.kind.Read(e.before); err == nil {
			e.old = old
		}
	}
	return nil
}

// unmade judges an object that no counted workload made. required says that it has
// no group and its namespace demands one.
func (d *decider) unmade(ctx context.Context, req *admission.Request, e edit, required bool) (*reportv1alpha1.QuotaCheck, error) {
	wasMade, err := d.wasMade(ctx, e)
	if err != nil {
		return nil, err
	}
	if required {
		return d.ungrouped(e, wasMade)
	}
	if e.new.Group == "" {
		return nil, nil
	}
	if len(e.kind.PodSets) == 0 {
		return d.template(ctx, req, e)
	}
	if err := e.read(); err != nil {
		return nil, err
	}
	change, base := quota.Change{Old: e.old, New: e.new}, ""
	if e.old != nil {
		base = e.old.ResourceVersion
	}
	if wasMade { // its maker was charged, not the object
		change.Old = nil
	}
	return d.charge(ctx, req, change, base)
}

// ungrouped judges an object without a group in a namespace that demands one.
func (d *decider) ungrouped(e edit, wasMade bool) (*reportv1alpha1.QuotaCheck, error) {
	if e.old == nil || wasMade {
		return quota.CheckUngrouped(quota.Change{New: e.new}), nil
	}
	if err := e.read(); err != nil {
		return nil, err
	}
	change := quota.Change{Old: e.old, New: e.new}
	change.Nodes = d.nodesFor(change)
	return quota.CheckUngrouped(change), nil
}

// wasMade says whether the object was a counted workload's child before the edit.
// The new object is not one, so nothing is to be looked up while the owner is the same.
func (d *decider) wasMade(ctx context.Context, e edit) (bool, error) {
	if e.old == nil || e.old.Owner == nil || e.old.SameOwner(e.new) {
		return false, nil
	}
	maker, err := d.liveMaker(ctx, e.old)
	return maker != nil, err
}

// child judges an object that is part of the counted workload maker, which is charged
// for it: only the controller of its owner may make it so, or make it larger.
func (d *decider) child(ctx context.Context, req *admission.Request, e edit, maker *workload.Workload) (*reportv1alpha1.QuotaCheck, error) {
	owner := d.Kinds.Of(workload.OwnerKind(e.new.Owner))
	controls, err := d.access.controls(ctx, req.UserInfo, owner)
	if err != nil || controls {
		return nil, err
	}
	if err := e.read(); err != nil {
		return nil, err
	}
	change := quota.Change{Old: e.old, New: e.new}
	change.Nodes = d.nodesFor(change)
	return quota.CheckPart(change, owner, maker), nil
}

// requiresGroup says whether each workload of the namespace needs a group.
func (d *decider) requiresGroup(ctx context.Context, name string) (bool, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	key := client.ObjectKey{Name: name}
	if d.cache.Get(ctx, key, namespace) != nil { // not started, or the namespace is new
		if err := d.live.Get(ctx, key, namespace); client.IgnoreNotFound(err) != nil {
			return false, fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return namespace.Labels[stowagev1alpha1.RequireGroupLabel] == "true", nil
}

// template judges a workload without pods of its own, by those of one object that
// it makes: it must name their group, and the requester must be allowed to charge
// that, because the controller that makes them later is not asked. That one of them
// does not fit now is worth a warning.
func (d *decider) template(ctx context.Context, req *admission.Request, e edit) (*reportv1alpha1.QuotaCheck, error) {
	group, _, err := e.kind.TemplateGroup(e.after)
	if err != nil {
		return nil, badRequest{err}
	}
	if check := quota.CheckTemplate(e.new, group); !check.Allowed {
		return check, nil
	}
	made, err := d.made(e)
	if made == nil || err != nil {
		return nil, err
	}
	ties := e.old == nil || e.old.Group != group
	authorized, err := d.mayCharge(ctx, req, made) // of a changed template too: nobody is asked for what it makes
	if err != nil {
		return nil, err
	}
	change := quota.Change{New: made}
	change.Nodes = d.nodesFor(change)
	return d.settle(ctx, req, group, subject{request: req.UID}, func(tree *quota.Tree) (*reportv1alpha1.QuotaCheck, *stowagev1alpha1.Reservation) {
		check, of := tree.CheckWorkload(change), tree.Group(group)
		switch {
		case ties && of == nil:
		case !authorized && of != nil && !quota.Allows(of, made.Namespace):
			quota.RefuseUse(check, requester(req), req.Namespace)
		default:
			quota.Warn(check, "one "+made.Kind.Kind+" of it does not fit now: ")
		}
		return check, nil
	})
}

// made is one object as the edited one's template says; nil where its kind is not
// in the table.
func (d *decider) made(e edit) (*workload.Workload, error) {
	if len(e.kind.Makes) == 0 {
		return nil, nil
	}
	kind := d.Kinds.Of(schema.ParseGroupKind(e.kind.Makes[0]))
	if kind == nil {
		return nil, nil
	}
	template, _, err := unstructured.NestedMap(e.after.Object, strings.Split(e.kind.Template, ".")...)
	if err != nil {
		return nil, badRequest{err}
	}
	obj := &unstructured.Unstructured{Object: template}
	obj.SetNamespace(e.new.Namespace)
	obj.SetName(e.new.Name)
	made, err := kind.Read(obj)
	if err != nil {
		return nil, badRequest{fmt.Errorf("%s: %w", e.kind.Template, err)}
	}
	return made, nil
}
