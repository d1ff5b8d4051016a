package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/restmapper"
)

// creators bounds the requests that CreateAll has under way.
const creators = 32

// createPatience is how long one object is retried: a new namespace has its service account after a moment, and
// an API server that a test restarts is back in seconds.
const createPatience = 30 * time.Second

// CreateAll creates objects, typed or unstructured, in parallel. Neighbours of one kind are created together and
// started in their order; the next kind waits for them, so put namespaces before what is in them and nodes before
// pods. A namespaced object without a namespace goes to "default". A status is written too, where the API server
// drops it on creation (ResourceClaim, PodDisruptionBudget, ...). A namespace that exists is left as it is; any
// other object that exists is an error.
func (l *Lab) CreateAll(ctx context.Context, objs ...runtime.Object) error {
	c, err := l.newCreator()
	if err != nil {
		return err
	}
	for len(objs) > 0 {
		kind, n, err := leadingKind(objs)
		if err != nil {
			return err
		}
		if err := c.createKind(ctx, kind, objs[:n]); err != nil {
			return err
		}
		objs = objs[n:]
	}
	return nil
}

// leadingKind returns the kind of the first object and how many objects from the first on have it.
func leadingKind(objs []runtime.Object) (kind schema.GroupVersionKind, n int, err error) {
	for i, obj := range objs {
		k, err := kindOf(obj)
		if err != nil {
			return kind, 0, err
		}
		if i == 0 {
			kind = k
		}
		if k != kind {
			return kind, i, nil
		}
	}
	return kind, len(objs), nil
}

// kindOf returns an object's kind, from the scheme where the object does not say.
func kindOf(obj runtime.Object) (schema.GroupVersionKind, error) {
	if kind := obj.GetObjectKind().GroupVersionKind(); !kind.Empty() {
		return kind, nil
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("lab: %T has no apiVersion and kind, and is no built-in type: %w", obj, err)
	}
	return kinds[0], nil
}

// creator creates objects of any kind that the API server serves.
type creator struct {
	client dynamic.Interface
	mapper meta.RESTMapper
}

func (l *Lab) newCreator() (*creator, error) {
	client, err := dynamic.NewForConfig(l.config)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(l.config)
	if err != nil {
		return nil, err
	}
	return &creator{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}, nil
}

// createKind creates objects of one kind, at most creators at a time.
func (c *creator) createKind(ctx context.Context, kind schema.GroupVersionKind, objs []runtime.Object) error {
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("lab: kind %s: %w", kind, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, obj := range objs {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
			if err != nil {
				return fmt.Errorf("lab: %T: %w", obj, err)
			}
			u := &unstructured.Unstructured{Object: content}
			u.SetGroupVersionKind(kind)
			if err := c.create(ctx, mapping, u); err != nil {
				return fmt.Errorf("lab: creating %s %s/%s: %w", kind.Kind, u.GetNamespace(), u.GetName(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// create creates one object and writes its status.
func (c *creator) create(ctx context.Context, mapping *meta.RESTMapping, obj *unstructured.Unstructured) error {
	resources := c.resources(mapping, obj)
	stored, err := createRetrying(ctx, resources, obj)
	if apierrors.IsAlreadyExists(err) && mapping.GroupVersionKind.Kind == "Namespace" {
		return nil
	}
	if err != nil || !statusLost(obj, stored) {
		return err
	}
	return writeStatus(ctx, resources, obj)
}

// resources returns the client of the object's resource, in its namespace if it has one.
func (c *creator) resources(mapping *meta.RESTMapping, obj *unstructured.Unstructured) dynamic.ResourceInterface {
	resources := c.client.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return resources
	}
	if obj.GetNamespace() == "" {
		obj.SetNamespace(metav1.NamespaceDefault)
	}
	return resources.Namespace(obj.GetNamespace())
}

// createRetrying creates an object and tries again while the API server is not ready for it.
func createRetrying(ctx context.Context, resources dynamic.ResourceInterface, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, createPatience)
	defer cancel()
	var stored *unstructured.Unstructured
	var last error
	err := poll(ctx, func(ctx context.Context) (bool, error) {
		var err error
		stored, err = resources.Create(ctx, obj, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) && connectionLost(last) { // the lost request had gone through
			stored, err = resources.Get(ctx, obj.GetName(), metav1.GetOptions{})
		}
		if retriable(err) {
			last = err
			return false, nil
		}
		return err == nil, err
	})
	if ctx.Err() != nil && last != nil {
		return nil, errors.Join(err, last)
	}
	return stored, err
}

// retriable says whether a request may succeed a moment later.
func retriable(err error) bool {
	waitsForServiceAccount := apierrors.IsForbidden(err) && strings.Contains(err.Error(), "error looking up service account")
	return waitsForServiceAccount || connectionLost(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err)
}

// connectionLost says whether the API server may or may not have served the request.
func connectionLost(err error) bool {
	return err != nil && (net.IsConnectionRefused(err) || net.IsConnectionReset(err) || net.IsProbableEOF(err) || net.IsHTTP2ConnectionLost(err))
}

// statusLost says whether obj has a status of its own that the stored object lacks.
func statusLost(obj, stored *unstructured.Unstructured) bool {
	want, _, _ := unstructured.NestedMap(obj.Object, "status")
	have, _, _ := unstructured.NestedMap(stored.Object, "status")
	return !covers(have, want)
}

// covers says whether have holds all that want says; zero values in want say nothing.
func covers(have, want any) bool {
	wants, ok := want.(map[string]any)
	if !ok {
		return isZero(want) || fmt.Sprint(have) == fmt.Sprint(want)
	}
	haves, _ := have.(map[string]any)
	for key, w := range wants {
		if !covers(haves[key], w) {
			return false
		}
	}
	return true
}

// isZero says whether a JSON value is one that Go's encoding writes for an unset field.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return v == "" || v == false || v == int64(0) || v == float64(0)
}

// writeStatus puts obj's status onto the stored object. A merge patch leaves alone the fields that a controller
// has set meanwhile and obj does not.
func writeStatus(ctx context.Context, resources dynamic.ResourceInterface, obj *unstructured.Unstructured) error {
	status, _, err := unstructured.NestedMap(obj.Object, "status")
	if err != nil {
		return err
	}
	return patch(ctx, resources, obj.GetName(), map[string]any{"status": status}, "status")
}
