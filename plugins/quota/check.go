package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	checkLong = `
		Say whether quota would admit a change, and if not, what is short and where it
		could come from. The admission webhook decides by the same rules.

		A file may hold several objects: each is judged with those before it admitted,
		and a HorizontalPodAutoscaler with all of them, by the most that it may ask for.
		An object that exists is updated, another one created, unless --op says
		otherwise. Nothing is changed in the cluster.

		Who may not see the groups has the in-cluster component asked instead, by a
		server-side dry run of the change: that takes the right to make it. --ask-server
		does so in any case.`

	checkExamples = `
		# Would this deployment be admitted?
		kubectl quota check -f deployment.yaml

		# Could it be scaled to 12?
		kubectl quota check deployment/web --replicas 12

		# Could this group be deleted?
		kubectl quota check --op delete -f group.yaml

		# Ask the component itself, by a dry run
		kubectl quota check -f deployment.yaml --ask-server

		# In a script: exit code 1 when refused
		kubectl quota check -f job.yaml --exit-code -o json`
)

// operation is what would be done with an object.
type operation string

// The operations of --op.
const (
	opCreate operation = "create"
	opUpdate operation = "update"
	opDelete operation = "delete"
)

func operations() []string { return []string{string(opCreate), string(opUpdate), string(opDelete)} }

// checkOptions are the flags and arguments of `kubectl quota check`.
type checkOptions struct {
	cli.Env
	output   *cli.OutputFlags
	source   sourceFlags
	files    resource.FilenameOptions
	op       string
	replicas int64
	exitCode bool
	// askServer has the component judge, by dry runs.
	askServer bool

	// targets are the workloads named, of which one is judged.
	targets   []string
	namespace string
}

