package whypending

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	long = `
		Say why pods have no node, and what smallest change would give them one.

		Every verdict comes from the kube-scheduler's own plugins, run over every
		node: all that fails is named, not only what the scheduler met first. Every
		remedy was verified by running the same plugins on the changed cluster.

		Without an argument, every pending pod of the namespace is listed. A pod or
		a workload (deployment, statefulset, job, ...) that is named is explained at
		length; a workload without pods is explained by what refuses to create them.
		A pod named like a subcommand is written pod/NAME.

		Nothing is changed in the cluster.`

	examples = `
		# List the pending pods of the namespace, each with its cause
		kubectl why-pending

		# Explain one pod, and every node's reasons
		kubectl why-pending bert-train-0 --nodes

		# Explain the pods of a deployment
		kubectl why-pending deployment/web

		# What keeps the cluster's pods pending, by cause, with the best remedy of each
		kubectl why-pending --all -A

		# Would this deployment fit, and how many of its replicas?
		kubectl why-pending -f deployment.yaml

		# Work on a dump, without a cluster
		kubectl why-pending --snapshot fleet.yaml.gz -n nlp`
)

// Options are the flags and arguments of the command, and what it works with.
type Options struct {
	cli.Env
	Output *cli.OutputFlags
	Source cli.SourceFlags
	Select cli.SelectFlags
	Files  resource.FilenameOptions

	// All groups by cause, Nodes adds every node's reasons, Watch looks again
	// whenever the cluster changes, ExitCode makes the verdict the exit code.
	All, Nodes, Watch, ExitCode bool
	// SchedulerConfig is the path of a KubeSchedulerConfiguration.
	SchedulerConfig string

	namespace       string
	targets         []cli.Target
	matches         func(*corev1.Pod) bool
	schedulerConfig []byte
}

