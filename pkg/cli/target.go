package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// podKind is the kind that a bare name means.
const podKind = "Pod"

// Target is one object that an argument names.
type Target struct {
	// Kind is the object's kind, "Pod" or a workload's.
	Kind snapshot.Kind
	// Name is empty when every object of the kind is meant.
	Name string
}

// String is the target as kubectl writes it: "pods/web-0", "deployments.apps/web".
func (t Target) String() string { return t.Kind.GroupResource() + "/" + t.Name }

// ParseTargets reads arguments as kubectl does: TYPE/NAME..., TYPE NAME...,
// TYPE alone, and, as pods are meant, bare names.
func ParseTargets(args []string) ([]Target, error) {
	if len(args) == 0 {
		return nil, nil
	}
	types := resourceTypes()
	slashes := 0
	for _, arg := range args {
		if strings.Contains(arg, "/") {
			slashes++
		}
	}
	switch {
	case slashes == len(args):
		return parseSlashed(args, types)
	case slashes > 0:
		return nil, errors.New("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'pod/NAME' instead of 'pod NAME' or 'NAME')")
	}
	if kind, ok := types[strings.ToLower(args[0])]; ok {
		return named(kind, args[1:]), nil
	}
	return named(types["pods"], args), nil
}

func parseSlashed(args []string, types map[string]snapshot.Kind) ([]Target, error) {
	var targets []Target
	for _, arg := range args {
		resource, name, _ := strings.Cut(arg, "/")
		kind, ok := types[strings.ToLower(resource)]
		if !ok {
			return nil, fmt.Errorf("%q: unknown resource type %q, expected one of %s%s",
				arg, resource, strings.ToLower(strings.Join(PodKinds(), ", ")), nearest.DidYouMean(resource, typeNames(types)))
		}
		if name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("arguments in resource/name form must have a single resource and name, not %q", arg)
		}
		targets = append(targets, Target{Kind: kind, Name: name})
	}
	return targets, nil
}

// named pairs a kind with names; no name means every object of the kind.
func named(kind snapshot.Kind, names []string) []Target {
	if len(names) == 0 {
		return []Target{{Kind: kind}}
	}
	targets := make([]Target, len(names))
	for i, name := range names {
		targets[i] = Target{Kind: kind, Name: name}
	}
	return targets
}

// shortNames are the kinds that have or make pods, with the short names that
// the API server publishes for them.
func shortNames() map[string][]string {
	return map[string][]string{
		podKind:                 {"po"},
		"ReplicationController": {"rc"},
		"ReplicaSet":            {"rs"},
		"StatefulSet":           {"sts"},
		"Deployment":            {"deploy"},
		"DaemonSet":             {"ds"},
		"Job":                   nil,
		"CronJob":               {"cj"},
	}
}

// HasPods says whether a kind is a pod or makes pods.
func HasPods(kind snapshot.Kind) bool {
	_, ok := shortNames()[kind.Kind]
	return ok
}

// PodKinds names the kinds that HasPods is true for, sorted.
func PodKinds() []string { return slices.Sorted(maps.Keys(shortNames())) }

// TypeName is a kind's type as kubectl names it ("pod", "deployment.apps").
func TypeName(kind string) string {
	name := strings.ToLower(kind)
	for _, known := range snapshot.Kinds() {
		if known.Kind == kind && known.Group != "" {
			return name + "." + known.Group
		}
	}
	return name
}

// resourceTypes maps every way to write a type (deployments, deployment,
// deploy, deployments.apps, deployments.v1.apps) to its kind.
func resourceTypes() map[string]snapshot.Kind {
	types, short := map[string]snapshot.Kind{}, shortNames()
	for _, kind := range snapshot.Kinds() {
		aliases, ok := short[kind.Kind]
		if !ok {
			continue
		}
		for _, alias := range append(aliases, kind.Resource, strings.ToLower(kind.Kind)) {
			types[alias] = kind
			if kind.Group != "" {
				types[alias+"."+kind.Group] = kind
				types[alias+"."+kind.Version+"."+kind.Group] = kind
			}
		}
	}
	return types
}

func typeNames(types map[string]snapshot.Kind) []string {
	var names []string
	for name := range types {
		if !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Find returns the objects that a target means in a namespace; every namespace
// when that is empty. A named object that is not there is an error that says
// where one of that name is, or which name is nearest.
func Find(snap *snapshot.Snapshot, namespace string, target Target) ([]snapshot.Object, error) {
	var found []snapshot.Object
	for _, object := range target.Kind.Objects(snap) {
		if (namespace == "" || object.GetNamespace() == namespace) && (target.Name == "" || object.GetName() == target.Name) {
			found = append(found, object)
		}
	}
	if len(found) == 0 && target.Name != "" {
		return nil, notFound(snap, namespace, target)
	}
	return found, nil
}

// notFound says, in kubectl's words, that a target is not there, and what is.
func notFound(snap *snapshot.Snapshot, namespace string, target Target) error {
	resource := target.Kind.GroupResource()
	for _, missing := range snap.Missing {
		if missing.Resource == resource {
			return fmt.Errorf("%s %q: %s could not be listed (%s)", resource, target.Name, resource, missing.Why())
		}
	}
	var names, elsewhere []string
	for _, object := range target.Kind.Objects(snap) {
		switch {
		case namespace == "" || object.GetNamespace() == namespace:
			names = append(names, object.GetName())
		case object.GetName() == target.Name:
			elsewhere = append(elsewhere, object.GetNamespace())
		}
	}
	if len(elsewhere) > 0 {
		return fmt.Errorf("%s %q not found in namespace %q; there is one in namespace %q", resource, target.Name, namespace, elsewhere[0])
	}
	where := ""
	if namespace != "" {
		where = fmt.Sprintf(" in namespace %q", namespace)
	}
	return fmt.Errorf("%s %q not found%s%s", resource, target.Name, where, nearest.DidYouMean(target.Name, names))
}
