package load

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Options change what Live loads. The zero value loads everything.
type Options struct {
	// Namespace is where to list a namespaced kind that may not be listed in all
	// namespaces; empty to do without it.
	Namespace string
	// Kinds limits the load to these resources ("pods", "nodes"); nil means all.
	Kinds []string
	// Extra are further kinds to load, where the server has them (snapshot.Labelled).
	Extra []snapshot.Kind
	// Strangers also loads the metadata of what names a business group and is of a kind
	// in none of the tables, which costs a request for each kind that the server has
	// beside Kubernetes' own.
	Strangers bool
	// Finished keeps the pods that have run to their end, which else stay on the server.
	Finished bool
	// Source names the cluster in messages, as a kubeconfig's context does.
	Source string
	// ChunkSize, above 0, lists in pages of that many objects, which is slower and
	// spares a busy API server.
	ChunkSize int64
	// Now is the time that the snapshot carries; nil for the machine's clock.
	Now func() time.Time
	// Progress is told how many objects have arrived, from one goroutine at a
	// time; nil for no telling.
	Progress func(Progress)
}

// Progress is the state of a load.
type Progress struct {
	// Resource is what arrives ("pods").
	Resource string
	// Done and Total are numbers of objects; Total is the API server's estimate,
	// and 0 as long as there is none.
	Done, Total int64
}

// Live takes a snapshot of the cluster that config reaches. It ends early, with
// the context's error, when ctx is cancelled.
func Live(ctx context.Context, config *rest.Config, opts Options) (*snapshot.Snapshot, error) {
	l, err := newLoader(config, opts)
	if err != nil {
		return nil, err
	}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	return l.snap, nil
}

// newClient is a client for any path, without a rate limit: a load is a fixed
// number of requests.
func newClient(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.RateLimiter = nil
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return rest.UnversionedRESTClientFor(config)
}

// loader fills a snapshot. Lists arrive in parallel; mu guards what they share.
type loader struct {
	client rest.Interface
	opts   Options

	mu     sync.Mutex
	snap   *snapshot.Snapshot
	total  map[string]int64     // estimates, by resource
	listed map[string]*position // where lists ended, by Kind.GroupResource
}

func newLoader(config *rest.Config, opts Options) (*loader, error) {
	client, err := newClient(config)
	if err != nil {
		return nil, err
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	l := &loader{client: client, opts: opts}
	return l.again(), nil
}

// again is a loader of the same that has loaded nothing.
func (l *loader) again() *loader {
	return &loader{
		client: l.client, opts: l.opts, total: map[string]int64{}, listed: map[string]*position{},
		snap: &snapshot.Snapshot{Source: l.opts.Source, TakenAt: l.now()},
	}
}

func (l *loader) now() metav1.Time {
	return metav1.NewTime(l.opts.Now().UTC().Truncate(time.Second))
}

func (l *loader) load(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.serverVersion(ctx) })
	for _, k := range l.kinds() {
		group.Go(func() error { return l.loadKind(ctx, k) })
		group.Go(func() error { l.estimate(ctx, k); return nil })
	}
	if l.opts.Strangers {
		group.Go(func() error { return l.loadStrangers(ctx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	l.snap.Sort()
	return nil
}

// kinds are what the options ask for.
func (l *loader) kinds() []snapshot.Kind {
	kinds := snapshot.Kinds()
	if l.opts.Kinds != nil {
		kinds = slices.DeleteFunc(kinds, func(k snapshot.Kind) bool { return !slices.Contains(l.opts.Kinds, k.Resource) })
	}
	return append(kinds, l.opts.Extra...)
}

// estimate asks how many objects of k there are, for a progress bar; only of the
// kinds that take time to load. A list's field selector hides the number, so that
// it includes finished pods, and a failure only means a bar without an end.
func (l *loader) estimate(ctx context.Context, k snapshot.Kind) {
	if l.opts.Progress == nil || k.Resource != "pods" {
		return
	}
	data, err := l.client.Get().AbsPath("/api", k.Version, k.Resource).Param("limit", "1").
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").DoRaw(ctx)
	var list metav1.PartialObjectMetadataList
	if err != nil || json.Unmarshal(data, &list) != nil || list.RemainingItemCount == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total[k.Resource] = *list.RemainingItemCount + int64(len(list.Items))
}

// serverVersion asks for the version, which a strict cluster may refuse to tell.
func (l *loader) serverVersion(ctx context.Context) error {
	data, err := l.client.Get().AbsPath("/version").DoRaw(ctx)
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for the server's version: %w", err)
	}
	var info version.Info
	if err := json.Unmarshal(data, &info); err != nil {
		return fmt.Errorf("reading the server's version: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snap.ServerVersion = info.GitVersion
	return nil
}

// loadKind lists k in all namespaces or, where that is forbidden, in the one of
// the options, and notes what it could not list.
func (l *loader) loadKind(ctx context.Context, k snapshot.Kind) error {
	err := l.listVersions(ctx, k, "")
	if apierrors.IsForbidden(err) && k.Namespaced && l.opts.Namespace != "" {
		if inNamespace := l.listVersions(ctx, k, l.opts.Namespace); inNamespace == nil {
			l.missing(k, snapshot.Forbidden, "outside namespace "+l.opts.Namespace)
			return nil
		}
	}
	switch {
	case apierrors.IsForbidden(err):
		l.missing(k, snapshot.Forbidden, "")
	case apierrors.IsNotFound(err):
		if k.Typed() { // nobody misses Karpenter where it is not installed
			l.missing(k, snapshot.NotServed, "")
		}
	case err != nil:
		return fmt.Errorf("listing %s: %w", k.GroupResource(), err)
	}
	return nil
}

func (l *loader) missing(k snapshot.Kind, reason snapshot.MissingReason, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snap.Missing = append(l.snap.Missing, snapshot.Missing{Resource: k.GroupResource(), Reason: reason, Detail: detail})
}

// listVersions lists k in the newest version that the server has.
func (l *loader) listVersions(ctx context.Context, k snapshot.Kind, namespace string) error {
	err := l.list(ctx, k, k.Version, namespace)
	for _, older := range k.Older {
		if !apierrors.IsNotFound(err) {
			break
		}
		err = l.list(ctx, k, older, namespace)
	}
	return err
}

// list lists k in one version, in one namespace or (empty) in all.
func (l *loader) list(ctx context.Context, k snapshot.Kind, version, namespace string) error {
	objects, resourceVersion, err := l.fetch(ctx, k, func() *rest.Request { return l.request(k, version, namespace) })
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed[k.GroupResource()] = &position{version, namespace, resourceVersion}
	for _, o := range objects {
		k.Append(l.snap, o)
	}
	return nil
}

// request is the list's request, with what the server can leave out.
func (l *loader) request(k snapshot.Kind, version, namespace string) *rest.Request {
	root := []string{"/apis", k.Group, version}
	if k.Group == "" {
		root = []string{"/api", version}
	}
	selector := l.fieldSelector(k)
	if k.Resource == "configmaps" {
		namespace = snapshot.AutoscalerStatusNamespace
	}
	request := l.client.Get().AbsPath(root...).NamespaceIfScoped(namespace, namespace != "").Resource(k.Resource)
	if selector != "" {
		request.Param("fieldSelector", selector)
	}
	if k.Label != "" {
		request.Param("labelSelector", k.Label)
	}
	return request.SetHeader("Accept", accept(k))
}

func accept(k snapshot.Kind) string {
	if k.Protobuf() {
		return "application/vnd.kubernetes.protobuf"
	}
	return "application/json"
}
