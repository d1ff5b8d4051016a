package quota

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/print"
)

const (
	checkLong = `
		Say whether quota would admit a change, and if not, what is short and where it
		could come from. The admission webhook decides by the same rules.

		A file may hold several objects: each is judged with those before it admitted.
		An object that exists is updated, another one created, unless --op says
		otherwise. Nothing is changed in the cluster.`

	checkExamples = `
		# Would this deployment be admitted?
		kubectl quota check -f deployment.yaml

		# Could it be scaled to 12?
		kubectl quota check deployment/web --replicas 12

		# Could this group be deleted?
		kubectl quota check --op delete -f group.yaml

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

	target    string
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
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.output.AddFlags(cmd)
	o.source.AddFlags(cmd)
	cmdutil.AddFilenameOptionFlags(cmd, &o.files, "that holds workloads or business groups")
	flags := cmd.Flags()
	flags.StringVar(&o.op, "op", o.op, `What would be done: "create", "update" or "delete". By default, what exists is updated and what does not is created.`)
	flags.Int64Var(&o.replicas, "replicas", o.replicas, "The number of replicas that the named workload would be scaled to.")
	flags.BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when all is admitted, 1 when something is refused, and 2 on an error.")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("op", cobra.FixedCompletions(operations(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (o *checkOptions) complete(cmd *cobra.Command, args []string) (err error) {
	files := len(o.files.Filenames) > 0 || o.files.Kustomize != ""
	for _, conflict := range []struct {
		found bool
		text  string
	}{
		{files && len(args) > 0, "when a filename is given, no workload may be named"},
		{!files && len(args) == 0, "expected a file (-f) or a workload (TYPE/NAME --replicas N)"},
		{len(args) > 1, "expected one workload as TYPE/NAME, found " + strings.Join(args, " ")},
		{files && cmd.Flags().Changed("replicas"), "--replicas is about a named workload, and cannot be used with --filename"},
		{!files && o.op != "", "--op is about what a file holds, and needs --filename"},
		{!files && !cmd.Flags().Changed("replicas"), "a named workload needs --replicas"},
		{!files && o.replicas < 0, "--replicas: expected 0 or more"},
		{o.source.Path == "-" && slices.Contains(o.files.Filenames, "-"), "--snapshot and --filename cannot both be read from stdin"},
	} {
		if conflict.found {
			return cli.UsageErrorf(cmd, "%s", conflict.text)
		}
	}
	if o.op != "" && !slices.Contains(operations(), o.op) {
		return fmt.Errorf("--op %q: expected one of %s%s", o.op, strings.Join(operations(), ", "), nearest.DidYouMean(o.op, operations()))
	}
	if !files {
		o.target = args[0]
	}
	if o.namespace, err = o.source.Namespace(o.Env); err != nil {
		return err
	}
	return o.output.Validate()
}

func (o *checkOptions) run(ctx context.Context) error {
	kinds, err := o.source.kinds()
	if err != nil {
		return err
	}
	var subjects []subject
	if o.target == "" { // a mistake in the file is told before a cluster is loaded
		if subjects, err = readManifests(o.Env, o.files, kinds, orDefault(o.namespace)); err != nil {
			return err
		}
	}
	w, err := o.source.load(ctx, o.Env, "nodes", "namespaces")
	if err != nil {
		return err
	}
	cli.Warn(o.ErrOut, append(w.notes, uncounted(w)...))
	if o.target != "" {
		found, err := w.findScalable(o.target, orDefault(o.namespace))
		if err == nil {
			found, err = found.scaledTo(o.replicas)
		}
		if err != nil {
			return err
		}
		subjects = []subject{found}
	}
	judge, err := o.judge(w)
	if err != nil {
		return err
	}
	list := &reportv1alpha1.QuotaCheckList{Items: []reportv1alpha1.QuotaCheck{}}
	list.SetGroupVersionKind(reportv1alpha1.GroupVersion.WithKind("QuotaCheckList"))
	for _, subject := range subjects {
		check, err := judge.judge(ctx, subject, operation(o.op))
		if err != nil {
			return err
		}
		list.Items = append(list.Items, *check)
	}
	if err := o.print(list); err != nil {
		return err
	}
	if o.exitCode && slices.ContainsFunc(list.Items, func(check reportv1alpha1.QuotaCheck) bool { return !check.Allowed }) {
		return cli.ErrNo
	}
	return nil
}

// judge judges by the world, and asks the cluster, if there is one, for the user's rights.
func (o *checkOptions) judge(w *world) (*judge, error) {
	if o.source.Offline() {
		return newJudge(w, nil), nil
	}
	mayUse, err := selfMayUse(o.Env)
	if err != nil {
		return nil, err
	}
	return newJudge(w, mayUse), nil
}

func (o *checkOptions) print(list *reportv1alpha1.QuotaCheckList) error {
	switch {
	case o.output.Name():
		for _, check := range list.Items {
			if _, err := fmt.Fprintln(o.Out, print.Escape(check.Object)); err != nil {
				return err
			}
		}
		return nil
	case !o.output.Human():
		var report runtime.Object = list
		if len(list.Items) == 1 && !strings.HasPrefix(o.output.Format, "custom-columns") {
			report = &list.Items[0]
		}
		return o.output.PrintReport(o.Out, report)
	}
	theme := o.output.Color.Theme(o.Env)
	for _, check := range list.Items {
		if err := writeCheck(o.Out, &check, theme, o.Width()); err != nil {
			return err
		}
	}
	return nil
}

// writeCheck draws a verdict: the object's line, then the reasons and warnings.
func writeCheck(out io.Writer, check *reportv1alpha1.QuotaCheck, theme print.Theme, width int) error {
	verdict := theme.Good("admitted")
	if !check.Allowed {
		verdict = theme.Bad("refused ")
	}
	charged := ""
	if check.Group != "" {
		charged = "  " + theme.Faint("charges "+print.Escape(check.Group))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s%s\n", verdict, theme.Strong(print.Escape(check.Object)), charged)
	for _, reason := range check.Reasons {
		fmt.Fprintln(&b, print.Hang("  - ", print.Escape(reason), width, "    "))
	}
	for _, warning := range check.Warnings {
		fmt.Fprintln(&b, theme.Warn(print.Hang("  ! ", print.Escape(warning), width, "    ")))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
