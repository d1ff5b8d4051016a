package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/kubectl/pkg/cmd/options"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// Prepare sets on a plugin's root command what all of them share: the name
// "kubectl NAME", kubectl's help with the kubeconfig flags behind "options",
// completions, the subcommand "version", and errors printed by Execute alone.
func Prepare(cmd *cobra.Command, env Env) {
	cmd.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl " + cmd.Name()}
	cmd.DisableAutoGenTag = true
	cmd.SetIn(env.In)
	cmd.SetOut(env.Out)
	cmd.SetErr(env.ErrOut)
	env.Config.AddFlags(cmd.PersistentFlags())
	registerCompletions(cmd, env)
	cmd.AddCommand(newVersionCommand(env), options.NewCmdOptions(env.Out))
	templates.ActsAsRootCommand(cmd, nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(flagError)
}

// flagError is kubectl's wording of a mistake in the flags, with the nearest
// flag when one is unknown.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return UsageErrorf(cmd, "%s", err)
	}
	var names []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	near := nearest.Of(unknown.GetSpecifiedName(), names)
	if near == "" {
		return UsageErrorf(cmd, "%s", err)
	}
	return UsageErrorf(cmd, "%s; did you mean --%s?", err, near)
}
