package load

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// WatchOptions change what Watch follows.
type WatchOptions struct {
	Options
	// Wake are the resources ("pods") whose changes make a new snapshot; nil for all.
	// What else has changed by then is in it too.
	Wake []string
	// Settle is how long the cluster is left to calm down after a change, as changes come
	// in bursts: at most one snapshot is made in that time. 0 for two seconds.
	Settle time.Duration
	// Again is how long to wait before a kind is listed anew that may not be watched, or
	// could not be listed. 0 for a minute.
	Again time.Duration
}

// Stream is a cluster that is followed. Its methods are for one goroutine at a time.
type Stream struct {
	opts    WatchOptions
	loader  *loader
	custom  dynamic.Interface
	changed chan struct{} // holds a value when a kind of Wake has changed

	first bool
	last  *snapshot.Snapshot // the one that was given out last, never changed

	mu      sync.Mutex // guards what follows
	changes map[string]*changes
	missing map[string]snapshot.Missing
	notes   map[string]string
}

// Watch takes a snapshot as Live does, and follows the cluster from there until ctx
// ends.
func Watch(ctx context.Context, config *rest.Config, opts WatchOptions) (*Stream, error) {
	if opts.Settle == 0 {
		opts.Settle = 2 * time.Second
	}
	if opts.Again == 0 {
		opts.Again = time.Minute
	}
	l, err := newLoader(config, opts.Options)
	if err != nil {
		return nil, err
	}
	custom, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	l.opts.Progress = nil // what is listed later is not waited for
	s := &Stream{
		opts: opts, loader: l, custom: custom, changed: make(chan struct{}, 1), first: true, last: l.snap,
		changes: map[string]*changes{}, missing: map[string]snapshot.Missing{}, notes: map[string]string{},
	}
	for _, missing := range l.snap.Missing {
		s.missing[missing.Resource] = missing
	}
	for _, k := range l.kinds() {
		go s.follow(ctx, k, l.listed[k.GroupResource()])
	}
	return s, nil
}

// Next returns the first snapshot at once and each later one when something has changed
// since the one before, or ctx's error. A snapshot shares the objects that have not
// changed with those before it; none is changed once it is returned.
func (s *Stream) Next(ctx context.Context) (*snapshot.Snapshot, error) {
	if s.first {
		s.first = false
		return s.last, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.changed:
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.opts.Settle):
	}
	select {
	case <-s.changed: // what came while calming down is in this snapshot
	default:
	}
	s.last = s.take()
	return s.last, nil
}

// Notes say, one line each, which kinds are not followed, and why.
func (s *Stream) Notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Values(s.notes))
}

// take is the last snapshot with what has changed since.
func (s *Stream) take() *snapshot.Snapshot {
	s.mu.Lock()
	changed := s.changes
	missing := slices.Collect(maps.Values(s.missing))
	s.changes = map[string]*changes{}
	s.mu.Unlock()
	next := apply(s.last, s.loader.kinds(), changed)
	next.TakenAt, next.Missing = s.loader.now(), missing
	next.Sort()
	return next
}

// changes are what has become of the objects of one kind.
type changes struct {
	// all says that the objects are all there are, and not only those that have changed.
	all bool
	// objects are reduced; nil for one that is gone, or that nobody reads any more.
	objects map[types.NamespacedName]snapshot.Object
}

