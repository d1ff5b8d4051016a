package cli

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/clock"
)

// settle is how long the cluster is left to calm down after a change: changes
// come in bursts, and each look costs a load.
const settle = 2 * time.Second

// watched are the kinds whose changes make or break a place for a pod.
func watched() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "nodes"},
		{Version: "v1", Resource: "persistentvolumeclaims"},
		{Version: "v1", Resource: "resourcequotas"},
	}
}

// Changed tells when the cluster is no longer what it was.
type Changed struct {
	signal chan struct{}
	clock  clock.Clock
}

// Changes begins to watch the cluster, from now on, until ctx ends: these
// resources or, without any, those that make or break a place for a pod. What may
// not be watched is left out; an error means that nothing may.
func Changes(ctx context.Context, env Env, resources ...schema.GroupVersionResource) (*Changed, error) {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	changed := &Changed{signal: make(chan struct{}, 1), clock: env.Clock}
	var refused error
	started := 0
	if len(resources) == 0 {
		resources = watched()
	}
	for _, resource := range resources {
		if err := changed.follow(ctx, client.Resource(resource)); err != nil {
			refused = fmt.Errorf("--watch: %s: %w", resource.Resource, err)
			continue
		}
		started++
	}
	if started == 0 {
		return nil, refused
	}
	return changed, nil
}

// follow signals every event of one resource, and reconnects as long as ctx lasts.
func (c *Changed) follow(ctx context.Context, resource metadata.ResourceInterface) error {
	now, err := resource.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, now.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, options)
		},
	})
	if err != nil {
		return err
	}
	go func() {
		defer watcher.Stop()
		for event := range watcher.ResultChan() {
			if event.Type != watch.Bookmark {
				c.notify()
			}
		}
	}()
	return nil
}

// notify leaves a signal, unless one is waiting.
func (c *Changed) notify() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// Wait returns when something has changed since the last call and the cluster
// has had a moment to calm down, or with ctx's error.
func (c *Changed) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.signal:
	}
	timer := c.clock.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C():
	}
	select {
	case <-c.signal: // what came while calming down is seen by the next look
	default:
	}
	return nil
}
