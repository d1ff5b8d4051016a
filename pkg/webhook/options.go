package webhook

import (
	"context"
	"crypto/subtle"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
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
	// Default: DefaultReservationTTL.
	ReservationTTL time.Duration
	// Clock gives reservations their expiry. Default: the machine's.
	Clock clock.PassiveClock
	// Nodes are the cluster's nodes, for workloads with a pod on each eligible one.
	Nodes func() []*corev1.Node
	// PathPrefix is a secret that all paths start with ("/TOKEN"); every other path is
	// not found. Empty for none.
	PathPrefix string
}

// DefaultReservationTTL is kube-apiserver's --request-timeout.
const DefaultReservationTTL = 60 * time.Second

// Owners finds workloads of every kind, those without a group by their metadata.
type Owners interface {
	// Lookup returns the object of that UID as last seen; nil where none was.
	Lookup(uid types.UID) *workload.Workload
}

// noOwners has seen nothing.
type noOwners struct{}

func (noOwners) Lookup(types.UID) *workload.Workload { return nil }

func (o Options) withDefaults() Options {
	if o.Owners == nil {
		o.Owners = noOwners{}
	}
	if o.ReservationTTL == 0 {
		o.ReservationTTL = DefaultReservationTTL
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Nodes == nil {
		o.Nodes = func() []*corev1.Node { return nil }
	}
	return o
}

// Register serves the admission webhooks with the manager's server, at the paths that
// package install tells the API server. It is called before the manager starts. The
// manager's client should have no rate limit: requests wait for what it reads and
// writes.
func Register(mgr ctrl.Manager, opts Options) error {
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
		ledger:  newLedger(groups, mgr.GetAPIReader(), mgr.GetClient().Status(), meters),
		access:  newAccess(mgr.GetClient(), opts.Clock),
		cache:   mgr.GetCache(),
		live:    mgr.GetAPIReader(),
	}
	serve := mgr.GetWebhookServer().Register
	if opts.PathPrefix != "" {
		// The server would write the paths to the log and to labels of metrics: it is
		// told of none, so that the secret is in neither.
		hooks := http.NewServeMux()
		serve("/", secretly(opts.PathPrefix, hooks))
		serve = hooks.Handle
	}
	for path, decide := range map[string]decide{
		install.PathWorkload: d.workload,
		install.PathScale:    d.scale,
		install.PathHPA:      d.autoscaler,
		install.PathBizRQ:    d.group,
	} {
		serve(path, &admission.Webhook{
			Handler:         handler{decide: decide, meters: meters},
			WithContextFunc: withTimeout,
		})
	}
	return nil
}

// secretly serves what is below prefix, and tells others by no answer, nor by the time
// that it takes, how near they came.
func secretly(prefix string, hooks http.Handler) http.Handler {
	below := http.StripPrefix(prefix, hooks)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.URL.Path[:min(len(prefix), len(r.URL.Path))]
		if subtle.ConstantTimeCompare([]byte(got), []byte(prefix)) != 1 {
			http.NotFound(w, r)
			return
		}
		below.ServeHTTP(w, r)
	})
}