// apply returns base with changes by resource; base stays as it is.
func apply(base *snapshot.Snapshot, kinds []snapshot.Kind, changed map[string]*changes) *snapshot.Snapshot {
	next := &snapshot.Snapshot{Source: base.Source, ServerVersion: base.ServerVersion, Ignored: base.Ignored}
	for _, k := range kinds {
		of := changed[k.GroupResource()]
		if of == nil {
			of = &changes{}
		}
		for _, o := range k.Objects(base) {
			if _, found := of.objects[nameOf(o)]; !found && !of.all {
				k.Append(next, o)
			}
		}
		for _, o := range of.objects {
			if o != nil {
				k.Append(next, o)
			}
		}
	}
	for _, o := range base.Others { // strangers are looked for once
		if !slices.ContainsFunc(kinds, func(k snapshot.Kind) bool { return k.GroupKind() == o.GroupVersionKind().GroupKind() }) {
			next.Others = append(next.Others, o)
		}
	}
	return next
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// retry is how long to wait before the server is asked again for what it should give.
const retry = time.Second

// position is where a list ended, and a watch begins.
type position struct {
	// version is the API version that was listed, namespace where; empty for everywhere.
	version, namespace string
	resourceVersion    string
}

// follow keeps up with one kind, from a position that is nil where it could not be
// listed, until ctx ends.
func (s *Stream) follow(ctx context.Context, k snapshot.Kind, at *position) {
	held := at != nil
	for {
		pause := s.opts.Again
		if at != nil {
			err := s.watch(ctx, k, *at)
			if forbidden(err) {
				s.note(k, fmt.Sprintf("%s may not be watched (forbidden): listed anew every %s", k.GroupResource(), s.opts.Again))
			} else {
				pause = retry // the server no longer knows the position: list again
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		var err error
		for at, err = s.relist(ctx, k, held); err != nil; at, err = s.relist(ctx, k, held) {
			s.note(k, fmt.Sprintf("%s is shown as it was: %v", k.GroupResource(), err))
			select {
			case <-ctx.Done():
				return
			case <-time.After(retry):
			}
		}
		held = at != nil
	}
}

func forbidden(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }

// relist lists a kind anew, of which the stream has objects or not. The position is nil
// when the kind cannot be listed any more.
func (s *Stream) relist(ctx context.Context, k snapshot.Kind, held bool) (*position, error) {
	l := s.loader.again()
	if err := l.loadKind(ctx, k); err != nil {
		return nil, err
	}
	at := l.listed[k.GroupResource()]
	if at == nil && !held {
		return nil, nil // as before
	}
	of := &changes{all: true, objects: map[types.NamespacedName]snapshot.Object{}}
	for _, o := range k.Objects(l.snap) {
		of.objects[nameOf(o)] = o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes[k.GroupResource()] = of
	delete(s.missing, k.GroupResource())
	for _, missing := range l.snap.Missing {
		s.missing[missing.Resource] = missing
	}
	s.wake(k)
	return at, nil
}

// watch applies what happens to a kind from a position on, and reconnects when a
// connection ends. It returns why it cannot go on: the position has expired, the kind
// may not be watched, or ctx has ended.
func (s *Stream) watch(ctx context.Context, k snapshot.Kind, at position) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, at.resourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := s.open(ctx, k, at, options)
			if err == nil {
				s.note(k, "")
			}
			if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsNotFound(err) {
				stop(err) // which would be tried again for ever
			}
			return events, err
		},
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		o, err := typed(k, event.Object)
		if err != nil {
			return err
		}
		s.change(k, o, event.Type == watch.Deleted)
	}
	return context.Cause(ctx)
}

// open begins to watch a kind.
func (s *Stream) open(ctx context.Context, k snapshot.Kind, at position, options metav1.ListOptions) (watch.Interface, error) {
	if k.Protobuf() {
		return s.loader.request(k, at.version, at.namespace).Param("watch", "true").
			Param("allowWatchBookmarks", "true").Param("resourceVersion", options.ResourceVersion).Watch(ctx)
	}
	options.LabelSelector = k.Label
	resource := schema.GroupVersionResource{Group: k.Group, Version: at.version, Resource: k.Resource}
	return s.custom.Resource(resource).Namespace(at.namespace).Watch(ctx, options)
}

// typed is an object of a watch as its kind has it. One of an older version has the
// same serialised form (snapshot.Kind.Older).
func typed(k snapshot.Kind, object runtime.Object) (snapshot.Object, error) {
	o := k.New()
	if reflect.TypeOf(object) == reflect.TypeOf(o) {
		return object.(snapshot.Object), nil
	}
	switch from := object.(type) {
	case *unstructured.Unstructured:
		return o, runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, o)
	case interface {
		snapshot.Object
		Marshal() ([]byte, error)
	}:
		data, err := from.Marshal()
		if err == nil {
			err = o.(unmarshaler).Unmarshal(data)
		}
		return o, err
	}
	return nil, fmt.Errorf("watching %s: expected %T, found %T", k.GroupResource(), o, object)
}

// change notes what has become of an object.
func (s *Stream) change(k snapshot.Kind, o snapshot.Object, deleted bool) {
	name := nameOf(o)
	if deleted || !k.Reduce(o) {
		o = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.changes[k.GroupResource()]
	if of == nil {
		of = &changes{objects: map[types.NamespacedName]snapshot.Object{}}
		s.changes[k.GroupResource()] = of
	}
	of.objects[name] = o
	s.wake(k)
}

// wake lets Next return, if it is the kind's to do so.
func (s *Stream) wake(k snapshot.Kind) {
	if s.opts.Wake != nil && !slices.Contains(s.opts.Wake, k.Resource) {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// note says why a kind is not followed; empty when it is.
func (s *Stream) note(k snapshot.Kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == "" {
		delete(s.notes, k.GroupResource())
	} else {
		s.notes[k.GroupResource()] = text
	}
}
