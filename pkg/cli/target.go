package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Target is one object that an argument names.
type Target struct {
	// Kind is the kind as a snapshot holds it, Workload as a workload's.
	Kind     snapshot.Kind
	Workload *workload.Kind
	// Name is empty when every object of the kind is meant.
	Name string
}

// String is the target as kubectl writes it: "pods/web-0", "deployments.apps/web".
func (t Target) String() string { return t.Kind.GroupResource() + "/" + t.Name }

// ParseTargets reads arguments as kubectl does: TYPE/NAME..., TYPE NAME...,
// TYPE alone, and, as pods are meant, bare names.
func ParseTargets(kinds *workload.Kinds, args []string) ([]Target, error) {
	if len(args) == 0 {
		return nil, nil
	}
	slashes := 0
	for _, arg := range args {
		if strings.Contains(arg, "/") {
			slashes++
		}
	}
	switch {
	case slashes == len(args):
		return parseSlashed(kinds, args)
	case slashes > 0:
		return nil, errors.New("there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'pod/NAME' instead of 'pod NAME' or 'NAME')")
	}
	types := resourceTypes(kinds)
	if kind, ok := types[strings.ToLower(args[0])]; ok {
		return named(kind, args[1:]), nil
	}
	return named(types["pods"], args), nil
}

// ParseTarget reads TYPE/NAME.
func ParseTarget(kinds *workload.Kinds, arg string) (Target, error) {
	_, name, _ := strings.Cut(arg, "/")
	if name == "" || strings.Contains(name, "/") {
		return Target{}, fmt.Errorf("%q: expected TYPE/NAME, such as deployment/web", arg)
	}
	targets, err := parseSlashed(kinds, []string{arg})
	if err != nil {
		return Target{}, err
	}
	return targets[0], nil
}

func parseSlashed(kinds *workload.Kinds, args []string) ([]Target, error) {
	var targets []Target
	types := resourceTypes(kinds)
	for _, arg := range args {
		resource, name, _ := strings.Cut(arg, "/")
		kind, ok := types[strings.ToLower(resource)]
		if !ok && resource != "" {
			return nil, fmt.Errorf("%q: unknown resource type %q, expected one of %s%s",
				arg, resource, strings.ToLower(strings.Join(kinds.Names(), ", ")), nearest.DidYouMean(resource, typeNames(types)))
		}
		if resource == "" || name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("arguments in resource/name form must have a single resource and name, not %q", arg)
		}
		targets = append(targets, named(kind, []string{name})...)
	}
	return targets, nil
}

// named pairs a kind with names; no name means every object of the kind.
func named(kind *workload.Kind, names []string) []Target {
	target := Target{Kind: snapshot.Workload(kind.GroupVersionKind(), kind.Resource, kind.AllVersions()[1:]...), Workload: kind}
	if len(names) == 0 {
		return []Target{target}
	}
	targets := make([]Target, len(names))
	for i, name := range names {
		targets[i] = target
		targets[i].Name = name
	}
	return targets
}

// TypeName is a kind's type as kubectl names it ("pod", "deployment.apps").
func TypeName(kind string) string {
	for _, known := range workload.Default().All() {
		if known.Kind == kind {
			return known.Singular()
		}
	}
	return strings.ToLower(kind)
}

// resourceTypes maps every way to write a type (deployments, deployment,
// deploy, deployments.apps, deployments.v1.apps) to its kind; the first one of two
// kinds that have a name in common.
func resourceTypes(kinds *workload.Kinds) map[string]*workload.Kind {
	types := map[string]*workload.Kind{}
	for _, kind := range kinds.All() {
		suffixes := []string{""}
		if kind.Group != "" {
			suffixes = append(suffixes, "."+kind.Group)
			for _, version := range kind.AllVersions() {
				suffixes = append(suffixes, "."+version+"."+kind.Group)
			}
		}
		for _, name := range append([]string{kind.Resource, strings.ToLower(kind.Kind)}, kind.ShortNames...) {
			for _, suffix := range suffixes {
				if _, taken := types[name+suffix]; !taken {
					types[name+suffix] = kind
				}
			}
		}
	}
	return types
}

// typeNames are the ways to write a type that name no group.
func typeNames(types map[string]*workload.Kind) []string {
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
