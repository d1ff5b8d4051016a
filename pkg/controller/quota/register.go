package quota

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Options are the controller's.
type Options struct {
	// Kinds are the declared workload kinds.
	Kinds *workload.Kinds
	// Clock times pods' hours, expiries and refills.
	Clock clock.PassiveClock
	// ReservationTTL is how long a request may be under way. Default:
	// quota.DefaultReservationTTL.
	ReservationTTL time.Duration
	// Resync is how often every group is counted anew, whatever happens.
	Resync time.Duration
}

// Register adds the view, which every replica keeps, and the reconciler, which the
// leader runs, to the manager. The manager's scheme must know the groups' kind.
func Register(mgr ctrl.Manager, opts Options) (*View, error) {
	view := newView(opts.Kinds, opts.Clock, mgr.GetLogger().WithName("view"))
	client, err := dynamic.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(&watcher{
		view: view, kinds: opts.Kinds, config: mgr.GetConfig(), http: mgr.GetHTTPClient(), scheme: mgr.GetScheme(), dynamic: client,
	}); err != nil {
		return nil, err
	}
	meters, err := newMeters(metrics.Registry)
	if err != nil {
		return nil, err
	}
	r := &Reconciler{
		view: view, kinds: opts.Kinds, reader: mgr.GetAPIReader(), writer: mgr.GetClient().Status(),
		events: mgr.GetEventRecorder("stowage-manager"), clock: opts.Clock, resync: opts.Resync, meters: meters,
		stood: newStood(cmp.Or(opts.ReservationTTL, quota.DefaultReservationTTL)),
	}
	const workers = 4
	return view, ctrl.NewControllerManagedBy(mgr).
		Named("quota").
		WatchesRawSource(source.Func(r.start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Healthy is a readiness check: false until the view has synced.
func (v *View) Healthy(*http.Request) error {
	if !v.Synced() {
		return errors.New("the cluster has not been seen yet: workloads, pods and groups are being listed")
	}
	return nil
}
