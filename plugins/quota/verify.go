package quota

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
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
	o.source.Strangers = true
	cmd := &cobra.Command{
		Use:                   "verify [NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Compare the groups' ledgers with what is there",
		Long:                  templates.LongDesc(verifyLong),
		Example:               templates.Examples(verifyExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeGroup(env),
		RunE:                  runE(o),
	}
	o.output.AddFlags(cmd)
	o.source.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when nothing has drifted, 1 when something has, and 2 on an error.")
	return cmd
}

// Complete reads the group's name.
func (o *verifyOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.name, err = atMostOne(cmd, args)
	return err
}

// Validate refuses wrong output flags.
func (o *verifyOptions) Validate(*cobra.Command) error { return o.output.Validate() }

// Run prints what differs, and on a cluster has looked twice at it.
func (o *verifyOptions) Run(ctx context.Context) error {
	verified, err := o.ask(ctx)
	if err != nil {
		return err
	}
	if len(verified.Items) > 0 && !o.source.Offline() {
		if verified, err = o.askAgain(ctx, verified); err != nil {
			return err
		}
	}
	if err := cli.SortBy(verified.Items, o.output.SortBy); err != nil {
		return err
	}
	if err := o.print(verified); err != nil {
		return err
	}
	if o.exitCode && len(verified.Items) > 0 {
		return cli.ErrNo
	}
	return nil
}

// askAgain leaves of a report what is still so after a while.
func (o *verifyOptions) askAgain(ctx context.Context, before *report.QuotaVerify) (*report.QuotaVerify, error) {
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

func (o *verifyOptions) ask(ctx context.Context) (*report.QuotaVerify, error) {
	groups, err := o.source.load(ctx, o.Env, "nodes")
	if err != nil {
		return nil, err
	}
	verified, err := groups.Verify(o.name)
	if err != nil {
		return nil, err
	}
	verified.Warnings = notes(groups)
	return verified, nil
}
