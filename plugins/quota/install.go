package quota

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	installLong = `
		Install the in-cluster component, or upgrade it: the resource
		BizGroupResourceQuota, the admission webhooks and the controllers that count.

		It is applied by server-side apply, so that installing again changes what is
		different and nothing else. The webhooks are configured last, when the
		component runs: until then nothing is refused.`

	installExamples = `
		# Install, or upgrade
		kubectl quota install

		# See what would be done, checked by the API server
		kubectl quota install --dry-run=server

		# The manifests, to keep in a repository
		kubectl quota install --dry-run=client -o yaml > stowage.yaml

		# With workload kinds of your own
		kubectl quota install --workload-kinds kinds.yaml`

	uninstallLong = `
		Take the in-cluster component out: the webhooks first, so that nothing is
		refused for want of it. The groups stay, with their ledgers; --purge deletes
		them too.`

	uninstallExamples = `
		# Uninstall, and keep the groups
		kubectl quota uninstall

		# Uninstall, and delete every group
		kubectl quota uninstall --purge`

	statusLong = `
		Show how the in-cluster component is: its Deployment, its leader, the webhook
		configuration, the certificates, and whether the groups are counted.`

	statusExamples = `
		# Is all well?
		kubectl quota status --exit-code`
)

// imageRepository is where a release's image is.
const imageRepository = "stowage-dev/stowage-manager"

// componentOptions are the flags of install and uninstall.
type componentOptions struct {
	cli.Env
	output *cli.OutputFlags
	// image, replicas and kinds say what is installed.
	image    string
	replicas int32
	kinds    string
	// purge has an uninstallation delete the groups too.
	purge   bool
	yes     bool
	wait    bool
	timeout time.Duration

	dryRun cmdutil.DryRunStrategy
	// component is what the flags say is installed.
	component install.Options
}

// NewInstallCommand returns `kubectl quota install`.
func NewInstallCommand(env cli.Env) *cobra.Command {
	o := &componentOptions{Env: env, output: cli.NewOutputFlags(), image: defaultImage(), replicas: install.DefaultReplicas}
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "Install or upgrade the in-cluster component",
		Long:    templates.LongDesc(installLong),
		Example: templates.Examples(installExamples),
		RunE:    o.runE(o.install),
	}
	o.addFlags(cmd)
	o.output.AddFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", o.image, "The component's image.")
	flags.Int32Var(&o.replicas, "replicas", o.replicas, "Number of replicas.")
	flags.StringVar(&o.kinds, "workload-kinds", o.kinds, "File with workload kinds, added to the built-in ones or in their place.")
	cobra.CheckErr(cmd.MarkFlagFilename("workload-kinds", "yaml", "yml", "json"))
	return cmd
}

// NewUninstallCommand returns `kubectl quota uninstall`.
func NewUninstallCommand(env cli.Env) *cobra.Command {
	// An image is no part of what is removed, and the manifests must name one.
	o := &componentOptions{Env: env, output: cli.NewOutputFlags(), image: imageRepository, replicas: install.DefaultReplicas}
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Take the in-cluster component out",
		Long:    templates.LongDesc(uninstallLong),
		Example: templates.Examples(uninstallExamples),
		RunE:    o.runE(o.uninstall),
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.purge, "purge", o.purge, "Delete the resource BizGroupResourceQuota too, and with it every group.")
	return cmd
}

// addFlags binds what install and uninstall share.
func (o *componentOptions) addFlags(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.Args = cli.NoArgs
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmdutil.AddDryRunFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&o.yes, "yes", "y", o.yes, "Do not ask.")
	flags.BoolVar(&o.wait, "wait", true, "Wait until it is done: until the component runs before the webhooks are configured, or until everything is gone.")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait.")
}

// runE completes and validates the flags, and runs one of the commands.
func (o *componentOptions) runE(run func(context.Context, []*unstructured.Unstructured) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		objects, err := o.complete(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
		defer cancel()
		return run(ctx, objects)
	}
}

