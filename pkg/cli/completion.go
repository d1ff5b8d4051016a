package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/stowage-dev/stowage/pkg/print"
)

// A shell waits for its completions: ask for few names, and not for long.
const (
	CompletionTimeout = 3 * time.Second
	completionLimit   = 500
)

// CompletePendingPods completes the names of pods that have no node.
func CompletePendingPods(env Env) cobra.CompletionFunc {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		namespace, _, err := env.Config.ToRawKubeConfigLoader().Namespace()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := list(cmd.Context(), env, pods, namespace, "spec.nodeName=,status.phase=Pending")
		return StartingWith(without(names, args), toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteNames completes the names of a cluster-scoped resource's objects that are
// no argument yet.
func CompleteNames(env Env, resource schema.GroupVersionResource) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		names := list(cmd.Context(), env, resource, "", "")
		return StartingWith(without(names, args), toComplete), cobra.ShellCompDirectiveNoFileComp
	}
}

// registerCompletions completes the values of the kubeconfig flags.
func registerCompletions(cmd *cobra.Command, env Env) {
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	completers := map[string]func(context.Context) []string{
		"namespace": func(ctx context.Context) []string { return list(ctx, env, namespaces, "", "") },
		"context":   func(context.Context) []string { return kubeconfigNames(env, "context") },
		"cluster":   func(context.Context) []string { return kubeconfigNames(env, "cluster") },
		"user":      func(context.Context) []string { return kubeconfigNames(env, "user") },
	}
	for flag, names := range completers {
		// The error says that the flag does not exist, and Prepare added it.
		cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return StartingWith(names(cmd.Context()), toComplete), cobra.ShellCompDirectiveNoFileComp
		}))
	}
}

// list returns names of a resource from the server's watch cache; none when the
// server cannot be asked, as a completion has nowhere to report an error.
func list(ctx context.Context, env Env, resource schema.GroupVersionResource, namespace, fieldSelector string) []string {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, CompletionTimeout)
	defer cancel()
	objects, err := client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{
		FieldSelector:   fieldSelector,
		Limit:           completionLimit,
		ResourceVersion: "0",
	})
	if err != nil {
		return nil
	}
	names := make([]string, len(objects.Items))
	for i := range objects.Items {
		names[i] = objects.Items[i].Name
	}
	return names
}

// kubeconfigNames returns the contexts, clusters or users of the kubeconfig.
func kubeconfigNames(env Env, what string) []string {
	config, err := env.Config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	switch what {
	case "context":
		return slices.Sorted(maps.Keys(config.Contexts))
	case "cluster":
		return slices.Sorted(maps.Keys(config.Clusters))
	}
	return slices.Sorted(maps.Keys(config.AuthInfos))
}

// StartingWith keeps the names that begin so, but none that a terminal would act on: a
// dump or somebody else's kubeconfig may hold such.
func StartingWith(names []string, prefix string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, prefix) || print.Escape(name) != name
	})
}
