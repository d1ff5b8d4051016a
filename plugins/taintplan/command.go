package taintplan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

const (
	long = `
		Say what a change of taints will do, and do it wave by wave.

		The arguments are those of kubectl taint. The answer is what the controllers
		will do: which pods are evicted and when, where the scheduler puts their
		replacements and which of them stay pending, how few ready pods each workload
		has at worst, which PodDisruptionBudgets break (taints do not honour them),
		which pods could not start again where they are, and who gets a node by it.

		Nothing is changed without --apply or --rollback, which show what they do and
		ask. --apply of a saved plan is refused when the cluster has changed in a way
		that matters; else it taints wave by wave, each when all that the one before
		displaced is ready again. Ctrl-C stops between waves; --apply of the same file
		goes on from there, and --rollback undoes.

		The exit code is 0 when no taint changes, 1 when one does, and 2 on an error. A
		plan that is applied or rolled back ends with 0.`

	examples = `
		# What would happen if node t4-01 were cleared?
		kubectl taint-plan nodes t4-01 maintenance=true:NoExecute

		# The same for all nodes of a pool, in waves in which nothing is without a home
		kubectl taint-plan nodes -l pool=gpu maintenance=true:NoExecute --waves auto

		# When are pods evicted that tolerate the taint for a while?
		kubectl taint-plan nodes t4-01 t4-02 maintenance=true:NoExecute --timeline

		# Who would get a node without this taint?
		kubectl taint-plan nodes --all nvidia.com/gpu:NoSchedule-

		# Save a plan, apply it, undo it
		kubectl taint-plan nodes -l pool=gpu maintenance=true:NoExecute --waves auto --out plan.yaml
		kubectl taint-plan --apply plan.yaml
		kubectl taint-plan --rollback plan.yaml

		# Plan, ask and apply in one go; the file is to go on with, and to undo it
		kubectl taint-plan nodes t4-01 maintenance=true:NoExecute --apply --out t4-01.yaml

		# Work on a dump, without a cluster
		kubectl taint-plan nodes t4-01 maintenance=true:NoExecute --snapshot fleet.yaml.gz`
)

// Options are the flags and arguments of the command, and what it works with.
type Options struct {
	cli.Env
	Output *cli.OutputFlags
	Source cli.SourceFlags

	// All and Selector choose nodes that are not named.
	All      bool
	Selector string
	// Overwrite lets a taint of the same key and effect be replaced.
	Overwrite bool
	// Waves is a number of waves, or "auto".
	Waves string
	// StartTime is how long a pod needs to be ready where nothing says it.
	StartTime time.Duration
	// SchedulerConfig is the path of a KubeSchedulerConfiguration.
	SchedulerConfig string
	// Timeline draws the evictions against time.
	Timeline bool

	// Save is the file to save the plan in. Apply carries one out: the one of this file, or
	// the one that was just made and saved. Rollback undoes the one of its file.
	Save, Apply, Rollback string
	// Yes does not ask.
	Yes bool
	// Timeout bounds each wave; 0 lets the plan say.
	Timeout time.Duration

	names   []string
	change  taint.Change
	dryRun  cmdutil.DryRunStrategy
	plan    plan.Options
	applies bool
}

// applyThis is the value of --apply without one: the name of no file.
const applyThis = " "