func newCheckCommand(env cli.Env) *cobra.Command {
	o := &checkOptions{Env: env, output: cli.NewOutputFlags(), replicas: -1}
	cmd := &cobra.Command{
		Use:                   "check (-f FILENAME | TYPE/NAME --replicas N)",
		DisableFlagsInUseLine: true,
		Short:                 "Say whether quota would admit a change",
		Long:                  templates.LongDesc(checkLong),
		Example:               templates.Examples(checkExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  runE(o),
	}
	o.output.AddFlags(cmd)
	o.source.AddFlags(cmd)
	cmdutil.AddFilenameOptionFlags(cmd, &o.files, "that holds workloads or business groups")
	flags := cmd.Flags()
	flags.StringVar(&o.op, "op", o.op, `What would be done: "create", "update" or "delete". By default, what exists is updated and what does not is created.`)
	flags.Int64Var(&o.replicas, "replicas", o.replicas, "The number of replicas that the named workload would be scaled to.")
	flags.BoolVar(&o.askServer, "ask-server", o.askServer, "Have the in-cluster component judge, by a server-side dry run. What was admitted before it in a file is not counted.")
	flags.BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when all is admitted, 1 when something is refused, and 2 on an error.")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("op", cobra.FixedCompletions(operations(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// Complete reads the workload's name, and the namespace of what names none.
func (o *checkOptions) Complete(_ *cobra.Command, args []string) error {
	o.targets = args
	namespace, err := o.source.Namespace(o.Env)
	o.namespace = cmp.Or(namespace, corev1.NamespaceDefault)
	return err
}

// fromFiles says whether files are given.
func (o *checkOptions) fromFiles() bool { return len(o.files.Filenames) > 0 || o.files.Kustomize != "" }

// Validate refuses flags and arguments that do not go together.
func (o *checkOptions) Validate(cmd *cobra.Command) error {
	files, scales := o.fromFiles(), cmd.Flags().Changed("replicas")
	for _, conflict := range []struct {
		found bool
		text  string
	}{
		{files && len(o.targets) > 0, "when a filename is given, no workload may be named"},
		{!files && len(o.targets) == 0, "expected a file (-f) or a workload (TYPE/NAME --replicas N)"},
		{len(o.targets) > 1, "expected one workload as TYPE/NAME, found " + strings.Join(o.targets, " ")},
		{files && scales, "--replicas is about a named workload, and cannot be used with --filename"},
		{!files && o.op != "", "--op is about what a file holds, and needs --filename"},
		{!files && !scales, "a named workload needs --replicas"},
		{!files && o.replicas < 0, "--replicas: expected 0 or more"},
		{o.askServer && o.source.Offline(), "--ask-server asks a cluster, and cannot be used with --snapshot"},
		{o.source.Path == "-" && slices.Contains(o.files.Filenames, "-"), "--snapshot and --filename cannot both be read from stdin"},
	} {
		if conflict.found {
			return cli.UsageErrorf(cmd, "%s", conflict.text)
		}
	}
	if o.op != "" && !slices.Contains(operations(), o.op) {
		return fmt.Errorf("--op %q: expected one of %s%s", o.op, strings.Join(operations(), ", "), nearest.DidYouMean(o.op, operations()))
	}
	return o.output.Validate()
}

// Run prints the verdicts.
func (o *checkOptions) Run(ctx context.Context) error {
	list, err := o.ask(ctx)
	if err != nil {
		return err
	}
	if err := o.print(list); err != nil {
		return err
	}
	if o.exitCode && slices.ContainsFunc(list.Items, refused) {
		return cli.ErrNo
	}
	return nil
}

func refused(check report.QuotaCheck) bool { return !check.Allowed }

// ask judges what the files hold, or the workload that is named.
func (o *checkOptions) ask(ctx context.Context) (*report.QuotaCheckList, error) {
	kinds, err := o.source.kinds()
	if err != nil {
		return nil, err
	}
	var subjects []subject
	if o.fromFiles() { // a mistake in one is told before a cluster is loaded
		if subjects, err = readManifests(o.Env, o.files, kinds, o.namespace); err != nil {
			return nil, err
		}
	}
	if o.askServer {
		return o.tryAll(ctx, kinds, subjects)
	}
	groups, err := o.source.load(ctx, o.Env, "nodes", "namespaces", "resourcequotas")
	if unseen := (unlisted{}); errors.As(err, &unseen) && unseen.missing.Reason == snapshot.Forbidden && !o.source.Offline() {
		cli.Warn(o.ErrOut, []string{fmt.Sprintf("%s cannot be listed (%s): the in-cluster component was asked, by a dry run", groupResource, unseen.missing.Why())})
		return o.tryAll(ctx, kinds, subjects)
	}
	if err != nil {
		return nil, err
	}
	cli.Warn(o.ErrOut, uncounted(groups))
	if !o.fromFiles() {
		found, err := findScalable(groups, o.targets[0], o.namespace)
		if err == nil {
			found, err = found.scaledTo(o.replicas)
		}
		if err != nil {
			return nil, err
		}
		subjects = []subject{found}
	}
	return o.judgeAll(ctx, groups, subjects)
}

// tryAll has the component judge the subjects, or the workload that is named.
func (o *checkOptions) tryAll(ctx context.Context, kinds *workload.Kinds, subjects []subject) (*report.QuotaCheckList, error) {
	server, err := newAsker(o.Env)
	if err != nil {
		return nil, err
	}
	list := newList()
	if !o.fromFiles() {
		target, err := parseScalable(kinds, o.targets[0])
		if err != nil {
			return nil, err
		}
		named := &unstructured.Unstructured{}
		named.SetNamespace(o.namespace)
		named.SetName(target.Name)
		check, err := server.scale(ctx, subject{object: named, kind: target.Workload, scaled: true}, o.replicas)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *check)
	}
	for _, s := range subjects {
		if s.kind == nil {
			return nil, fmt.Errorf("%s: the component is asked about workloads only: ask for the right to list %s", s.object.GetName(), groupResource)
		}
		check, err := server.edit(ctx, s, operation(o.op))
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *check)
	}
	return list, nil
}

func newList() *report.QuotaCheckList {
	list := &report.QuotaCheckList{Items: []report.QuotaCheck{}}
	list.SetGroupVersionKind(report.GroupVersion.WithKind("QuotaCheckList"))
	return list
}

// judgeAll judges the subjects in their order.
func (o *checkOptions) judgeAll(ctx context.Context, groups *state.State, subjects []subject) (*report.QuotaCheckList, error) {
	you := state.Requester{Name: "you"}
	if !o.source.Offline() {
		var err error
		if you.MayCharge, err = selfMayCharge(o.Env); err != nil {
			return nil, err
		}
	}
	trial := groups.Try(you)
	list := &report.QuotaCheckList{Items: make([]report.QuotaCheck, len(subjects))}
	list.SetGroupVersionKind(report.GroupVersion.WithKind("QuotaCheckList"))
	for _, autoscalers := range []bool{false, true} { // which ask for what all else leaves
		for i, subject := range subjects {
			if (subject.autoscaler() != nil) != autoscalers {
				continue
			}
			check, err := judge(ctx, trial, subject, operation(o.op))
			if err != nil {
				return nil, err
			}
			list.Items[i] = *check
		}
	}
	return list, nil
}
