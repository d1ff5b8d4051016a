package quota

import (
	"context"
	"maps"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	// settle is how long changes of one group are collected before it is counted.
	settle = 100 * time.Millisecond
	// catchUp is when a view that is behind the ledger is asked again.
	catchUp = 250 * time.Millisecond
	// cashInterval is how old the used hours of a group with running pods may get.
	cashInterval = 30 * time.Second
)

// Reconciler counts groups.
type Reconciler struct {
	view   *View
	kinds  *workload.Kinds
	reader client.Reader // the API server, no cache
	writer client.StatusWriter
	events events.EventRecorder
	clock  clock.PassiveClock
	resync time.Duration
	meters *meters
	stood  *stood
}

// start feeds the controller's queue from the view.
func (r *Reconciler) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.view.OnChange(func(groups sets.Set[string]) {
		for group := range groups {
			queue.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Name: group}}, r.delay(group))
		}
	})
	return nil
}

// delay is short for a group that admission waits for.
func (r *Reconciler) delay(name string) time.Duration {
	if group := r.view.group(name); group != nil && !quota.Counted(group) {
		return 0
	}
	return settle
}

// Reconcile counts one group and writes its status when that changes it.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if !r.view.Synced() {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	group := &quota.Group{}
	if err := r.reader.Get(ctx, request.NamespacedName, group); err != nil {
		if apierrors.IsNotFound(err) {
			r.meters.forget(request.Name)
			r.stood.forget(request.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	counted, drifts, behind := r.view.Count(group, r.goneReservations(ctx, group))
	if behind != "" {
		logr.FromContextOrDiscard(ctx).V(1).Info("The ledger counts more than was seen yet", "group", group.Name, "resource", behind)
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	r.meters.observe(counted, drifts)
	if r.worthWriting(group, counted) {
		err := r.writer.Update(ctx, counted)
		if apierrors.IsConflict(err) {
			r.meters.conflicts.Inc()
			return reconcile.Result{RequeueAfter: conflictDelay()}, nil
		}
		if err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		r.announce(group, counted)
	}
	return reconcile.Result{RequeueAfter: r.next(counted)}, nil
}

// worthWriting says whether counting changed more than the time, or the time is old.
func (r *Reconciler) worthWriting(before, after *quota.Group) bool {
	last := before.Status.LastReconcileTime
	if last == nil {
		return true
	}
	age := r.clock.Since(last.Time)
	if age >= r.resync || quota.HasCash(after) && age >= cashInterval {
		return true
	}
	return !equality.Semantic.DeepEqual(withoutProgress(before), withoutProgress(after)) || ranOut(before, after)
}

// withoutProgress is the status without what moves on by itself: times, versions,
// and the group's own hours.
func withoutProgress(group *quota.Group) stowagev1alpha1.BizGroupResourceQuotaStatus {
	status := group.Status.DeepCopy()
	status.LastReconcileTime, status.Observed, status.Conditions = nil, nil, nil
	for key, children := range status.Used {
		if quota.IsCash(key) {
			children.Sub(status.SelfUsed[key])
			status.Used[key] = children
		}
	}
	maps.DeleteFunc(status.SelfUsed, func(key corev1.ResourceName, _ resource.Quantity) bool { return quota.IsCash(key) })
	return *status
}

// ranOut says whether a condition of the group changed.
func ranOut(before, after *quota.Group) bool {
	for _, condition := range after.Status.Conditions {
		if old := meta.FindStatusCondition(before.Status.Conditions, condition.Type); old == nil || old.Status != condition.Status {
			return true
		}
	}
	return false
}

// next is when the group must be counted again if nothing happens: when a
// reservation expires, hours run out or are refilled, or it is time for all.
func (r *Reconciler) next(group *quota.Group) time.Duration {
	now := r.clock.Now()
	wait := r.resync
	by := func(at time.Time) { wait = min(wait, max(at.Sub(now), 0)+10*time.Millisecond) }
	for _, reservation := range group.Status.Reservations {
		if expiry := r.stood.expiry(group.Name, reservation, now); expiry.After(now) {
			by(expiry)
		} else {
			wait = min(wait, catchUp) // its object is there, and is about to be seen
		}
	}
	if quota.HasCash(group) {
		pace := r.view.pace(group.Name)
		if len(pace) > 0 {
			wait = min(wait, cashInterval)
		}
		if at, _, ok := quota.RunsOut(group, pace, now); ok {
			by(at)
		}
		if at := quota.NextRefill(group, now); !at.IsZero() {
			by(at)
		}
	}
	return wait
}

// goneReservations asks the API server about the reservations that have expired:
// those whose object never got to that size are gone. One that cannot be asked about
// stands on.
func (r *Reconciler) goneReservations(ctx context.Context, group *quota.Group) map[types.UID]bool {
	gone, now := map[types.UID]bool{}, r.clock.Now()
	r.stood.keep(group)
	for _, reservation := range group.Status.Reservations {
		if r.stood.expiry(group.Name, reservation, now).After(now) {
			continue
		}
		led, err := r.ledToNothing(ctx, reservation)
		if err != nil {
			logr.FromContextOrDiscard(ctx).Error(err, "An expired reservation stands on", "group", group.Name,
				"request", reservation.UID, "resource", reservation.Object.Resource, "name", reservation.Object.Name)
		}
		gone[reservation.UID] = led
	}
	return gone
}

// ledToNothing says whether the request of an expired reservation changed nothing:
// its object is not there, or still at the version before, or is counted by itself.
func (r *Reconciler) ledToNothing(ctx context.Context, reservation stowagev1alpha1.Reservation) (bool, error) {
	object := &metav1.PartialObjectMetadata{}
	versions := r.kindsOf(reservation.Object.Resource)
	if len(versions) == 0 {
		return true, nil // no longer declared: nothing of the kind is counted
	}
	var err error
	for _, gvk := range versions {
		object.SetGroupVersionKind(gvk)
		err = r.reader.Get(ctx, types.NamespacedName{Namespace: reservation.Object.Namespace, Name: reservation.Object.Name}, object)
		if !meta.IsNoMatchError(err) {
			break
		}
	}
	switch {
	case apierrors.IsNotFound(err) || meta.IsNoMatchError(err):
		return true, nil
	case err != nil:
		return false, err
	case reservation.Object.UID == "": // one of several creations: it led to this object, which counts once it is seen
		return r.view.sees(object.UID), nil
	case object.UID != reservation.Object.UID:
		return true, nil
	}
	return object.ResourceVersion == reservation.BaseResourceVersion, nil
}

// kindsOf is the kind that a ledger names by its resource, in each of its versions.
func (r *Reconciler) kindsOf(resource string) []schema.GroupVersionKind {
	if resource == quota.GroupResource {
		return []schema.GroupVersionKind{stowagev1alpha1.GroupVersion.WithKind(stowagev1alpha1.BizGroupResourceQuotaKind)}
	}
	kind := r.kinds.ForResource(schema.ParseGroupResource(resource))
	if kind == nil {
		return nil
	}
	return kind.GroupVersionKinds()
}

// announce makes an Event of each condition that changed.
func (r *Reconciler) announce(before, after *quota.Group) {
	for _, condition := range after.Status.Conditions {
		old := meta.FindStatusCondition(before.Status.Conditions, condition.Type)
		if was := old != nil && old.Status == metav1.ConditionTrue; was == (condition.Status == metav1.ConditionTrue) {
			continue
		}
		if condition.Status == metav1.ConditionTrue {
			r.events.Eventf(after, nil, corev1.EventTypeWarning, condition.Type, "Count", "%s", condition.Message)
		} else {
			r.events.Eventf(after, nil, corev1.EventTypeNormal, condition.Reason, "Count", "%s no longer", condition.Type)
		}
	}
}