// NewCommand returns `kubectl taint-plan`.
func NewCommand(env cli.Env) *cobra.Command {
	o := &Options{Env: env, Output: cli.NewOutputFlags(), Source: cli.SourceFlags{Finished: true}}
	o.Output.Items = "evictions"
	cmd := &cobra.Command{
		Use:                   "taint-plan (nodes (NODE... | -l SELECTOR | --all) (KEY[=VALUE]:EFFECT | KEY[:EFFECT]-)... | --apply PLAN | --rollback PLAN)",
		Short:                 "Say what a change of taints will do, and do it wave by wave",
		Long:                  templates.LongDesc(long),
		Example:               templates.Examples(examples),
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     o.completions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.Complete(cmd, args); err != nil {
				return err
			}
			if err := o.Validate(cmd); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cli.Prepare(cmd, env)
	o.addFlags(cmd)
	return cmd
}

func (o *Options) addFlags(cmd *cobra.Command) {
	o.Output.AddFlags(cmd)
	o.Source.AddFlags(cmd)
	cmdutil.AddLabelSelectorFlagVar(cmd, &o.Selector)
	cmdutil.AddDryRunFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.All, "all", false, "Select all nodes in the cluster")
	flags.BoolVar(&o.Overwrite, "overwrite", false, "If true, allow taints to be overwritten, otherwise reject taint updates that overwrite existing taints.")
	flags.StringVar(&o.Waves, "waves", "", `Split the nodes into so many waves, or with "auto" into as few as are found in which everything displaced has a home and no PodDisruptionBudget breaks.`)
	flags.DurationVar(&o.StartTime, "start-time", plan.DefaultStartTime, "How long a new pod is taken to need until it is ready, where its workload has no ready pods that say.")
	flags.StringVar(&o.SchedulerConfig, "scheduler-config", "", "File with the cluster's KubeSchedulerConfiguration. Without it, the default profile is assumed.")
	flags.BoolVar(&o.Timeline, "timeline", false, "Draw the evictions against time.")
	flags.StringVar(&o.Save, "out", "", "Save the plan in this file, for --apply.")
	flags.StringVar(&o.Apply, "apply", "", "Apply the plan of a file (--apply PLAN), or without one what the arguments ask for, saved with --out.")
	flags.StringVar(&o.Rollback, "rollback", "", "Undo the plan of a file: what it changed of the nodes' taints, and nothing else.")
	flags.BoolVarP(&o.Yes, "yes", "y", false, "Do not ask.")
	flags.DurationVar(&o.Timeout, "timeout", 0, "How long to wait for all that a wave displaces to be ready again. Zero waits as long as the plan says, and five minutes more.")
	flags.Lookup("apply").NoOptDefVal = applyThis
	for _, name := range []string{"scheduler-config", "out", "apply", "rollback"} {
		cobra.CheckErr(cmd.MarkFlagFilename(name, "yaml", "yml", "json"))
	}
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("waves", cobra.FixedCompletions([]string{"auto"}, cobra.ShellCompDirectiveNoFileComp)))
}

// Complete fills in what the flags and arguments stand for.
func (o *Options) Complete(cmd *cobra.Command, args []string) (err error) {
	if o.dryRun, err = cmdutil.GetDryRunStrategy(cmd); err != nil {
		return cli.UsageErrorf(cmd, "--dry-run: %s", err)
	}
	o.plan.StartTime = o.StartTime
	if o.plan.Waves, o.plan.AutoWaves, err = parseWaves(o.Waves); err != nil {
		return err
	}
	if o.SchedulerConfig != "" {
		if o.plan.SchedulerConfig, err = os.ReadFile(o.SchedulerConfig); err != nil {
			return fmt.Errorf("--scheduler-config: %w", err)
		}
		if len(o.plan.SchedulerConfig) == 0 {
			return fmt.Errorf("--scheduler-config: %s is empty, expected a KubeSchedulerConfiguration", o.SchedulerConfig)
		}
	}
	o.applies = cmd.Flags().Changed("apply") || cmd.Flags().Changed("rollback")
	if o.applies && o.saved() == "" {
		return cli.UsageErrorf(cmd, "--apply and --rollback: expected the name of a plan's file, found none")
	}
	if o.Apply == applyThis && len(args) == 1 { // what to plan takes two at least
		o.Apply, args = args[0], nil
	}
	o.Apply = strings.TrimSpace(o.Apply)
	if o.saved() == "" {
		return o.parseArguments(args)
	}
	if len(args) > 0 {
		return cli.UsageErrorf(cmd, "%s says which nodes and taints to change: expected no arguments, found %q", o.saved(), args[0])
	}
	return nil
}

// saved is the file of the plan that is to be applied or undone.
func (o *Options) saved() string {
	if o.Rollback != "" {
		return o.Rollback
	}
	return o.Apply
}

// parseWaves reads --waves.
func parseWaves(text string) (waves int, auto bool, err error) {
	switch text {
	case "":
		return 0, false, nil
	case "auto":
		return 0, true, nil
	}
	if waves, err = strconv.Atoi(text); err != nil || waves < 1 {
		return 0, false, fmt.Errorf(`--waves %q: expected a number of waves, 1 or more, or "auto"`, text)
	}
	return waves, false, nil
}

