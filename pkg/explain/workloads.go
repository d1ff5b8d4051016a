package explain

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Workload explains a workload of the snapshot, of any kind of the table: one item for
// each of its pending pods, and one NotCreated item when pods cannot be created. None
// means that it lacks nothing.
func (e *Explainer) Workload(ctx context.Context, object runtime.Object) ([]report.PendingItem, error) {
	w, err := owner.Read(e.opts.Kinds, object)
	if err != nil {
		return nil, err
	}
	ref := w.Ref()
	var pods []*corev1.Pod
	for _, pod := range e.world.snap.Pods {
		if snapshot.Pending(pod) && e.world.owners.Owns(ref, pod) {
			pods = append(pods, pod)
		}
	}
	items, err := e.each(ctx, pods, true)
	if err != nil {
		return nil, err
	}
	if item, ok := e.world.notCreated(w); ok {
		items = append(items, item)
	}
	return items, nil
}

// NotCreated explains the workloads of a namespace (all, when empty) whose pods
// cannot be created: those that no pod speaks for.
func (e *Explainer) NotCreated(namespace string) []report.PendingItem {
	var items []report.PendingItem
	for _, ref := range e.world.owners.Refs() {
		if namespace != "" && ref.Namespace != namespace {
			continue
		}
		controller := owner.Of(e.world.owners.Object(ref))
		if above, ok := e.world.owners.Workload(controller); ok && above.Speaks() {
			continue // A CronJob speaks for no pods.
		}
		w, ok := e.world.owners.Workload(ref)
		if !ok {
			continue
		}
		if item, ok := e.world.notCreated(w); ok {
			items = append(items, item)
		}
	}
	return items
}
