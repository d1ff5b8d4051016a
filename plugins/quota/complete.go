package quota

import (
	"context"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
)

func groupsResource() schema.GroupVersionResource {
	return stowagev1alpha1.GroupVersion.WithResource(stowagev1alpha1.BizGroupResourceQuotaResource)
}

// completeGroup completes one argument with the groups' names.
func completeGroup(env cli.Env) cobra.CompletionFunc {
	names := cli.CompleteNames(env, groupsResource())
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, toComplete)
	}
}

// completeSet completes the group's name and then its keys, up to the "=".
func completeSet(env cli.Env) cobra.CompletionFunc {
	group := completeGroup(env)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return group(cmd, args, toComplete)
		}
		groups, err := clusterGroups(cmd.Context(), env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		edits := keysOf(groups, func(group *quota.Group) bool { return group.Name == args[0] }, toComplete)
		for i := range edits {
			edits[i] += "="
		}
		return edits, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeKeys completes the keys that some group's quota has; none when the
// cluster cannot be asked.
func completeKeys(env cli.Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		groups, err := clusterGroups(cmd.Context(), env)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return keysOf(groups, func(*quota.Group) bool { return true }, toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// keysOf are the keys of some groups' quotas that begin with prefix, sorted.
func keysOf(groups []*quota.Group, chosen func(*quota.Group) bool, prefix string) []string {
	keys := map[string]bool{}
	for _, group := range groups {
		if chosen(group) {
			for key := range group.Spec.Hard {
				keys[string(key)] = true
			}
		}
	}
	return cli.StartingWith(slices.Sorted(maps.Keys(keys)), prefix)
}

// clusterGroups are the cluster's groups. Nothing is told of how they are loaded, in
// the middle of a command line.
func clusterGroups(ctx context.Context, env cli.Env) ([]*quota.Group, error) {
	env.ErrOut = io.Discard
	ctx, cancel := context.WithTimeout(ctx, cli.CompletionTimeout)
	defer cancel()
	groups, err := new(sourceFlags).loadGroups(ctx, env)
	if err != nil {
		return nil, err
	}
	return groups.Snapshot.BizGroupResourceQuotas, nil
}