// Validate refuses flags that do not go together.
func (o *Options) Validate(cmd *cobra.Command) error {
	made := o.Selector != "" || o.All || o.Overwrite || o.Waves != "" || o.Save != ""
	for _, conflict := range []struct {
		found bool
		text  string
	}{
		{o.Rollback != "" && cmd.Flags().Changed("apply"), "--apply and --rollback cannot be used together"},
		{o.saved() != "" && made, "a saved plan is made already: --selector, --all, --overwrite, --waves and --out cannot be used with it"},
		{o.applies && o.Source.Offline(), "--apply and --rollback need a cluster, and cannot be used with --snapshot"},
		{!o.applies && o.dryRun != cmdutil.DryRunNone, "--dry-run is for --apply and --rollback: a plan alone changes nothing"},
		{o.applies && o.saved() == "" && o.Save == "" && o.dryRun == cmdutil.DryRunNone, "--apply of a new plan: expected --out FILE too, which --apply FILE continues and --rollback FILE undoes"},
		{(!o.applies || o.Rollback != "") && cmd.Flags().Changed("timeout"), "--timeout is for --apply, which waits"},
		{o.Timeout < 0, fmt.Sprintf("--timeout %s: expected 0 or more", o.Timeout)},
		{o.StartTime <= 0, fmt.Sprintf("--start-time %s: expected more than 0", o.StartTime)},
		{o.Timeline && !o.Output.Human(), "--timeline is drawn for people, and cannot be used with --output " + o.Output.Format},
	} {
		if conflict.found {
			return cli.UsageErrorf(cmd, "%s", conflict.text)
		}
	}
	return o.Output.Validate()
}

// Run plans, or carries out a plan.
func (o *Options) Run(ctx context.Context) error {
	switch {
	case o.Rollback != "":
		return o.undo(ctx)
	case o.Apply != "":
		return o.applySaved(ctx)
	}
	made, err := o.makePlan(ctx)
	if err != nil {
		return err
	}
	if o.Save != "" {
		if err := save(o.Save, made); err != nil {
			return err
		}
	}
	if err := o.show(made); err != nil {
		return err
	}
	if o.applies {
		return o.carryOut(ctx, made)
	}
	if len(made.Nodes) > 0 {
		return cli.ErrNo
	}
	return nil
}

// makePlan loads the cluster or the dump, and plans what the arguments ask for.
func (o *Options) makePlan(ctx context.Context) (*report.TaintPlan, error) {
	snap, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	names, notes, err := o.nodes(snap)
	if err != nil {
		return nil, err
	}
	progress := o.Progress()
	defer progress.Clear()
	opts := o.plan
	opts.Progress = func(done, total int) { progress.Update("Planning", done, total) }
	planner, err := plan.New(ctx, snap, opts)
	if err != nil {
		return nil, err
	}
	defer planner.Close()
	made, err := planner.Plan(ctx, names, o.change)
	if err != nil {
		return nil, err
	}
	progress.Clear()
	cli.Warn(o.ErrOut, slices.Concat(notes, cli.SkewNotes(snap), planner.Warnings()))
	return made, saved.Seal(made)
}

// load reads the cluster or the dump; of a cluster only the resources that are named, at
// which nobody looks on, if any is.
func (o *Options) load(ctx context.Context, resources ...string) (*snapshot.Snapshot, error) {
	source, progress := o.Source, o.Progress()
	if len(resources) > 0 {
		source.Kinds, progress = resources, &print.Progress{}
	}
	defer progress.Clear()
	return source.Load(ctx, o.Env, progress)
}

// save writes a plan's file, which must not exist yet: a plan that was applied is
// what undoes it.
func save(path string, p *report.TaintPlan) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("--out: %s exists, and may be needed to undo what it plans: expected the name of a new file", path)
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if err := errors.Join(writeYAML(file, p), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("--out: %w", err), os.Remove(path))
	}
	return nil
}

// discard removes the plan that was saved to be applied, and was not.
func (o *Options) discard() error {
	if o.Save == "" {
		return nil
	}
	return os.Remove(o.Save)
}
