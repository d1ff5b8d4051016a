package state

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// mostNames is how many objects of a kind are named.
const mostNames = 3

// Strangers says of the objects that name a group and are of no workload kind, in a line
// a kind, that they charge nothing and what to do.
func (s *State) Strangers() []string {
	names, kinds := map[schema.GroupKind][]string{}, []schema.GroupKind{}
	for _, object := range s.Snapshot.Others {
		kind := object.GroupVersionKind().GroupKind()
		if object.GetLabels()[stowagev1alpha1.GroupLabel] == "" || s.Kinds.Of(kind) != nil {
			continue
		}
		if names[kind] == nil {
			kinds = append(kinds, kind)
		}
		names[kind] = append(names[kind], object.GetNamespace()+"/"+object.GetName())
	}
	var lines []string
	for _, kind := range kinds {
		lines = append(lines, fmt.Sprintf("%s %s %s", kind, quota.Few(names[kind], mostNames), s.Kinds.Uncharged(kind)))
	}
	return lines
}

// Stranger lets an object of no workload kind by that names a group, with a warning that
// it charges nothing.
func (t *Trial) Stranger(object snapshot.Object) *report.QuotaCheck {
	kind := object.GetObjectKind().GroupVersionKind().GroupKind()
	check := quota.LetBy(&workload.Workload{
		Kind:      &workload.Kind{Group: kind.Group, Kind: kind.Kind},
		Namespace: object.GetNamespace(), Name: object.GetName(),
	})
	check.Warnings = append(check.Warnings, fmt.Sprintf("%s %s", kind, t.state.Kinds.Uncharged(kind)))
	return check
}
