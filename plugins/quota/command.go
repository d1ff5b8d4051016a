package quota

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/plugins/component"
)

const long = `
	Business groups' quotas: what each group may use, what uses it, and whether a
	change would be admitted.

	A group is a BizGroupResourceQuota (bizrq). Groups form trees: a child's quota is
	taken out of its parent's. Workloads charge the group that their label
	biz.group.resource.quota names.`

// NewCommand returns `kubectl quota`.
func NewCommand(env cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "quota",
		Short:                 "Business groups' quotas: who may use what, and who does",
		Long:                  templates.LongDesc(long),
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		RunE:                  help,
	}
	cli.Prepare(cmd, env)
	cmd.AddCommand(
		newTreeCommand(env),
		newDescribeCommand(env),
		newCheckCommand(env),
		newCreateCommand(env),
		newSetCommand(env),
		newDeleteCommand(env),
		newEnableCommand(env),
		newDisableCommand(env),
		newVerifyCommand(env),
	)
	cmd.AddCommand(component.Commands(env, cmd.Name())...)
	return cmd
}

// options are a command's flags and arguments.
type options interface {
	// Complete fills in what they stand for.
	Complete(cmd *cobra.Command, args []string) error
	// Validate refuses what does not go together.
	Validate(cmd *cobra.Command) error
	// Run does what is asked for.
	Run(ctx context.Context) error
}

// runE completes, validates and runs a command.
func runE(o options) func(cmd *cobra.Command, args []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := o.Complete(cmd, args); err != nil {
			return err
		}
		if err := o.Validate(cmd); err != nil {
			return err
		}
		return o.Run(cmd.Context())
	}
}

// atMostOne is the group that the arguments name; empty for none.
func atMostOne(cmd *cobra.Command, args []string) (string, error) {
	if len(args) > 1 {
		return "", cli.UsageErrorf(cmd, "expected at most one group, found %d: %s", len(args), strings.Join(args, " "))
	}
	return strings.Join(args, ""), nil
}

// help shows the help, and refuses what is no subcommand.
func help(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return cli.UsageErrorf(cmd, "unknown command %q, expected one of %s%s", args[0], strings.Join(names, ", "), nearest.DidYouMean(args[0], names))
}