// complete reads what the flags name, and returns what is installed.
func (o *componentOptions) complete(cmd *cobra.Command) ([]*unstructured.Unstructured, error) {
	var err error
	if o.dryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return nil, cli.UsageErrorf(cmd, "--dry-run: %s", err)
	}
	switch {
	case o.timeout <= 0:
		return nil, cli.UsageErrorf(cmd, "--timeout %s: expected more than 0", o.timeout)
	case o.replicas < 1:
		return nil, cli.UsageErrorf(cmd, "--replicas %d: expected 1 or more", o.replicas)
	case o.image == "":
		return nil, cli.UsageErrorf(cmd, "--image: this is a development build, which has no published image; build one with \"make image\", and name it here")
	case !o.output.Human() && o.dryRun != cmdutil.DryRunClient:
		return nil, cli.UsageErrorf(cmd, "--output %q prints the manifests, and needs --dry-run=client", o.output.Format)
	}
	if err := o.output.Validate(); err != nil {
		return nil, err
	}
	kinds, err := workload.ReadFile(o.kinds)
	if err != nil {
		return nil, fmt.Errorf("--workload-kinds: %w", err)
	}
	o.component = install.Options{
		Namespace: componentNamespace(o.Env), Image: o.image, Replicas: o.replicas, Kinds: kinds,
		Webhook: install.Endpoint{Token: install.NewToken()},
	}
	return install.Objects(o.component)
}

// componentNamespace is what -n says; a kubeconfig's namespace is the user's.
func componentNamespace(env cli.Env) string {
	if namespace := *env.Config.Namespace; namespace != "" {
		return namespace
	}
	return install.DefaultNamespace
}

// defaultImage is the image of this release; empty for a build that is none.
func defaultImage() string {
	release, err := version.ParseSemantic(cli.ReadVersion().Client)
	if err != nil || release.PreRelease() != "" || release.BuildMetadata() != "" {
		return ""
	}
	return imageRepository + ":v" + release.String()
}

