package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Env is what the manager touches of the world around it, beside the cluster.
type Env struct {
	genericiooptions.IOStreams
	// Clock is the time by which hours are charged and reservations end. What the
	// process itself waits for (leases, draining) is waited for in real time.
	Clock clock.WithTicker
}

// NewEnv returns the process's own environment.
func NewEnv() Env {
	return Env{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Clock:     clock.RealClock{},
	}
}

// Options are the command's flags.
type Options struct {
	Env

	// Kubeconfig is a file's path; empty is the pod's own ServiceAccount.
	Kubeconfig string
	// Namespace is the component's own.
	Namespace string
	// QPS and Burst limit the requests to the API server; below 0 for no limit.
	QPS   float32
	Burst int

	// WebhookHost and WebhookPort are where the webhooks are served.
	WebhookHost string
	WebhookPort int
	// CertDir holds tls.crt and tls.key; empty has the manager make them.
	CertDir string
	// WebhookTokenFile holds the first segments of the webhooks' paths; empty for none.
	WebhookTokenFile string
	// MetricsAddress and HealthAddress are where metrics and probes are served; "0" for nowhere.
	MetricsAddress, HealthAddress string
	// MetricsSecure serves metrics by TLS, to whom the API server lets read them.
	MetricsSecure bool

	// LeaderElect has one replica at a time run the controllers.
	LeaderElect                               bool
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration

	// Authorize asks whether a requester may charge the group.
	Authorize bool
	// WorkloadKinds is the path of a table of kinds, which are added to the built-in ones.
	WorkloadKinds string
	// ReservationTTL is how long a charge waits for its object, Resync how often
	// everything is counted anew.
	ReservationTTL, Resync time.Duration
	// Drain is how long a replica that ends goes on answering.
	Drain time.Duration
	// Log is how is logged.
	Log LogOptions

	// What the flags name: the cluster, and what the files hold.
	config *rest.Config
	kinds  *workload.Kinds
	tokens []string
}

// NewOptions returns the defaults.
func NewOptions(env Env) *Options {
	return &Options{
		Env:            env,
		Namespace:      install.DefaultNamespace,
		QPS:            -1,
		Burst:          -1,
		WebhookPort:    9443,
		MetricsAddress: ":8443",
		HealthAddress:  ":8081",
		MetricsSecure:  true,
		LeaderElect:    true,
		LeaseDuration:  15 * time.Second,
		RenewDeadline:  10 * time.Second,
		RetryPeriod:    2 * time.Second,
		Authorize:      true,
		ReservationTTL: quota.DefaultReservationTTL,
		Resync:         5 * time.Minute,
		Drain:          10 * time.Second,
		Log:            LogOptions{Format: LogText},
	}
}

const long = `The in-cluster component of kubectl quota: admission webhooks that charge
workloads to business groups, and controllers that count what the groups use.

It is installed by "kubectl quota install".`

// NewCommand returns the command stowage-manager.
func NewCommand(env Env) *cobra.Command {
	o := NewOptions(env)
	cmd := &cobra.Command{
		Use:           "stowage-manager",
		Short:         "Admit workloads to business groups' quotas, and count them",
		Long:          long,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Complete(); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.SetIn(env.In)
	cmd.SetOut(env.Out)
	cmd.SetErr(env.ErrOut)
	o.addFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path to a kubeconfig file. Empty for the pod's own service account.")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "The component's own namespace: of its Lease, its certificates' Secret and its Service.")
	flags.Float32Var(&o.QPS, "kube-api-qps", o.QPS, "Most requests per second to the API server. Below 0 for no limit but the API server's own priority and fairness.")
	flags.IntVar(&o.Burst, "kube-api-burst", o.Burst, "Most requests at once where --kube-api-qps limits them.")
	flags.StringVar(&o.WebhookHost, "webhook-host", o.WebhookHost, "Address to serve the webhooks at. Empty for all.")
	flags.IntVar(&o.WebhookPort, "webhook-port", o.WebhookPort, "Port to serve the webhooks at.")
	flags.StringVar(&o.CertDir, "cert-dir", o.CertDir, "Directory with the webhooks' tls.crt and tls.key, read again when they change. Empty to make them, keep them in a Secret and renew them.")
	flags.StringVar(&o.WebhookTokenFile, "webhook-token-file", o.WebhookTokenFile, "File with secrets, one a line, of which callers of the webhooks give one as the first segment of the path; read again when it changes. Empty to answer whoever calls.")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, `Address to serve metrics at. "0" for none.`)
	flags.BoolVar(&o.MetricsSecure, "metrics-secure", o.MetricsSecure, "Serve metrics by TLS, to clients that the API server authenticates and allows to get /metrics.")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", o.HealthAddress, `Address to serve /healthz and /readyz at. "0" for none.`)
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Elect a leader to run the controllers. Turn it off only where there is one replica.")
	flags.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", o.LeaseDuration, "How long others wait for a leader that is silent.")
	flags.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", o.RenewDeadline, "How long a leader tries to renew its lease before it gives up.")
	flags.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", o.RetryPeriod, "How long to wait between tries.")
	flags.BoolVar(&o.Authorize, "authorize", o.Authorize, "Refuse workloads whose namespace the group does not allow and whose requester may not \"use\" the group.")
	flags.StringVar(&o.WorkloadKinds, "workload-kinds", o.WorkloadKinds, "File with workload kinds, added to the built-in ones or in their place.")
	flags.DurationVar(&o.ReservationTTL, "reservation-ttl", o.ReservationTTL, "How long a charge is kept for an object that does not appear.")
	flags.DurationVar(&o.Resync, "resync", o.Resync, "How often everything is counted anew.")
	flags.DurationVar(&o.Drain, "drain", o.Drain, "How long to go on answering, unready, when asked to end.")
	o.Log.addFlags(flags)
}

