package taintplan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// nodeTypes are the ways to write the one type that has taints.
func nodeTypes() []string { return []string{"nodes", "node", "no"} }

// parseArguments reads the arguments of kubectl taint: a type, nodes, then changes.
func (o *Options) parseArguments(args []string) (err error) {
	split := slices.IndexFunc(args, taint.IsChange)
	if split < 0 {
		split = len(args)
	}
	resources, changes := args[:split], args[split:]
	if i := slices.IndexFunc(changes, func(arg string) bool { return !taint.IsChange(arg) }); i >= 0 {
		return fmt.Errorf("all resources must be specified before taint changes: %s", changes[i])
	}
	if len(resources) == 0 {
		return errors.New("one or more resources must be specified as <resource> <name>")
	}
	if !slices.Contains(nodeTypes(), strings.ToLower(resources[0])) {
		return fmt.Errorf("invalid resource type %s, only node types are supported%s", resources[0], nearest.DidYouMean(resources[0], nodeTypes()))
	}
	for _, name := range resources[1:] {
		if !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	switch {
	case o.All && o.Selector != "":
		return errors.New("setting 'all' parameter with a non empty selector is prohibited")
	case o.Selector != "" && len(o.names) > 0:
		return errors.New("name cannot be provided when a selector is specified")
	case o.All && len(o.names) > 0:
		return errors.New("name cannot be provided when 'all' parameter is set")
	case !o.All && o.Selector == "" && len(o.names) == 0:
		return errors.New("at least one resource name must be specified since 'all' parameter is not set")
	}
	o.change, err = taint.Parse(changes)
	o.change.Overwrite = o.Overwrite
	return err
}

// nodes names the nodes that the arguments choose. Of those that are not named, the ones
// that cannot be changed so are left out, as kubectl taint goes on with the others; a
// note says how many, and why the first.
func (o *Options) nodes(snap *snapshot.Snapshot) (names, notes []string, err error) {
	if len(o.names) > 0 {
		return o.names, nil, nil
	}
	selector, err := labels.Parse(o.Selector)
	if err != nil {
		return nil, nil, fmt.Errorf("--selector %q: %w", o.Selector, err)
	}
	var left []string
	for _, node := range snap.Nodes {
		if !selector.Matches(labels.Set(node.Labels)) {
			continue
		}
		if _, err := taint.Apply(o.change, node); err != nil {
			left = append(left, err.Error())
			continue
		}
		names = append(names, node.Name)
	}
	why := strings.Join(cut(left, 1), "; ")
	switch {
	case len(names) > 0 && len(left) > 0:
		return names, []string{fmt.Sprintf("%s left out: %s", print.Count(len(left), "node"), why)}, nil
	case len(names) > 0:
		return names, nil, nil
	case len(left) > 0:
		return nil, nil, fmt.Errorf("no node can be changed so: %s", why)
	case o.All:
		return nil, nil, fmt.Errorf("--all: %s has no nodes", snap.Source)
	}
	return nil, nil, fmt.Errorf("--selector %q: %s", o.Selector, unmatched(selector, snap.Nodes))
}

// unmatched says which part of a selector no node meets, and what is nearest to it.
func unmatched(selector labels.Selector, nodes []*corev1.Node) string {
	requirements, _ := selector.Requirements()
	for _, wanted := range requirements {
		known, values := map[string]bool{}, map[string]bool{}
		for _, node := range nodes {
			for key, value := range node.Labels {
				known[key] = true
				values[value] = values[value] || key == wanted.Key()
			}
		}
		maps.DeleteFunc(values, func(_ string, ofKey bool) bool { return !ofKey })
		if len(values) == 0 {
			return fmt.Sprintf("no node has the label %s%s", wanted.Key(), nearest.DidYouMean(wanted.Key(), slices.Sorted(maps.Keys(known))))
		}
		value, one := wanted.Values().PopAny()
		if one && wanted.Operator() == selection.Equals && !values[value] {
			return fmt.Sprintf("no node has %s%s", &wanted, nearest.DidYouMean(value, slices.Sorted(maps.Keys(values))))
		}
	}
	return "no node matches"
}