// install applies the objects, or prints them.
func (o *componentOptions) install(ctx context.Context, objects []*unstructured.Unstructured) error {
	if o.dryRun == cmdutil.DryRunClient {
		return o.preview(objects, "would be applied")
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Install %s into namespace %q of %s, and have it admit workloads in the whole cluster?", o.image, componentNamespace(o.Env), config.Host)
	if err := o.ask(question); err != nil {
		return err
	}
	if o.component.Webhook.Token, err = install.ReadToken(ctx, config, o.component.Namespace); err != nil {
		return err
	}
	if objects, err = install.Objects(o.component); err != nil {
		return err
	}
	return o.change(ctx, install.Apply, config, objects)
}

// uninstall removes the objects.
func (o *componentOptions) uninstall(ctx context.Context, objects []*unstructured.Unstructured) error {
	if o.dryRun == cmdutil.DryRunClient {
		return o.preview(objects, "would be deleted, if it is there")
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Take the component in namespace %q out of %s? The groups stay; nothing is checked or counted any more.", componentNamespace(o.Env), config.Host)
	if o.purge {
		question = fmt.Sprintf("Take the component in namespace %q out of %s, and delete every business group with its ledger and its hours?", componentNamespace(o.Env), config.Host)
	}
	if err := o.ask(question); err != nil {
		return err
	}
	return o.change(ctx, install.Remove, config, objects)
}

// preview prints the objects, or a line for each, without asking a cluster.
func (o *componentOptions) preview(objects []*unstructured.Unstructured, what string) error {
	if !o.output.Human() {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
		for _, object := range objects {
			list.Items = append(list.Items, *object)
		}
		return o.output.PrintReport(o.Out, list)
	}
	for _, object := range objects {
		if err := o.line(install.Describe(object), what); err != nil {
			return err
		}
	}
	return nil
}

// change runs Apply or Remove, with a line for each step and a progress line.
func (o *componentOptions) change(
	ctx context.Context,
	run func(context.Context, *rest.Config, []*unstructured.Unstructured, install.ApplyOptions) error,
	config *rest.Config, objects []*unstructured.Unstructured,
) error {
	progress := o.Progress()
	defer progress.Clear()
	steps := 0
	var written error
	err := run(ctx, config, objects, install.ApplyOptions{
		DryRun: o.dryRun == cmdutil.DryRunServer,
		Wait:   o.wait,
		Purge:  o.purge,
		Report: func(step install.Step) {
			if step.Waiting != "" {
				progress.Update(step.Object+": "+step.Waiting, steps, len(objects))
				return
			}
			progress.Clear()
			steps++
			written = errors.Join(written, o.line(step.Object, step.Done))
		},
	})
	return errors.Join(err, written)
}

// line prints what was done to one object, as kubectl does.
func (o *componentOptions) line(object, done string) error {
	suffix := map[cmdutil.DryRunStrategy]string{cmdutil.DryRunClient: " (dry run)", cmdutil.DryRunServer: " (server dry run)"}[o.dryRun]
	_, err := fmt.Fprintf(o.Out, "%s %s%s\n", print.Escape(object), print.Escape(done), suffix)
	return err
}

// ask asks for a yes, unless nothing is changed or --yes was given.
func (o *componentOptions) ask(question string) error {
	if o.yes || o.dryRun != cmdutil.DryRunNone {
		return nil
	}
	return o.Confirm(question)
}

// statusOptions are the flags of `kubectl quota status`.
type statusOptions struct {
	cli.Env
	output   *cli.OutputFlags
	exitCode bool
}

// NewStatusCommand returns `kubectl quota status`.
func NewStatusCommand(env cli.Env) *cobra.Command {
	o := &statusOptions{Env: env, output: cli.NewOutputFlags()}
	cmd := &cobra.Command{
		Use:                   "status",
		DisableFlagsInUseLine: true,
		Short:                 "Show how the in-cluster component is",
		Long:                  templates.LongDesc(statusLong),
		Example:               templates.Examples(statusExamples),
		Args:                  cli.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.Validate(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.output.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when all is well, 1 when not, and 2 on an error.")
	return cmd
}

func (o *statusOptions) run(ctx context.Context) error {
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	status, err := install.ReadStatus(ctx, config, componentNamespace(o.Env), o.Clock.Now())
	if err != nil {
		return err
	}
	if err := o.print(status); err != nil {
		return err
	}
	if o.exitCode && len(status.Problems) > 0 {
		return cli.ErrNo
	}
	return nil
}

func (o *statusOptions) print(status *install.Status) error {
	if !o.output.Human() {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
		if err != nil {
			return err
		}
		return o.output.PrintReport(o.Out, &unstructured.Unstructured{Object: content})
	}
	theme := o.output.Color.Theme(o.Env)
	if err := o.table(status).Write(o.Out, print.TableOptions{Width: o.Width(), NoHeaders: o.output.NoHeaders, Title: theme.Heading}); err != nil {
		return err
	}
	for _, problem := range status.Problems {
		if _, err := fmt.Fprintln(o.Out, theme.Bad("!")+" "+print.Escape(problem)); err != nil {
			return err
		}
	}
	cli.Warn(o.ErrOut, status.Unknown)
	return nil
}

// table has a row for each part that was found.
func (o *statusOptions) table(status *install.Status) *print.Table {
	now := o.Clock.Now()
	table := print.NewTable(print.Column{Title: "PART"}, print.Column{Title: "STATE"}, print.Column{Title: "DETAIL", Flexible: true})
	if d := status.Deployment; d != nil {
		table.Append("deployment", fmt.Sprintf("%d/%d ready", d.Ready, d.Replicas), fmt.Sprintf("%s, %d updated", d.Image, d.Updated))
	}
	if l := status.Leader; l != nil {
		table.Append("leader", "renewed "+print.Age(l.Renewed.Time, now)+" ago", l.Holder)
	}
	if w := status.Webhooks; w != nil {
		state := "no CA bundle"
		if w.Trusted {
			state = "configured"
		}
		table.Append("webhooks", state, fmt.Sprintf("%d entries", w.Entries))
	}
	if c := status.Certificate; c != nil {
		table.Append("certificate", "until "+c.NotAfter.UTC().Format(time.DateOnly), "its CA until "+c.CANotAfter.UTC().Format(time.DateOnly))
	}
	if r := status.Resource; r != nil {
		state := "not served"
		if r.Established {
			state = "served"
		}
		table.Append("resource", state, strings.Join(r.Versions, ", "))
	}
	if g := status.Groups; g != nil {
		detail := fmt.Sprintf("%d overcommitted, %d out of hours, %d reservations (%d expired)", g.Overcommitted, g.CashExhausted, g.Reservations, g.Expired)
		table.Append("groups", fmt.Sprintf("%d/%d counted", g.Counted, g.Total), detail)
	}
	return table
}
