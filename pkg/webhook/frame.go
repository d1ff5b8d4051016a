package webhook

import (
	"crypto/subtle"
	"net/http"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Options says how webhooks are served.
type Options struct {
	// PathPrefix is a secret that all paths start with ("/TOKEN"); every other path is
	// not found. Empty for none.
	PathPrefix string
	// Clock is by what answers about rights grow old. Default: the machine's.
	Clock clock.PassiveClock
}

// Frame serves a manager's webhooks.
type Frame struct {
	// Access asks what requesters may do.
	Access *Access

	handle func(path string, handler http.Handler)
}

// New returns the frame of a manager's webhooks. It is called before the manager
// starts, and once. The manager's client should have no rate limit: requests wait for
// what it reads and writes.
func New(mgr ctrl.Manager, opts Options) *Frame {
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	f := &Frame{Access: NewAccess(mgr.GetClient(), opts.Clock), handle: mgr.GetWebhookServer().Register}
	if opts.PathPrefix != "" {
		// The server would write the paths to the log and to labels of metrics: it is
		// told of none, so that the secret is in neither.
		hooks := http.NewServeMux()
		f.handle("/", secretly(opts.PathPrefix, hooks))
		f.handle = hooks.Handle
	}
	return f
}

// Mount serves a room's decisions, by path, before the manager starts. The room's name
// ("quota") is in its metrics' names and in what is said when it cannot decide.
func (f *Frame) Mount(room string, decisions map[string]Decide) error {
	meters := newMeters(room)
	if err := meters.register(metrics.Registry); err != nil {
		return err
	}
	for path, decide := range decisions {
		f.handle(path, &admission.Webhook{
			Handler:         handler{room: room, decide: decide, meters: meters},
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
