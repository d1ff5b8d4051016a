package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// CompleteTargets completes what ParseTargets reads: names of pods that have no node,
// TYPE/, TYPE/NAME and, after a TYPE, names.
func CompleteTargets(env Env, kinds *workload.Kinds) cobra.CompletionFunc {
	pods := CompletePendingPods(env)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		types := resourceTypes(kinds)
		if resource, name, slashed := strings.Cut(toComplete, "/"); slashed {
			names := StartingWith(namesOf(cmd, env, types[strings.ToLower(resource)]), name)
			for i := range names {
				names[i] = resource + "/" + names[i]
			}
			return without(names, args), cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > 0 {
			if kind, ok := types[strings.ToLower(args[0])]; ok && kind != types["pods"] {
				return without(StartingWith(namesOf(cmd, env, kind), toComplete), args), cobra.ShellCompDirectiveNoFileComp
			}
		}
		names, directive := pods(cmd, args, toComplete)
		if toComplete == "" || len(names) > 0 {
			return names, directive // a shell would list the types between the pods
		}
		for _, kind := range kinds.All() {
			if strings.HasPrefix(kind.Resource, toComplete) {
				names = append(names, kind.Resource+"/")
			}
		}
		return names, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// namesOf are the names of a kind's objects in the namespace; none of no kind.
func namesOf(cmd *cobra.Command, env Env, kind *workload.Kind) []string {
	namespace, _, err := env.Config.ToRawKubeConfigLoader().Namespace()
	if err != nil || kind == nil {
		return nil
	}
	return list(cmd.Context(), env, kind.GroupVersionResource(), namespace, "")
}

// without leaves out what has been given as an argument.
func without(names, args []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) })
}