// NewCommand returns `kubectl why-pending`.
func NewCommand(env cli.Env) *cobra.Command {
	o := &Options{Env: env, Output: cli.NewOutputFlags()}
	cmd := &cobra.Command{
		Use:                   "why-pending [(POD... | TYPE NAME... | TYPE/NAME...) | -f FILENAME | --all]",
		Short:                 "Say why pods have no node, and what would give them one",
		Long:                  templates.LongDesc(long),
		Example:               templates.Examples(examples),
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     cli.CompleteTargets(env, workload.Default()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(args); err != nil {
				return err
			}
			if err := o.Validate(cmd, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cli.Prepare(cmd, env)
	o.addFlags(cmd)
	cmd.AddCommand(newSnapshotCommand(env))
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	o.Output.AddFlags(cmd)
	o.Source.AddFlags(cmd)
	o.Select.AddFlags(cmd)
	cmdutil.AddFilenameOptionFlags(cmd, &o.Files, "that holds pods or workloads which do not exist yet: would they fit?")
	flags := cmd.Flags()
	flags.BoolVar(&o.All, "all", false, "Group every pending pod in scope by its cause, and show the remedy that frees most of each group.")
	flags.BoolVar(&o.Nodes, "nodes", false, "Show the reasons of every node.")
	flags.BoolVarP(&o.Watch, "watch", "w", false, "After the answer, look again whenever the cluster changes, until Ctrl-C, and print what is different.")
	flags.BoolVar(&o.ExitCode, "exit-code", false, "Exit with 0 when nothing in scope is pending or everything asked about fits, 1 when not, and 2 on an error.")
	flags.StringVar(&o.SchedulerConfig, "scheduler-config", "", "File with the cluster's KubeSchedulerConfiguration. Without it, the default profile is assumed.")
	cobra.CheckErr(cmd.MarkFlagFilename("scheduler-config", "yaml", "yml", "json"))
}

// Complete fills in what the flags and arguments stand for.
func (o *Options) Complete(args []string) error {
	namespace, err := o.Source.Namespace(o.Env)
	if err != nil {
		return err
	}
	o.namespace = namespace
	if o.Select.AllNamespaces {
		o.namespace = ""
	}
	if o.targets, err = cli.ParseTargets(workload.Default(), args); err != nil {
		return err
	}
	o.Source.Extra = furtherKinds(o.targets)
	if o.matches, err = o.Select.PodMatcher(); err != nil {
		return err
	}
	if o.SchedulerConfig != "" {
		if o.schedulerConfig, err = os.ReadFile(o.SchedulerConfig); err != nil {
			return fmt.Errorf("--scheduler-config: %w", err)
		}
		if len(o.schedulerConfig) == 0 {
			return fmt.Errorf("--scheduler-config: %s is empty, expected a KubeSchedulerConfiguration", o.SchedulerConfig)
		}
	}
	return nil
}

// Validate refuses flags and arguments that do not go together.
func (o *Options) Validate(cmd *cobra.Command, args []string) error {
	named := slices.ContainsFunc(o.targets, func(t cli.Target) bool { return t.Name != "" })
	files := len(o.Files.Filenames) > 0 || o.Files.Kustomize != ""
	for _, conflict := range []struct {
		found bool
		text  string
	}{
		{files && len(args) > 0, "when a filename is given, no pod or workload may be named"},
		{files && (o.All || o.Watch), "--all and --watch are about pods of the cluster, and cannot be used with --filename"},
		{files && !o.Select.Empty(), "a selector cannot be used with --filename"},
		{o.All && len(args) > 0, "--all is about every pending pod in scope, and takes no argument"},
		{o.All && o.Nodes, "--nodes cannot be used with --all"},
		{named && o.Select.AllNamespaces, "a resource cannot be retrieved by name across all namespaces"},
		{named && !o.Select.Empty(), "name cannot be provided when a selector is specified"},
		{o.Watch && o.Source.Offline(), "--watch needs a cluster, and cannot be used with --snapshot"},
		{o.Source.Path == "-" && slices.Contains(o.Files.Filenames, "-"), "--snapshot and --filename cannot both be read from stdin"},
	} {
		if conflict.found {
			return cli.UsageErrorf(cmd, "%s", conflict.text)
		}
	}
	if err := o.Files.RequireFilenameOrKustomize(); files && err != nil {
		return err
	}
	return o.Output.Validate()
}

// Run answers, and with --watch goes on answering.
func (o *Options) Run(ctx context.Context) error {
	if o.Watch {
		return o.watch(ctx)
	}
	answer, err := o.ask(ctx)
	if err != nil {
		return err
	}
	if err := o.print(answer); err != nil {
		return err
	}
	if o.ExitCode && slices.ContainsFunc(answer.report.Items, unanswered) {
		return cli.ErrNo
	}
	return nil
}

// unanswered says whether an item stands for pods that do not fit as they are.
func unanswered(item report.PendingItem) bool {
	return item.Verdict != report.VerdictSchedulable || item.FitReplicas != nil && *item.FitReplicas < item.Replicas
}

// answer is a report with what it takes to draw it.
type answer struct {
	report *report.PendingReport
	snap   *snapshot.Snapshot
	// listed is set where the question was about many objects, not named ones.
	listed bool
	// notes say of what was asked about why it is not in the report, assumptions
	// what the verdicts stand on. Both are for stderr.
	notes, assumptions []string
}

// ask loads the cluster or the dump, and explains what was asked about.
func (o *Options) ask(ctx context.Context) (*answer, error) {
	files, err := o.readManifests() // a mistake in a file is told before a cluster is loaded
	if err != nil {
		return nil, err
	}
	progress := o.Progress()
	snap, err := o.Source.Load(ctx, o.Env, progress)
	progress.Clear()
	if err != nil {
		return nil, err
	}
	if snap, err = snap.With(files.along...); err != nil {
		return nil, err
	}
	return o.explain(ctx, snap, files.planned)
}

// explain explains what was asked about: what files planned, or else the arguments'.
func (o *Options) explain(ctx context.Context, snap *snapshot.Snapshot, planned []runtime.Object) (*answer, error) {
	progress := o.Progress()
	defer progress.Clear()
	question, err := o.question(ctx, snap, planned)
	if err != nil {
		return nil, err
	}
	explainer, err := explain.New(ctx, snap, explain.Options{
		SchedulerConfig: o.schedulerConfig,
		Remedies:        true,
		NodeDetails:     o.nodeDetails(),
		Progress:        func(done, total int) { progress.Update("Explaining", done, total) },
	})
	if err != nil {
		return nil, err
	}
	defer explainer.Close()
	answer, err := question.put(ctx, explainer)
	if err != nil {
		return nil, err
	}
	answer.snap = snap
	answer.assumptions = append(cli.SkewNotes(snap), explainer.Warnings()...)
	answer.report.Unknown = cli.MissingNotes(snap)
	if err := cli.SortBy(answer.report.Items, o.Output.SortBy); err != nil {
		return nil, err
	}
	return answer, nil
}

// nodeDetails says whether every node's reasons are wanted of a list, where they
// are a number of nodes times that of pods.
func (o *Options) nodeDetails() bool {
	return o.Nodes || !o.All && !o.Output.Human() && !o.Output.Name()
}
