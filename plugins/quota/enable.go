package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota/state"
)

const (
	enableLong = `
		Have namespaces take part in quota: their workloads may charge groups, and from
		then on creating, growing and scaling them asks the in-cluster component. What
		that means for the workloads there is shown first, and then asked about.

		It is the label stowage.dev/quota=enabled on the namespace. With --require, every
		workload there needs a group (stowage.dev/require-biz-group=true).`

	enableExamples = `
		# The workloads of a namespace may charge groups
		kubectl quota enable nlp-prod

		# And each of them has to
		kubectl quota enable nlp-prod --require

		# See what it would mean
		kubectl quota enable nlp-prod --dry-run=client`

	disableLong = `
		Have namespaces take part in quota no more: new workloads that name a group are
		refused there, and scaling asks nobody. What charges groups today is counted on,
		and can then be scaled without being asked about: move it first. What that means
		for the workloads there is shown first, and then asked about.`

	disableExamples = `
		# Take a namespace out
		kubectl quota disable nlp-prod`
)

// namespaceOptions are the flags and arguments of enable and disable.
type namespaceOptions struct {
	cli.Env
	source sourceFlags
	// enable says which of the two it is; require, that every workload needs a group.
	enable, require bool
	yes             bool

	names  []string
	dryRun cmdutil.DryRunStrategy
}

func newEnableCommand(env cli.Env) *cobra.Command {
	o := &namespaceOptions{Env: env, enable: true}
	cmd := o.newCommand("enable", "Have namespaces take part in quota", enableLong, enableExamples)
	cmd.Flags().BoolVar(&o.require, "require", o.require, "Have every workload of the namespaces need a group.")
	return cmd
}

func newDisableCommand(env cli.Env) *cobra.Command {
	o := &namespaceOptions{Env: env}
	return o.newCommand("disable", "Have namespaces take part in quota no more", disableLong, disableExamples)
}

func (o *namespaceOptions) newCommand(name, short, long, examples string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   name + " NAMESPACE...",
		DisableFlagsInUseLine: true,
		Short:                 short,
		Long:                  templates.LongDesc(long),
		Example:               templates.Examples(examples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     cli.CompleteNames(o.Env, corev1.SchemeGroupVersion.WithResource("namespaces")),
		RunE:                  runE(o),
	}
	o.source.AddFlags(cmd)
	cmdutil.AddDryRunFlag(cmd)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", o.yes, "Do not ask.")
	return cmd
}

// Complete reads the namespaces' names.
func (o *namespaceOptions) Complete(_ *cobra.Command, args []string) (err error) {
	o.names = args
	return nil
}

// Validate refuses namespaces in which nobody is asked, and to write to a dump.
func (o *namespaceOptions) Validate(cmd *cobra.Command) (err error) {
	if len(o.names) == 0 {
		return cli.UsageErrorf(cmd, "expected the name of a namespace")
	}
	if o.dryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return cli.UsageErrorf(cmd, "--dry-run: %s", err)
	}
	if o.source.Offline() && o.dryRun != cmdutil.DryRunClient {
		return cli.UsageErrorf(cmd, "--snapshot: %s writes to a cluster, and needs --dry-run=client on a dump", cmd.Name())
	}
	for _, never := range []string{metav1.NamespaceSystem, install.DefaultNamespace} {
		if o.enable && slices.Contains(o.names, never) {
			return fmt.Errorf("namespace %q: can take no part: what runs the cluster, and the component itself, must start without it", never)
		}
	}
	return nil
}

// Run shows what it means, and labels the namespaces.
func (o *namespaceOptions) Run(ctx context.Context) error {
	cluster, err := o.source.load(ctx, o.Env, "namespaces")
	if err != nil {
		return err
	}
	for _, name := range o.names {
		namespace, err := findNamespace(cluster, name)
		if err != nil {
			return err
		}
		for _, line := range o.meaning(name, namespace.Labels, tops(cluster, name)) {
			if _, err := fmt.Fprintln(o.ErrOut, print.Escape(line)); err != nil {
				return err
			}
		}
	}
	if o.dryRun == cmdutil.DryRunNone && !o.yes {
		verb := map[bool]string{true: "Enable", false: "Disable"}[o.enable]
		if err := o.Confirm(fmt.Sprintf("%s quota in %s?", verb, strings.Join(o.names, ", "))); err != nil {
			return err
		}
	}
	return o.label(ctx)
}

// findNamespace finds a namespace by its name. The error names the nearest one.
func findNamespace(cluster *state.State, name string) (*corev1.Namespace, error) {
	if found := cluster.Snapshot.Namespace(name); found != nil {
		return found, nil
	}
	var names []string
	for _, namespace := range cluster.Snapshot.Namespaces {
		names = append(names, namespace.Name)
	}
	return nil, fmt.Errorf("namespaces %q not found%s", name, nearest.DidYouMean(name, names))
}

// label writes the labels, and says so as kubectl does.
func (o *namespaceOptions) label(ctx context.Context) error {
	namespaces, err := o.client()
	if err != nil {
		return err
	}
	done := map[bool]string{true: "enabled", false: "disabled"}[o.enable]
	done += map[cmdutil.DryRunStrategy]string{cmdutil.DryRunClient: " (dry run)", cmdutil.DryRunServer: " (server dry run)"}[o.dryRun]
	for _, name := range o.names {
		if o.dryRun != cmdutil.DryRunClient {
			if err := o.write(ctx, namespaces, name); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(o.Out, "namespace/%s %s\n", print.Escape(name), done); err != nil {
			return err
		}
	}
	return nil
}

// client writes namespaces; nil for a dry run that asks no cluster.
func (o *namespaceOptions) client() (corev1client.NamespaceInterface, error) {
	if o.dryRun == cmdutil.DryRunClient {
		return nil, nil
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.CoreV1().Namespaces(), nil
}

// write applies the labels of one namespace, or takes both away, whoever set them.
func (o *namespaceOptions) write(ctx context.Context, namespaces corev1client.NamespaceInterface, name string) error {
	var dryRun []string
	if o.dryRun == cmdutil.DryRunServer {
		dryRun = []string{metav1.DryRunAll}
	}
	if o.enable {
		labels := map[string]string{stowagev1alpha1.QuotaLabel: stowagev1alpha1.QuotaEnabled}
		if o.require {
			labels[stowagev1alpha1.RequireGroupLabel] = "true"
		}
		_, err := namespaces.Apply(ctx, corev1apply.Namespace(name).WithLabels(labels),
			metav1.ApplyOptions{DryRun: dryRun, FieldManager: fieldManager, Force: true})
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{
		stowagev1alpha1.QuotaLabel: nil, stowagev1alpha1.RequireGroupLabel: nil,
	}}})
	if err != nil {
		return err
	}
	_, err = namespaces.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRun, FieldManager: fieldManager})
	return err
}
