package webhook

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// maker returns the counted workload that w is part of; nil for none. That there is
// one may be known already; that there is none has to be read.
func (d *decider) maker(ctx context.Context, w *workload.Workload) (*workload.Workload, error) {
	maker, err := d.makerBy(w, func(owner *metav1.OwnerReference) (*workload.Workload, error) {
		return d.seenOwner(w.Namespace, owner), nil
	})
	if maker != nil || err != nil {
		return maker, err
	}
	return d.liveMaker(ctx, w)
}

// liveMaker is maker by live objects alone.
func (d *decider) liveMaker(ctx context.Context, w *workload.Workload) (*workload.Workload, error) {
	return d.makerBy(w, func(owner *metav1.OwnerReference) (*workload.Workload, error) {
		return d.readOwner(ctx, w.Namespace, owner)
	})
}

// makerBy is maker by the objects that lookup returns; nil are those that are not there.
func (d *decider) makerBy(w *workload.Workload, lookup func(*metav1.OwnerReference) (*workload.Workload, error)) (*workload.Workload, error) {
	index := quota.NewIndex(d.Kinds)
	for up := w; up.Owner != nil && d.Kinds.Makes(workload.OwnerKind(up.Owner), up.Kind.GroupKind()) && index.Get(up.Owner.UID) == nil; {
		owner, err := lookup(up.Owner)
		if err != nil {
			return nil, err
		}
		if owner == nil {
			break
		}
		index.Put(owner)
		up = owner
	}
	if maker, _ := index.Charger(w); maker != w {
		return maker, nil
	}
	return nil, nil
}

// seenOwner is an owner as last seen; nil where it was not.
func (d *decider) seenOwner(namespace string, owner *metav1.OwnerReference) *workload.Workload {
	seen := d.Owners.Lookup(owner.UID)
	if seen == nil || seen.Namespace != namespace || seen.Name != owner.Name || seen.Kind.GroupKind() != workload.OwnerKind(owner) {
		return nil
	}
	return seen
}

// readOwner reads an owner live; nil where it is not there any more, or is being
// deleted and will leave what it made to itself.
func (d *decider) readOwner(ctx context.Context, namespace string, owner *metav1.OwnerReference) (*workload.Workload, error) {
	kind := d.Kinds.Of(workload.OwnerKind(owner))
	obj, err := d.readObject(ctx, kind, types.NamespacedName{Namespace: namespace, Name: owner.Name})
	if obj == nil || err != nil || obj.GetUID() != owner.UID || obj.GetDeletionTimestamp() != nil {
		return nil, err
	}
	w, err := kind.Read(obj)
	if err != nil { // it was there before the webhook, which refuses such
		return kind.Meta(obj), nil
	}
	return w, nil
}

// readObject reads an object of the kind live; nil where it is not there, or where
// its kind is not served.
func (d *decider) readObject(ctx context.Context, kind *workload.Kind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind.GroupVersionKind())
	err := d.live.Get(ctx, name, obj)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s/%s: %w", name.Namespace, kind.Singular(), name.Name, err)
	}
	return obj, nil
}
