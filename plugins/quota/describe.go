package quota

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
)

const (
	describeLong = `
		Show one business group: its quota, the workloads and children that charge it,
		what was admitted and not yet counted, its hours and their history, who may
		charge it, and what was said of it.`

	describeExamples = `
		# A group
		kubectl quota describe nlp

		# All of its children and workloads, not the largest only
		kubectl quota describe nlp -o wide`
)

// describeOptions are the flags and arguments of `kubectl quota describe`.
type describeOptions struct {
	cli.Env
	color  cli.ColorMode
	output string
	source sourceFlags
	names  []string
}

func newDescribeCommand(env cli.Env) *cobra.Command {
	o := &describeOptions{Env: env, color: cli.ColorAuto}
	o.source.Strangers = true
	cmd := &cobra.Command{
		Use:                   "describe NAME...",
		DisableFlagsInUseLine: true,
		Short:                 "Show a group at length: what charges it, and who may",
		Long:                  templates.LongDesc(describeLong),
		Example:               templates.Examples(describeExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     cli.CompleteNames(env, groupsResource()),
		RunE:                  runE(o),
	}
	o.source.AddFlags(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", o.output, `"wide" shows every workload and child.`)
	o.color.AddFlag(cmd)
	return cmd
}

// Complete reads the groups' names.
func (o *describeOptions) Complete(_ *cobra.Command, args []string) error {
	o.names, o.source.named = args, args
	return nil
}

// Validate refuses to describe nothing, and other formats than people's.
func (o *describeOptions) Validate(cmd *cobra.Command) error {
	if len(o.names) == 0 {
		return cli.UsageErrorf(cmd, "expected the name of a group")
	}
	if o.output != "" && o.output != "wide" {
		return fmt.Errorf(`--output %q: expected "wide"; kubectl get bizrq prints a group in other formats`, o.output)
	}
	return nil
}

// Run describes the groups, one after the other.
func (o *describeOptions) Run(ctx context.Context) error {
	groups, err := o.source.load(ctx, o.Env, "nodes", "events")
	if err != nil {
		return err
	}
	p := &describePrinter{Writer: o.Out, width: o.Width(), tableWidth: o.TableWidth(), treePrinter: treePrinter{
		theme: o.color.Theme(o.Env), bars: o.color.Drawn(o.Env), wide: o.output == "wide", now: groups.Now,
	}}
	for i, name := range o.names {
		description, err := groups.Describe(name)
		if err != nil {
			return err
		}
		if i > 0 {
			p.printf("\n\n")
		}
		p.describe(description)
	}
	return p.err
}