// Complete reads the files that the flags name.
func (o *Options) Complete() (err error) {
	if o.kinds, err = workload.ReadFile(o.WorkloadKinds); err != nil {
		return fmt.Errorf("--workload-kinds: %w", err)
	}
	if o.WebhookTokenFile == "" {
		return nil
	}
	if o.tokens, err = readTokenFile(o.WebhookTokenFile); err != nil {
		return fmt.Errorf("--webhook-token-file: %w", err)
	}
	return nil
}

// Validate checks the flags, and what their files hold. Errors name the flag.
func (o *Options) Validate() error {
	for _, check := range []struct {
		ok   bool
		text string
	}{
		{len(validation.IsDNS1123Label(o.Namespace)) == 0, fmt.Sprintf("--namespace %q: expected a namespace's name", o.Namespace)},
		{o.WebhookPort > 0 && o.WebhookPort < 1<<16, fmt.Sprintf("--webhook-port %d: expected 1 to 65535", o.WebhookPort)},
		{o.LeaseDuration > o.RenewDeadline, fmt.Sprintf("--leader-elect-lease-duration %s: expected more than --leader-elect-renew-deadline (%s)", o.LeaseDuration, o.RenewDeadline)},
		{o.RenewDeadline > o.RetryPeriod*6/5, fmt.Sprintf("--leader-elect-renew-deadline %s: expected more than 1.2 times --leader-elect-retry-period (%s)", o.RenewDeadline, o.RetryPeriod)},
		{o.RetryPeriod > 0, fmt.Sprintf("--leader-elect-retry-period %s: expected more than 0", o.RetryPeriod)},
		{o.ReservationTTL >= minReservationTTL, fmt.Sprintf("--reservation-ttl %s: expected %s or more: a request may be under way that long", o.ReservationTTL, minReservationTTL)},
		{o.Resync > 0, fmt.Sprintf("--resync %s: expected more than 0", o.Resync)},
		{o.Drain >= 0, fmt.Sprintf("--drain %s: expected 0 or more", o.Drain)},
	} {
		if !check.ok {
			return errors.New(check.text)
		}
	}
	for flag, address := range map[string]string{"--metrics-bind-address": o.MetricsAddress, "--health-probe-bind-address": o.HealthAddress} {
		if _, _, err := net.SplitHostPort(address); err != nil && address != "0" {
			return fmt.Errorf(`%s %q: expected HOST:PORT, :PORT or "0"`, flag, address)
		}
	}
	if err := o.Log.validate(); err != nil {
		return err
	}
	return o.validateFiles()
}

// minReservationTTL is for API servers that give requests up sooner than after a
// minute, which is their default and --reservation-ttl's: no request may be stored
// after its reservation has ended.
const minReservationTTL = 10 * time.Second

// validateFiles checks that the files are there which are read again and again.
func (o *Options) validateFiles() error {
	if o.CertDir == "" {
		return nil
	}
	for _, name := range []string{certName, keyName} {
		if _, err := os.Stat(filepath.Join(o.CertDir, name)); err != nil {
			return fmt.Errorf("--cert-dir: %w", err)
		}
	}
	return nil
}

// restConfig says how to reach the cluster.
func (o *Options) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil && o.Kubeconfig == "" {
		return nil, fmt.Errorf("--kubeconfig: none given, and this is no pod with a service account: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	config.QPS, config.Burst = o.QPS, o.Burst
	return config, nil
}

// Run runs the manager until the context ends, and then until it has drained.
func (o *Options) Run(ctx context.Context) (err error) {
	if o.config, err = o.restConfig(); err != nil {
		return err
	}
	o.Log.apply(o.ErrOut)
	running, err := o.newInstance()
	if err != nil {
		return oneLine(err)
	}
	defer running.close()
	return oneLine(running.run(ctx))
}

// oneLine is an error with its line ends as blanks.
func oneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
