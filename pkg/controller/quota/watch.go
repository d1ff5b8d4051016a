package quota

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// watcher feeds a View from the API server. It runs on every replica.
type watcher struct {
	view    *View
	kinds   *workload.Kinds
	config  *rest.Config
	http    *http.Client
	scheme  *runtime.Scheme
	dynamic dynamic.Interface
}

// servedInterval is how often a declared kind that is not served is looked for.
const servedInterval = 30 * time.Second

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (w *watcher) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it watches until ctx ends.
func (w *watcher) Start(ctx context.Context) error {
	targets := w.targets()
	if err := w.begin(ctx, targets); err != nil {
		return err
	}
	var running sync.WaitGroup
	running.Go(func() { wait.UntilWithContext(ctx, func(context.Context) { w.view.sweep() }, time.Minute) })
	for _, t := range targets {
		running.Go(func() {
			wait.UntilWithContext(ctx, func(ctx context.Context) { w.watchWhileServed(ctx, t) }, servedInterval)
		})
	}
	running.Wait()
	return nil
}

// target is one kind to watch.
type target struct {
	schema.GroupVersionResource
	kind  string
	store *store
	// versions are those of which the first that is served is watched.
	versions []string
	// optional kinds may not be installed.
	optional bool
	lister   *lister
}

// targets are the groups, what charges depend on beside the workloads, and every
// declared workload kind.
func (w *watcher) targets() []*target {
	targets := []*target{{
		GroupVersionResource: stowagev1alpha1.GroupVersion.WithResource(stowagev1alpha1.BizGroupResourceQuotaResource),
		kind:                 stowagev1alpha1.BizGroupResourceQuotaKind,
		store:                w.view.groupStore(),
	}, {
		GroupVersionResource: corev1.SchemeGroupVersion.WithResource("nodes"),
		kind:                 "Node",
		store:                w.view.nodeStore(),
	}, {
		GroupVersionResource: corev1.SchemeGroupVersion.WithResource("limitranges"),
		kind:                 "LimitRange",
		store:                w.view.limitsStore(),
	}, {
		GroupVersionResource: nodev1.SchemeGroupVersion.WithResource("runtimeclasses"),
		kind:                 "RuntimeClass",
		store:                w.view.classesStore(),
	}}
	for _, kind := range w.kinds.All() {
		targets = append(targets, &target{
			GroupVersionResource: kind.GroupVersionResource(),
			kind:                 kind.Kind,
			versions:             kind.AllVersions(),
			store:                w.view.workloadStore(kind),
			optional:             !w.scheme.Recognizes(kind.GroupVersionKind()),
		})
	}
	return targets
}

// begin connects every target, and lets the view wait for all that are served, from
// the version that the ledgers counted last.
func (w *watcher) begin(ctx context.Context, targets []*target) error {
	for _, t := range targets {
		var err error
		if t.lister, err = w.connect(t); err != nil {
			return fmt.Errorf("%s: %w", t.GroupResource(), err)
		}
	}
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		start, err := lastCounted(ctx, targets[0].lister)
		for _, t := range targets {
			if err != nil {
				break
			}
			t.lister.start = start
			err = w.open(ctx, t)
		}
		if err != nil {
			w.view.log.Error(err, "Waiting for the API server")
		}
		return err == nil, nil
	})
}

// open registers a target with the view if it is served.
func (w *watcher) open(ctx context.Context, t *target) error {
	head, err := w.head(ctx, t)
	if t.optional && apierrors.IsNotFound(err) {
		w.view.absent(t.store.resource)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.GroupResource(), err)
	}
	w.view.begin(t.store.resource, head)
	return nil
}

// head is the newest version of the target's objects, in the first of its API versions
// that is served, which is watched from then on.
func (w *watcher) head(ctx context.Context, t *target) (string, error) {
	head, err := t.lister.head(ctx)
	for _, version := range t.versions {
		if !apierrors.IsNotFound(err) {
			break
		}
		t.Version = version
		connected, failed := w.connect(t)
		if failed != nil {
			return "", failed
		}
		t.lister.ListWatch = connected.ListWatch
		head, err = t.lister.head(ctx)
	}
	return head, err
}

// lastCounted is the version of the cluster when the first of the ledgers was
// written that count hours: from there on, what happened to pods is not charged in
// all of them. Empty when none counts hours. (The kinds' versions are those of one
// store, and the newest is that of the moment.)
func lastCounted(ctx context.Context, groups *lister) (string, error) {
	list, err := groups.ListWithContext(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	first := ""
	err = meta.EachListItem(list, func(item runtime.Object) error {
		group := item.(*quota.Group)
		latest := ""
		for _, observed := range group.Status.Observed {
			if quota.Newer(observed.ResourceVersion, latest) {
				latest = observed.ResourceVersion
			}
		}
		if latest != "" && quota.HasCash(group) && (first == "" || quota.Newer(first, latest)) {
			first = latest
		}
		return nil
	})
	return first, err
}

// watchWhileServed watches a target until ctx ends or it is no longer served.
func (w *watcher) watchWhileServed(ctx context.Context, t *target) {
	if !w.view.knows(t.store.resource) { // it was not served
		if w.open(ctx, t) != nil || !w.view.knows(t.store.resource) {
			return
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.lister.missing = func() {
		if t.optional {
			w.view.log.Info("A declared workload kind is not served any more", "resource", t.store.resource)
			w.view.drop(t.store)
			cancel()
		}
	}
	cache.NewReflectorWithOptions(t.lister, nil, t.store, cache.ReflectorOptions{
		Name: "view", TypeDescription: t.GroupResource().String(),
	}).RunWithContext(ctx)
}

// connect makes the target's source: typed, in protobuf where the API server speaks
// it, for kinds that have Go types.
func (w *watcher) connect(t *target) (*lister, error) {
	gvk := t.GroupVersion().WithKind(t.kind)
	if !w.scheme.Recognizes(gvk) {
		client := w.dynamic.Resource(t.GroupVersionResource)
		return &lister{log: w.view.log, resource: t.store.resource, ListWatch: cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
				return client.List(ctx, opts)
			},
			WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
				return client.Watch(ctx, opts)
			},
		}}, nil
	}
	client, err := apiutil.RESTClientForGVK(gvk, false, false, w.config, serializer.NewCodecFactory(w.scheme), w.http)
	if err != nil {
		return nil, err
	}
	return &lister{
		log: w.view.log, resource: t.store.resource,
		ListWatch: *cache.NewListWatchFromClient(client, t.Resource, metav1.NamespaceAll, fields.Everything()),
	}, nil
}
