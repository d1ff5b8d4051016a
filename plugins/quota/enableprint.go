package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// tops are the workloads of a namespace that no other object made, in the order of
// their kinds and names.
func tops(cluster *state.State, namespace string) []*workload.Workload {
	var found []*workload.Workload
	for _, kind := range cluster.Kinds.All() {
		for _, object := range cluster.Objects(kind) {
			if w := kind.Meta(object); w.Namespace == namespace && w.Owner == nil {
				found = append(found, w)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *workload.Workload) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// mostNamed is how many workloads are named in a line.
const mostNamed = 5

// meaning says what becomes of the namespace and of the workloads there.
func (o *namespaceOptions) meaning(name string, labels map[string]string, found []*workload.Workload) []string {
	var tied, free []string
	groups := map[string]bool{}
	for _, w := range found {
		if w.Group == "" {
			free = append(free, w.String())
			continue
		}
		tied = append(tied, w.String())
		groups[w.Group] = true
	}
	part := quota.TakesPart(labels)
	lines := []string{o.changes(name, part)}
	if len(tied) > 0 {
		of := strings.Join(slices.Sorted(maps.Keys(groups)), ", ")
		lines = append(lines, fmt.Sprintf("  charge %s: %s%s", of, named(tied), map[bool]string{
			true: "", false: "; counted on, and scaled without being asked about: delete them, or take the label off, first",
		}[o.enable]))
	}
	if len(free) > 0 {
		lines = append(lines, fmt.Sprintf("  without a group: %s; %s", named(free), o.fate(quota.RequiresGroup(labels))))
	}
	return lines
}

// changes says what becomes of the namespace.
func (o *namespaceOptions) changes(name string, part bool) string {
	switch {
	case o.enable && part:
		return fmt.Sprintf("namespace %s takes part already", name)
	case o.enable:
		return fmt.Sprintf("namespace %s would take part: scaling there would wait for the component", name)
	case part:
		return fmt.Sprintf("namespace %s would take no part: new workloads that name a group would be refused", name)
	}
	return fmt.Sprintf("namespace %s takes no part already", name)
}

// fate says what becomes of workloads without a group.
func (o *namespaceOptions) fate(required bool) string {
	if o.enable && (o.require || required) {
		return "as large as they are, and larger with a group only"
	}
	return "free of charge"
}

// named names some of the workloads.
func named(workloads []string) string {
	if more := len(workloads) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(workloads[:mostNamed], ", "), more)
	}
	return strings.Join(workloads, ", ")
}
