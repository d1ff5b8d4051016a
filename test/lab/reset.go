package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"
)

// Reset deletes everything that the API server and the controllers did not make themselves, at once and without
// grace, so that one lab can serve many cases: the lab is then as new, but for CustomResourceDefinitions (whose
// objects go) and Events. It returns when all of it is gone. Components that run beside the lab and make objects
// of their own (a webhook, a controller) are the caller's to stop first.
func (l *Lab) Reset(ctx context.Context) error {
	r, err := l.newResetter()
	if err != nil {
		return err
	}
	found, err := discovery.ServerPreferredResources(l.client.Discovery())
	if err != nil {
		return fmt.Errorf("lab %s: %w", l.dir, err)
	}
	// First who could refuse or undo a deletion, then all the rest, then namespaces, which wait for their contents.
	// A controller may have made something again meanwhile: pass until there is nothing to do.
	webhooks, owners, rest := resetOrder(found)
	for r.busy.Store(true); r.busy.Swap(false); {
		for _, resources := range [][]resource{webhooks, owners, rest} {
			if err := r.deleteAll(ctx, resources); err != nil {
				return err
			}
		}
		if err := r.deleteNamespaces(ctx); err != nil {
			return err
		}
	}
	return nil
}

// DeleteNamespace deletes a namespace with all that is in it, and waits until it is gone.
func (l *Lab) DeleteNamespace(ctx context.Context, name string) error {
	err := l.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return poll(ctx, func(ctx context.Context) (bool, error) {
		_, err := l.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// resource is one that Reset empties.
type resource struct {
	schema.GroupVersionResource
	namespaced bool
}

// resetOrder splits the deletable resources into admission rules, workloads whose controllers would make
// their pods again, and the rest.
func resetOrder(found []*metav1.APIResourceList) (webhooks, owners, rest []resource) {
	for _, list := range found {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // not a version that anything can be stored in
		}
		for _, api := range list.APIResources {
			r := resource{gv.WithResource(api.Name), api.Namespaced}
			switch {
			case !slices.Contains(api.Verbs, "deletecollection") || isKept(r.GroupResource()):
			case gv.Group == "admissionregistration.k8s.io":
				webhooks = append(webhooks, r)
			case gv.Group == "apps" || gv.Group == "batch" || api.Name == "replicationcontrollers":
				owners = append(owners, r)
			default:
				rest = append(rest, r)
			}
		}
	}
	return webhooks, owners, rest
}

// isKept says whether a resource is the API server's own: deleting it would break the lab, or it comes back.
func isKept(r schema.GroupResource) bool {
	switch r.Group {
	case "apiextensions.k8s.io", "apiregistration.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
		"internal.apiserver.k8s.io", "certificates.k8s.io":
		return true
	}
	switch r.Resource {
	case "namespaces", "events", "endpoints", "servicecidrs", "ipaddresses":
		return true
	}
	return false
}

// isSystem says whether an object was made by the control plane for itself.
func isSystem(r resource, obj *metav1.PartialObjectMetadata) bool {
	switch {
	case strings.HasPrefix(obj.Namespace, "kube-"):
		return true
	case r.Group == "rbac.authorization.k8s.io":
		return obj.Labels["kubernetes.io/bootstrapping"] != "" || strings.HasPrefix(obj.Name, "system:")
	case r.Resource == "priorityclasses":
		return strings.HasPrefix(obj.Name, "system-")
	case r.Resource == "serviceaccounts":
		return obj.Name == "default"
	case r.Resource == "configmaps":
		return obj.Name == "kube-root-ca.crt"
	case r.Resource == "services" || r.Resource == "endpointslices":
		return obj.Namespace == metav1.NamespaceDefault && obj.Name == "kubernetes"
	}
	return false
}

// resetter deletes by metadata alone, whatever the kind.
type resetter struct {
	lab      *Lab
	metadata metadata.Interface
	dynamic  dynamic.Interface
	busy     atomic.Bool // something was found to delete
}

func (l *Lab) newResetter() (*resetter, error) {
	meta, err := metadata.NewForConfig(l.config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(l.config)
	if err != nil {
		return nil, err
	}
	return &resetter{lab: l, metadata: meta, dynamic: dyn}, nil
}

// deleteAll empties resources, several at a time.
func (r *resetter) deleteAll(ctx context.Context, resources []resource) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, res := range resources {
		group.Go(func() error {
			if err := r.empty(ctx, res); err != nil {
				return fmt.Errorf("lab %s: deleting all %s: %w", r.lab.dir, res.GroupResource(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// empty deletes a resource's objects until none is left but the system's. What a finalizer holds is released:
// its controller may be stopped, or wait for something that is gone too.
func (r *resetter) empty(ctx context.Context, res resource) error {
	for first := true; ; first = false {
		left, err := r.list(ctx, res)
		if err != nil || len(left) == 0 {
			return err
		}
		r.busy.Store(true)
		if first {
			err = r.deleteMany(ctx, res, left)
		} else {
			err = r.deleteEach(ctx, res, left)
		}
		if err != nil {
			return err
		}
	}
}

// list returns the objects of a resource that are not the system's.
func (r *resetter) list(ctx context.Context, res resource) ([]metav1.PartialObjectMetadata, error) {
	list, err := r.metadata.Resource(res.GroupVersionResource).List(ctx, metav1.ListOptions{ResourceVersion: ""})
	if apierrors.IsNotFound(err) { // its CustomResourceDefinition is gone
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(obj metav1.PartialObjectMetadata) bool { return isSystem(res, &obj) }), nil
}

// collectionLimit is how many objects one request may delete: a minute later the API server gives it up.
const collectionLimit = 1000

// deleteMany deletes whole collections, one request a namespace; where there are too many objects for that, or
// the system has some among them, they go one by one.
func (r *resetter) deleteMany(ctx context.Context, res resource, objs []metav1.PartialObjectMetadata) error {
	if sharedWithSystem(res) || len(objs) > collectionLimit {
		return r.deleteEach(ctx, res, objs)
	}
	namespaces := map[string]bool{}
	for i := range objs {
		namespaces[objs[i].Namespace] = true
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for namespace := range namespaces {
		group.Go(func() error {
			collection := r.metadata.Resource(res.GroupVersionResource).Namespace(namespace)
			return collection.DeleteCollection(ctx, atOnce(), metav1.ListOptions{})
		})
	}
	return group.Wait()
}

// sharedWithSystem says whether the system keeps objects of this resource where users keep theirs.
func sharedWithSystem(res resource) bool {
	switch res.Resource {
	case "priorityclasses", "serviceaccounts", "configmaps", "services", "endpointslices":
		return true
	}
	return res.Group == "rbac.authorization.k8s.io"
}

// deleteEach deletes objects one by one and takes their finalizers off.
func (r *resetter) deleteEach(ctx context.Context, res resource, objs []metav1.PartialObjectMetadata) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range objs {
		group.Go(func() error { return r.deleteOne(ctx, res, &objs[i]) })
	}
	return group.Wait()
}

func (r *resetter) deleteOne(ctx context.Context, res resource, obj *metav1.PartialObjectMetadata) error {
	var resources dynamic.ResourceInterface = r.dynamic.Resource(res.GroupVersionResource)
	if res.namespaced {
		resources = r.dynamic.Resource(res.GroupVersionResource).Namespace(obj.Namespace)
	}
	if len(obj.Finalizers) > 0 {
		none := map[string]any{"metadata": map[string]any{"finalizers": nil}}
		if err := patch(ctx, resources, obj.Name, none); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	err := resources.Delete(ctx, obj.Name, atOnce())
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// deleteNamespaces deletes the users' namespaces, which are empty by now, and finalizes them without waiting for
// the namespace controller.
func (r *resetter) deleteNamespaces(ctx context.Context) error {
	namespaces := r.lab.client.CoreV1().Namespaces()
	list, err := namespaces.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range list.Items {
		if ns := &list.Items[i]; ns.Name != metav1.NamespaceDefault && !strings.HasPrefix(ns.Name, "kube-") {
			r.busy.Store(true)
			group.Go(func() error { return r.deleteNamespace(ctx, ns.Name) })
		}
	}
	return group.Wait()
}

// deleteNamespace deletes a namespace and finalizes it. What the controllers put into each namespace would
// outlive it, so that goes as soon as the namespace is terminating, when nobody makes it again.
func (r *resetter) deleteNamespace(ctx context.Context, name string) error {
	namespaces := r.lab.client.CoreV1().Namespaces()
	err := namespaces.Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // conflict: it is terminating
		return err
	}
	for _, own := range []string{"serviceaccounts", "configmaps"} {
		collection := r.metadata.Resource(corev1.SchemeGroupVersion.WithResource(own)).Namespace(name)
		if err := collection.DeleteCollection(ctx, atOnce(), metav1.ListOptions{}); err != nil {
			return err
		}
	}
	return poll(ctx, func(ctx context.Context) (bool, error) { return r.lab.finalize(ctx, name) })
}

// finalize takes a namespace's finalizers off and says whether it is gone.
func (l *Lab) finalize(ctx context.Context, name string) (gone bool, err error) {
	namespaces := l.client.CoreV1().Namespaces()
	ns, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	ns.Spec.Finalizers = nil
	_, err = namespaces.Finalize(ctx, ns, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) { // the namespace controller was faster
		return false, nil
	}
	return false, err
}

// atOnce deletes without grace and without waiting for dependents.
func atOnce() metav1.DeleteOptions {
	return metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0),
		PropagationPolicy:  ptr.To(metav1.DeletePropagationBackground),
	}
}

// patch applies a JSON merge patch.
func patch(ctx context.Context, resources dynamic.ResourceInterface, name string, change map[string]any, subresources ...string) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = resources.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{}, subresources...)
	return err
}
