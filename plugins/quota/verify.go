package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota/state"
)

const (
	verifyLong = `
		Count what workloads and children charge each group, and compare it with what
		the group's status says is used.

		Hours are not compared: what has run is not there to be counted. On a
		cluster, what differs is looked at twice, as it may be about to be counted.`

	verifyExamples = `
		# All groups
		kubectl quota verify

		# One group, with exit code 1 when it has drifted
		kubectl quota verify nlp --exit-code`
)

// settleTime is how long what differs is given to be counted.
const settleTime = 3 * time.Second

// verifyOptions are the flags and arguments of `kubectl quota verify`.
type verifyOptions struct {
	cli.Env
	output   *cli.OutputFlags
	source   sourceFlags
	exitCode bool
	name     string
}

func newVerifyCommand(env cli.Env) *cobra.Command {
	o := &verifyOptions{Env: env, output: cli.NewOutputFlags()}
	cmd := &cobra.Command{
		Use:                   "verify [NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Compare the groups' ledgers with what is there",
		Long:                  templates.LongDesc(verifyLong),
		Example:               templates.Examples(verifyExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeGroup(env),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.name, err = atMostOneName(cmd, args); err != nil {
				return err
			}
			if err := o.output.Validate(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.output.AddFlags(cmd)
	o.source.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when nothing has drifted, 1 when something has, and 2 on an error.")
	return cmd
}

func (o *verifyOptions) run(ctx context.Context) error {
	report, err := o.ask(ctx)
	if err != nil {
		return err
	}
	if len(report.Items) > 0 && !o.source.Offline() {
		if report, err = o.askAgain(ctx, report); err != nil {
			return err
		}
	}
	if err := cli.SortBy(report.Items, o.output.SortBy); err != nil {
		return err
	}
	if err := o.print(report); err != nil {
		return err
	}
	if o.exitCode && len(report.Items) > 0 {
		return cli.ErrNo
	}
	return nil
}

// askAgain leaves of a report what is still so after a while.
func (o *verifyOptions) askAgain(ctx context.Context, before *reportv1alpha1.QuotaVerify) (*reportv1alpha1.QuotaVerify, error) {
	timer := o.Clock.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C():
	}
	after, err := o.ask(ctx)
	if err != nil {
		return nil, err
	}
	state.Lasting(before, after)
	return after, nil
}

func (o *verifyOptions) ask(ctx context.Context) (*reportv1alpha1.QuotaVerify, error) {
	w, err := o.source.load(ctx, o.Env, "nodes")
	if err != nil {
		return nil, err
	}
	cli.Warn(o.ErrOut, w.notes)
	return w.Verify(o.name)
}

func (o *verifyOptions) print(report *reportv1alpha1.QuotaVerify) error {
	switch {
	case o.output.Name():
		return o.printNames(report)
	case !o.output.Human():
		return o.output.PrintReport(o.Out, report)
	case len(report.Items) == 0:
		fmt.Fprintf(o.ErrOut, "No drift: the ledgers of %s agree with what is there\n", plural(report.Groups, "group"))
		return nil
	}
	theme := o.output.Color.Theme(o.Env)
	table := print.NewTable(
		print.Column{Title: "GROUP", Middle: true}, print.Column{Title: "KEY", Middle: true},
		print.Column{Title: "LEDGER"}, print.Column{Title: "REALITY"},
		print.Column{Title: "DRIFT", Style: func(string) print.Style { return theme.Bad }},
	)
	for _, item := range report.Items {
		drift := item.Drift.String()
		if item.Drift.Sign() > 0 {
			drift = "+" + drift
		}
		table.Append(item.Group, item.Key, item.Ledger.String(), item.Reality.String(), drift)
	}
	width := o.Width()
	if o.output.Wide() {
		width = 0
	}
	return table.Write(o.Out, print.TableOptions{Width: width, NoHeaders: o.output.NoHeaders, Title: theme.Heading})
}

// printNames writes one line a group that has drifted.
func (o *verifyOptions) printNames(report *reportv1alpha1.QuotaVerify) error {
	last := ""
	for _, item := range report.Items {
		if item.Group == last {
			continue
		}
		last = item.Group
		if _, err := fmt.Fprintln(o.Out, groupSingular+"/"+print.Escape(item.Group)); err != nil {
			return err
		}
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
