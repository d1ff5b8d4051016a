package taintplan

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// completions are the type, then nodes and what removes the taints of those that
// are named, and after a colon the effect; the plan's file after --apply.
func (o *Options) completions(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	var words []string
	key, _, effect := strings.Cut(toComplete, ":")
	switch {
	case cmd.Flags().Changed("apply") && len(args) == 0:
		return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
	case len(args) == 0:
		words = nodeTypes()[:1]
	case effect:
		for _, effect := range []corev1.TaintEffect{corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule} {
			words = append(words, key+":"+string(effect))
		}
	default:
		words = o.wordsOf(cmd.Context(), args[1:])
	}
	words = slices.DeleteFunc(words, func(word string) bool { return slices.Contains(args, word) })
	return cli.StartingWith(words, toComplete), directive
}

// wordsOf are the nodes, before a change is among the arguments, and what removes the
// taints of the nodes that are named, or of all when none is; none when they cannot be
// listed, as a completion has nowhere to report an error.
func (o *Options) wordsOf(ctx context.Context, args []string) []string {
	ctx, cancel := context.WithTimeout(ctx, cli.CompletionTimeout)
	defer cancel()
	source := cli.SourceFlags{Path: o.Source.Path, Kinds: []string{"nodes"}}
	snap, err := source.LoadAny(ctx, o.Env, &print.Progress{})
	if err != nil {
		return nil
	}
	named := slices.ContainsFunc(args, func(arg string) bool { return !taint.IsChange(arg) })
	var names, removals []string
	for _, node := range snap.Nodes {
		names = append(names, node.Name)
		if named && !slices.Contains(args, node.Name) {
			continue
		}
		for _, t := range node.Spec.Taints {
			removals = append(removals, taintText(t.Key, t.Effect)+"-")
		}
	}
	slices.Sort(removals)
	removals = slices.Compact(removals)
	if o.All || o.Selector != "" || slices.ContainsFunc(args, taint.IsChange) {
		return removals
	}
	return append(names, removals...)
}
