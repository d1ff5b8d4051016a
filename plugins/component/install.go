package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		different and nothing else: but that the webhooks' secret is another each time
		(--renew-token=false keeps it). The webhooks are configured last, when the
		component runs: until then nothing is refused. Then namespaces are enabled:
		kubectl %[1]s enable NAMESPACE.`

	installExamples = `
		# Install, or upgrade
		kubectl %[1]s install

		# See what would be done, checked by the API server
		kubectl %[1]s install --dry-run=server

		# The manifests, to keep in a repository
		kubectl %[1]s install --dry-run=client -o yaml > stowage.yaml

		# With workload kinds of your own
		kubectl %[1]s install --workload-kinds kinds.yaml`

	uninstallLong = `
		Take the in-cluster component out: the webhooks first, so that nothing is
		refused for want of it. The groups stay, with their ledgers; --purge deletes
		them too.`

	uninstallExamples = `
		# Uninstall, and keep the groups
		kubectl %[1]s uninstall

		# Uninstall, and delete every group
		kubectl %[1]s uninstall --purge`
)

// imageRepository is where a release's image is.
const imageRepository = "stowage-dev/stowage-manager"

// options are the flags of install and uninstall.
type options struct {
	cli.Env
	output *cli.OutputFlags
	// image, replicas and kinds say what is installed.
	image    string
	replicas int32
	kinds    string
	// renewToken has an installation give the webhooks' paths another secret.
	renewToken bool
	// purge has an uninstallation delete the groups too.
	purge   bool
	yes     bool
	wait    bool
	timeout time.Duration

	dryRun  cmdutil.DryRunStrategy
	objects []*unstructured.Unstructured
	// component is what the flags say is installed.
	component install.Options
}

// newInstallCommand returns the command install of the plugin of that name.
func newInstallCommand(env cli.Env, plugin string) *cobra.Command {
	o := &options{Env: env, output: cli.NewOutputFlags(), image: defaultImage(), replicas: install.DefaultReplicas}
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "Install or upgrade the in-cluster component",
		Long:    longDesc(installLong, plugin),
		Example: examples(installExamples, plugin),
		RunE:    o.runE(o.install),
	}
	o.addFlags(cmd)
	o.output.AddFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", o.image, "The component's image.")
	flags.Int32Var(&o.replicas, "replicas", o.replicas, "Number of replicas.")
	flags.BoolVar(&o.renewToken, "renew-token", true, "Give the webhooks' paths another secret, for which the component's pods start anew. Whoever is refused while the component is down sees the secret.")
	flags.StringVar(&o.kinds, "workload-kinds", o.kinds, "File with workload kinds, added to the built-in ones or in their place.")
	cobra.CheckErr(cmd.MarkFlagFilename("workload-kinds", "yaml", "yml", "json"))
	return cmd
}

// newUninstallCommand returns the command uninstall of the plugin of that name.
func newUninstallCommand(env cli.Env, plugin string) *cobra.Command {
	// An image is no part of what is removed, and the manifests must name one.
	o := &options{Env: env, output: cli.NewOutputFlags(), image: imageRepository, replicas: install.DefaultReplicas}
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Take the in-cluster component out",
		Long:    templates.LongDesc(uninstallLong),
		Example: examples(uninstallExamples, plugin),
		RunE:    o.runE(o.uninstall),
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.purge, "purge", o.purge, "Delete the resource BizGroupResourceQuota too, and with it every group.")
	return cmd
}

// addFlags binds what install and uninstall share.
func (o *options) addFlags(cmd *cobra.Command) {
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
func (o *options) runE(run func(context.Context) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if err := o.Complete(cmd); err != nil {
			return err
		}
		if err := o.Validate(cmd); err != nil {
			return err
		}
		var err error
		if o.objects, err = install.Objects(o.component); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
		defer cancel()
		return run(ctx)
	}
}

// Complete reads what the flags name.
func (o *options) Complete(cmd *cobra.Command) error {
	var err error
	if o.dryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return cli.UsageErrorf(cmd, "--dry-run: %s", err)
	}
	kinds, err := workload.ReadFile(o.kinds)
	if err != nil {
		return fmt.Errorf("--workload-kinds: %w", err)
	}
	o.component = install.Options{Namespace: namespace(o.Env), Image: o.image, Replicas: o.replicas, Kinds: kinds}
	o.component.Secrets, err = install.NewSecrets()
	return err
}

// Validate checks the flags. Errors name them.
func (o *options) Validate(cmd *cobra.Command) error {
	switch {
	case o.timeout <= 0:
		return cli.UsageErrorf(cmd, "--timeout %s: expected more than 0", o.timeout)
	case o.replicas < 1:
		return cli.UsageErrorf(cmd, "--replicas %d: expected 1 or more", o.replicas)
	case o.renewToken && !o.wait && cmd.Flags().Changed("renew-token"):
		return cli.UsageErrorf(cmd, "--renew-token: the API server is told of another secret when all pods know it, and needs --wait")
	case o.image == "":
		return cli.UsageErrorf(cmd, "--image: this is a development build, which has no published image; build one with \"make image\", and name it here")
	case !o.output.Human() && o.dryRun != cmdutil.DryRunClient:
		return cli.UsageErrorf(cmd, "--output %q prints the manifests, and needs --dry-run=client", o.output.Format)
	}
	o.renewToken = o.renewToken && o.wait
	return o.output.Validate()
}

// namespace is what -n says; a kubeconfig's namespace is the user's.
func namespace(env cli.Env) string {
	if named := *env.Config.Namespace; named != "" {
		return named
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
func (o *options) install(ctx context.Context) error {
	if o.dryRun == cmdutil.DryRunClient {
		return o.preview("would be applied")
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Install %s into namespace %q of %s, and have it admit workloads in the whole cluster?", o.image, namespace(o.Env), config.Host)
	if err := o.ask(question); err != nil {
		return err
	}
	if o.component.Secrets, err = install.ReadSecrets(ctx, config, o.component.Namespace, o.renewToken); err != nil {
		return err
	}
	if o.objects, err = install.Objects(o.component); err != nil {
		return err
	}
	if err := o.change(ctx, install.Apply, config); err != nil || o.dryRun != cmdutil.DryRunNone {
		return err
	}
	if tokens := o.component.Secrets.Tokens; len(tokens) > 1 {
		if err := install.RetireTokens(ctx, config, o.component.Namespace, tokens); err != nil {
			return fmt.Errorf("the webhooks' secret of before is not retired: %w: install again", err)
		}
	}
	outside, err := install.Outside(ctx, config)
	if err != nil { // it is installed all the same
		outside = []string{fmt.Sprintf("which namespaces take no part, and charge groups, is not known: %v", err)}
	}
	cli.Warn(o.ErrOut, outside)
	passed, err := install.CheckServed(ctx, config, o.component.Kinds)
	if err != nil {
		passed = []string{fmt.Sprintf("what the cluster serves could not be compared with the workload kinds: %v", err)}
	}
	cli.Warn(o.ErrOut, passed)
	return nil
}

// uninstall removes the objects.
func (o *options) uninstall(ctx context.Context) error {
	if o.dryRun == cmdutil.DryRunClient {
		return o.preview("would be deleted, if it is there")
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Take the component in namespace %q out of %s? The groups stay; nothing is checked or counted any more.", namespace(o.Env), config.Host)
	if o.purge {
		question = fmt.Sprintf("Take the component in namespace %q out of %s, and delete every business group with its ledger and its hours?", namespace(o.Env), config.Host)
	}
	if err := o.ask(question); err != nil {
		return err
	}
	return o.change(ctx, install.Remove, config)
}

// preview prints the objects, or a line for each, without asking a cluster.
func (o *options) preview(what string) error {
	if o.output.Name() {
		for _, object := range o.objects {
			if _, err := fmt.Fprintln(o.Out, print.Escape(install.Describe(object))); err != nil {
				return err
			}
		}
		return nil
	}
	if !o.output.Human() {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
		for _, object := range o.objects {
			list.Items = append(list.Items, *object)
		}
		return o.output.PrintReport(o.Out, list)
	}
	for _, object := range o.objects {
		if err := o.line(install.Describe(object), what); err != nil {
			return err
		}
	}
	return nil
}

// change runs Apply or Remove, with a line for each step and a progress line.
func (o *options) change(
	ctx context.Context,
	run func(context.Context, *rest.Config, []*unstructured.Unstructured, install.ApplyOptions) error,
	config *rest.Config,
) error {
	progress := o.Progress()
	defer progress.Clear()
	steps := 0
	var written error
	err := run(ctx, config, o.objects, install.ApplyOptions{
		DryRun: o.dryRun == cmdutil.DryRunServer,
		Wait:   o.wait,
		Purge:  o.purge,
		Report: func(step install.Step) {
			if step.Waiting != "" {
				progress.Update(step.Object+": "+step.Waiting, steps, len(o.objects))
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
func (o *options) line(object, done string) error {
	suffix := map[cmdutil.DryRunStrategy]string{cmdutil.DryRunClient: " (dry run)", cmdutil.DryRunServer: " (server dry run)"}[o.dryRun]
	_, err := fmt.Fprintf(o.Out, "%s %s%s\n", print.Escape(object), print.Escape(done), suffix)
	return err
}

// ask asks for a yes, unless nothing is changed or --yes was given.
func (o *options) ask(question string) error {
	if o.yes || o.dryRun != cmdutil.DryRunNone {
		return nil
	}
	return o.Confirm(question)
}
