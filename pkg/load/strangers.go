package load

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// strangersAtOnce is how many kinds are asked for at a time.
const strangersAtOnce = 16

// loadStrangers loads the metadata of what names a business group and is of a kind that
// the server has and nobody told us of. Who may not list some of these kinds is told once.
func (l *loader) loadStrangers(ctx context.Context) error {
	kinds, err := l.strangeKinds(ctx)
	if err != nil {
		return err
	}
	var forbidden atomic.Bool
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(strangersAtOnce)
	for _, kind := range kinds {
		group.Go(func() error {
			switch err := l.listStrangers(ctx, kind); {
			case apierrors.IsForbidden(err):
				forbidden.Store(true)
			case err != nil && ctx.Err() != nil:
				return err
			}
			return nil // what serves the kind may be down, or be of no objects
		})
	}
	err = group.Wait()
	if forbidden.Load() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.snap.Missing = append(l.snap.Missing, snapshot.Missing{Resource: snapshot.OtherKinds, Reason: snapshot.Forbidden})
	}
	return err
}

// strangeKind is a kind as the server names it.
type strangeKind struct {
	schema.GroupVersionKind
	resource string
}

// strangeKinds are the namespaced kinds that Kubernetes does not come with, that may make
// pods, and that are not loaded anyway. Whoever may ask for anything may ask what is served.
func (l *loader) strangeKinds(ctx context.Context) ([]strangeKind, error) {
	served, err := discovery.NewDiscoveryClient(l.client).ServerPreferredNamespacedResourcesWithContext(ctx)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, err
	}
	var kinds []strangeKind
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || scheme.Scheme.IsGroupRegistered(version.Group) {
			continue
		}
		for _, resource := range list.APIResources {
			kind := version.WithKind(resource.Kind)
			if slices.Contains(resource.Verbs, "list") && !l.knows(kind.GroupKind()) && !workload.Default().MakesNoPods(kind.GroupKind()) {
				kinds = append(kinds, strangeKind{kind, resource.Name})
			}
		}
	}
	return kinds, nil
}

// knows says whether a kind is of those that Stowage reads, or that were asked for.
func (l *loader) knows(kind schema.GroupKind) bool {
	_, known := snapshot.Known(kind)
	return known || slices.ContainsFunc(l.opts.Extra, func(k snapshot.Kind) bool { return k.GroupKind() == kind })
}

// listStrangers lists one kind. What belongs to an object of a kind that is known often
// carries its labels, and is charged with it: it is left out.
func (l *loader) listStrangers(ctx context.Context, kind strangeKind) error {
	data, err := l.client.Get().AbsPath("/apis", kind.Group, kind.Version, kind.resource).
		Param("labelSelector", stowagev1alpha1.GroupLabel).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").DoRaw(ctx)
	if err != nil {
		return err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for i := range list.Items {
		if slices.ContainsFunc(list.Items[i].OwnerReferences, func(ref metav1.OwnerReference) bool {
			return l.knows(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind())
		}) {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&list.Items[i])
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{Object: content}
		object.SetGroupVersionKind(kind.GroupVersionKind)
		object.SetManagedFields(nil)
		l.mu.Lock()
		l.snap.Others = append(l.snap.Others, object)
		l.mu.Unlock()
	}
	return nil
}
