package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"

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
	cmd.InitDefaultCompletionCmd()
	templates.ActsAsRootCommand(cmd, nil)
	nameFully(cmd)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(flagError)
}

// nameFully has every help say "kubectl NAME" where the libraries say NAME: cobra in what it tells of its command
// "completion", kubectl's template in the hint at the subcommands' help.
func nameFully(root *cobra.Command) {
	short, full := root.Name(), root.CommandPath()
	for _, sub := range root.Commands() {
		if sub.Name() != "completion" {
			continue
		}
		sub.Long = strings.Replace(sub.Long, " "+short+" ", " "+full+" ", 1)
		for _, shell := range sub.Commands() {
			shell.Long = strings.ReplaceAll(shell.Long, short+" completion ", full+" completion ")
		}
	}
	usage := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		var text bytes.Buffer
		out := cmd.OutOrStderr()
		cmd.SetOut(&text)
		err := usage(cmd)
		cmd.SetOut(out)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, strings.Replace(text.String(), `Use "`+short+" ", `Use "`+full+" ", 1))
		return err
	})
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
