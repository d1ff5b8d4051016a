package manager

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	quotacontroller "github.com/stowage-dev/stowage/pkg/controller/quota"
	"github.com/stowage-dev/stowage/pkg/install"
	admission "github.com/stowage-dev/stowage/pkg/webhook"
	quotawebhook "github.com/stowage-dev/stowage/pkg/webhook/quota"
)

// shutdownTimeout is how long what is in flight may take after draining. The
// longest is a webhook's request, which the API server gives up before.
const shutdownTimeout = 20 * time.Second

// instance is one manager, built.
type instance struct {
	mgr      ctrl.Manager
	drain    time.Duration
	draining atomic.Bool
	// made is the directory of certificates that were made here; empty for none.
	made string
}

// newInstance builds the manager with all that it runs.
func (o *Options) newInstance() (*instance, error) {
	i := &instance{drain: o.Drain}
	if err := o.build(i); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

func (o *Options) build(i *instance) error {
	dir := o.CertDir
	if dir == "" {
		var err error
		if i.made, err = os.MkdirTemp("", "stowage-certificates-"); err != nil {
			return err
		}
		dir = i.made
	}
	server := &certifiedServer{Server: webhook.NewServer(webhook.Options{
		Host: o.WebhookHost, Port: o.WebhookPort, CertDir: dir, CertName: certName, KeyName: keyName,
	})}
	mgr, err := o.newManager(server)
	if err != nil {
		return err
	}
	i.mgr = mgr
	if i.made != "" {
		if server.certified, err = makeCertificates(mgr, o.Namespace, dir); err != nil {
			return err
		}
	}
	return o.register(i)
}

// register adds the controllers and the webhooks, and the probes of both.
func (o *Options) register(i *instance) error {
	view, err := quotacontroller.Register(i.mgr, quotacontroller.Options{Kinds: o.kinds, Clock: o.Clock, Resync: o.Resync, ReservationTTL: o.ReservationTTL})
	if err != nil {
		return err
	}
	tokens, err := o.readTokens(i.mgr)
	if err != nil {
		return err
	}
	frame := admission.New(i.mgr, admission.Options{Tokens: tokens, Clock: o.Clock})
	if err := quotawebhook.Register(i.mgr, frame, quotawebhook.Options{
		Kinds: o.kinds, Owners: view, Nodes: view.Nodes, Authorize: o.Authorize, ReservationTTL: o.ReservationTTL, Clock: o.Clock,
	}); err != nil {
		return err
	}
	return i.addChecks(view.Healthy)
}

// newManager returns a manager that serves metrics and probes, and does nothing else yet.
func (o *Options) newManager(server webhook.Server) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), stowagev1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	metrics := metricsserver.Options{BindAddress: o.MetricsAddress, SecureServing: o.MetricsSecure}
	if o.MetricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return ctrl.NewManager(o.config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         o.cacheOptions(),
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              install.ManagerName,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.LeaseDuration,
		RenewDeadline:                 &o.RenewDeadline,
		RetryPeriod:                   &o.RetryPeriod,
		Metrics:                       metrics,
		HealthProbeBindAddress:        o.HealthAddress,
		WebhookServer:                 server,
		GracefulShutdownTimeout:       new(shutdownTimeout),
	})
}

// cacheOptions keep the cache small: of Secrets, the one with the certificates.
func (o *Options) cacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}: {Namespaces: map[string]cache.Config{
				o.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", install.CertificateName)},
			}},
		},
	}
}

// addChecks has the probes say whether the instance lives, and whether it may be
// sent requests.
func (i *instance) addChecks(seen healthz.Checker) error {
	return errors.Join(
		i.mgr.AddReadyzCheck("view", seen),
		i.mgr.AddHealthzCheck("ping", healthz.Ping),
		i.mgr.AddReadyzCheck("webhook", i.mgr.GetWebhookServer().StartedChecker()),
		i.mgr.AddReadyzCheck("draining", func(*http.Request) error {
			if i.draining.Load() {
				return errors.New("ending")
			}
			return nil
		}),
	)
}

// run runs the manager until ctx ends, and for the time of draining after that.
func (i *instance) run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		i.draining.Store(true)
		i.mgr.GetLogger().Info("draining", "for", i.drain.String())
		select {
		case <-time.After(i.drain):
		case <-running.Done():
		}
		stop()
	})()
	return i.mgr.Start(running)
}

// close removes what the instance made.
func (i *instance) close() {
	if i.made != "" {
		_ = os.RemoveAll(i.made) // In a pod it goes with the pod's memory.
	}
}
