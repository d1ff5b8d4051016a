package predicate

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// staticInformer is a SharedIndexInformer over objects that are given, not
// watched. Handlers are called synchronously: on registration with every object
// that is there, and on set and remove. So whatever stands on top of it (the
// scheduler's assume caches, the claim tracker) is in step when the call returns.
type staticInformer struct {
	indexer  cache.Indexer
	handlers []cache.ResourceEventHandler
}

var _ cache.SharedIndexInformer = (*staticInformer)(nil)

func newStaticInformer[T runtime.Object](objects []T) (*staticInformer, error) {
	informer := &staticInformer{indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
		byVolume:             attachedVolume,
	})}
	for _, object := range objects {
		if err := informer.indexer.Add(object); err != nil {
			return nil, err
		}
	}
	return informer, nil
}

// set adds or replaces an object. A replaced one is deleted first: the assume
// caches ignore an update that does not carry a newer resourceVersion.
func (s *staticInformer) set(object runtime.Object) error {
	if err := s.remove(object); err != nil {
		return err
	}
	if err := s.indexer.Add(object); err != nil {
		return err
	}
	for _, handler := range s.handlers {
		handler.OnAdd(object, false)
	}
	return nil
}

// remove deletes an object; one that is not there is no error.
func (s *staticInformer) remove(object runtime.Object) error {
	old, exists, err := s.indexer.Get(object)
	if err != nil || !exists {
		return err
	}
	if err := s.indexer.Delete(old); err != nil {
		return err
	}
	for _, handler := range s.handlers {
		handler.OnDelete(old)
	}
	return nil
}

func (s *staticInformer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	s.handlers = append(s.handlers, handler)
	for _, object := range s.indexer.List() {
		handler.OnAdd(object, true)
	}
	return synced{}, nil
}

// AddIndexers tolerates names that exist: several profiles share one informer
// and each plugin instance adds its indexers.
func (s *staticInformer) AddIndexers(indexers cache.Indexers) error {
	existing := s.indexer.GetIndexers()
	missing := cache.Indexers{}
	for name, indexer := range indexers {
		if _, ok := existing[name]; !ok {
			missing[name] = indexer
		}
	}
	return s.indexer.AddIndexers(missing)
}

func (s *staticInformer) GetIndexer() cache.Indexer           { return s.indexer }
func (s *staticInformer) GetStore() cache.Store               { return s.indexer }
func (s *staticInformer) HasSynced() bool                     { return true }
func (s *staticInformer) HasSyncedChecker() cache.DoneChecker { return synced{} }
func (s *staticInformer) LastSyncResourceVersion() string     { return "" }
func (s *staticInformer) IsStopped() bool                     { return false }

// The rest of the interface is about watching a server; there is none.

var errStatic = errors.New("a static informer watches nothing")

func (s *staticInformer) GetController() cache.Controller                    { return nil }
func (s *staticInformer) Run(<-chan struct{})                                {}
func (s *staticInformer) RunWithContext(context.Context)                     {}
func (s *staticInformer) SetWatchErrorHandler(cache.WatchErrorHandler) error { return errStatic }
func (s *staticInformer) SetTransform(cache.TransformFunc) error             { return errStatic }
func (s *staticInformer) RemoveEventHandler(cache.ResourceEventHandlerRegistration) error {
	return errStatic
}

func (s *staticInformer) SetWatchErrorHandlerWithContext(cache.WatchErrorHandlerWithContext) error {
	return errStatic
}

func (s *staticInformer) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return s.AddEventHandler(handler)
}

func (s *staticInformer) AddEventHandlerWithOptions(handler cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return s.AddEventHandler(handler)
}

// synced is a registration, and a check, that is done from the start.
type synced struct{}

func (synced) HasSynced() bool                     { return true }
func (synced) HasSyncedChecker() cache.DoneChecker { return synced{} }
func (synced) Name() string                        { return "static informer" }

func (synced) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
