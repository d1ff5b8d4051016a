package webhook

import (
	"crypto/subtle"
	"io"
	"net/http"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Options says how webhooks are served.
type Options struct {
	// Tokens are secrets of which one is the first segment of every path; every other
	// path is not found. They may change at any time. Nil for none.
	Tokens func() []string
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
	register := mgr.GetWebhookServer().Register
	f := &Frame{Access: NewAccess(mgr.GetClient(), opts.Clock), handle: func(path string, handler http.Handler) {
		register(path, promptly(bodyTimeout, handler))
	}}
	if opts.Tokens != nil {
		// The server would write the paths to the log and to labels of metrics: it is
		// told of none, so that the secret is in neither.
		hooks := http.NewServeMux()
		f.handle("/", secretly(opts.Tokens, hooks))
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

// secretly serves what is below a token, and tells others by no answer, nor by the time
// that it takes, how near they came.
func secretly(tokens func() []string, hooks http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, token := range tokens() {
			prefix := "/" + token
			got := r.URL.Path[:min(len(prefix), len(r.URL.Path))]
			if subtle.ConstantTimeCompare([]byte(got), []byte(prefix)) == 1 {
				http.StripPrefix(prefix, hooks).ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// bodyTimeout is how long a request's body may take to arrive. API servers send it at
// once, and wait for the answer no longer.
const bodyTimeout = 10 * time.Second

// promptly gives a request's body a time to arrive in, after which its connection is
// closed: a body that never ends holds no connection, and no memory, for ever. What
// comes after the body has the time that it needs.
func promptly(limit time.Duration, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		if err := connection.SetReadDeadline(time.Now().Add(limit)); err == nil {
			r.Body = &promptBody{ReadCloser: r.Body, whole: func() { _ = connection.SetReadDeadline(time.Time{}) }}
		}
		handler.ServeHTTP(w, r)
	})
}

// promptBody tells when it has been read whole.
type promptBody struct {
	io.ReadCloser
	whole func()
}

// Read implements io.Reader.
func (b *promptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.whole()
	}
	return n, err
}
