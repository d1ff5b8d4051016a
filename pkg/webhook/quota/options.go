package quota

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Options says how requests are judged.
type Options struct {
	// Kinds are the workload kinds.
	Kinds *workload.Kinds
	// Owners finds objects by what this process has seen; nil to read them live.
	Owners Owners
	// Authorize asks who may charge a group. Otherwise everybody may.
	Authorize bool
	// ReservationTTL is how long an admitted request can be under way at most.
	// Default: quota.DefaultReservationTTL.
	ReservationTTL time.Duration
	// Clock gives reservations their expiry. Default: the machine's.
	Clock clock.PassiveClock
	// Nodes are the cluster's nodes, for workloads with a pod on each eligible one.
	Nodes func() []*corev1.Node
}

// Owners finds workloads of every kind, those without a group by their metadata.
type Owners interface {
	// Lookup returns the object of that UID as last seen; nil where none was.
	Lookup(uid types.UID) *workload.Workload
	// Living returns what stands of what the object of that UID has made, as last seen.
	Living(uid types.UID) []quota.Part
	// Defaults are what the API server adds to the pods of the namespace's templates.
	Defaults(namespace string) workload.Defaults
	// Named returns the object of that kind and name as last seen; nil where none was.
	Named(kind *workload.Kind, namespace, name string) *workload.Workload
	// Users are the workloads that use some of the group's key, the largest first.
	Users(group *quota.Group, key corev1.ResourceName) []quota.User
}

// noOwners has seen nothing.
type noOwners struct{}

func (noOwners) Lookup(types.UID) *workload.Workload { return nil }
func (noOwners) Living(types.UID) []quota.Part       { return nil }
func (noOwners) Defaults(string) workload.Defaults   { return workload.Defaults{} }

func (noOwners) Named(*workload.Kind, string, string) *workload.Workload { return nil }

func (noOwners) Users(*quota.Group, corev1.ResourceName) []quota.User { return nil }

func (o Options) withDefaults() Options {
	if o.Owners == nil {
		o.Owners = noOwners{}
	}
	if o.ReservationTTL == 0 {
		o.ReservationTTL = quota.DefaultReservationTTL
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Nodes == nil {
		o.Nodes = func() []*corev1.Node { return nil }
	}
	return o
}

// Register mounts quota's webhooks in the frame of the manager's, at the paths that
// package install tells the API server. It is called before the manager starts.
func Register(mgr ctrl.Manager, frame *webhook.Frame, opts Options) error {
	meters := newMeters()
	if err := meters.register(metrics.Registry); err != nil {
		return err
	}
	groups := newGroups()
	informer, err := mgr.GetCache().GetInformer(context.Background(), &quota.Group{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(groups.handler()); err != nil {
		return err
	}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if _, err := mgr.GetCache().GetInformer(context.Background(), namespace, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	opts = opts.withDefaults()
	d := &decider{
		Options: opts,
		users:   &users{clock: opts.Clock, find: opts.Owners.Users},
		ledger:  newLedger(groups, mgr.GetAPIReader(), mgr.GetClient().Status(), meters),
		access:  frame.Access,
		cache:   mgr.GetCache(),
		live:    mgr.GetAPIReader(),
	}
	d.ledger.found = d.found
	return frame.Mount("quota", map[string]webhook.Decide{
		install.PathWorkload: decide(d.workload).answered,
		install.PathScale:    decide(d.scale).answered,
		install.PathHPA:      decide(d.autoscaler).answered,
		install.PathBizRQ:    decide(d.group).answered,
	})
}
