package predicate

import (
	"fmt"
	"slices"

	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Options are what a scheduler has beyond the kube-scheduler. The zero value is the
// kube-scheduler as it is. The package comment says what a plugin must be.
type Options struct {
	// Registry holds the factories of the plugins that are not in-tree, by name.
	Registry frameworkruntime.Registry
	// Kinds are what these plugins read of the snapshot beside nodes, pods and what
	// in-tree plugins read; each has a Go type.
	Kinds []snapshot.Kind
}

// registry is the in-tree registry, by the feature gates in force, with the further
// plugins.
func (o Options) registry() (frameworkruntime.Registry, error) {
	registry := plugins.NewInTreeRegistry()
	if err := registry.Merge(o.Registry); err != nil {
		return nil, fmt.Errorf("scheduler plugins: expected names that no in-tree plugin has: %w", err)
	}
	return registry, nil
}

// enabledIn says whether any of the further plugins is enabled.
func (o Options) enabledIn(p *schedconfig.Plugins) bool {
	return slices.ContainsFunc(pluginSets(p), func(set *schedconfig.PluginSet) bool {
		return slices.ContainsFunc(set.Enabled, func(plugin schedconfig.Plugin) bool { return o.Registry[plugin.Name] != nil })
	})
}
