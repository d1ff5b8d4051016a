package install

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// strangers says, in a line a kind, which objects name a group and are of a kind that
// neither the webhooks judge nor anybody knows; unknown says what could not be looked at.
func strangers(ctx context.Context, config *rest.Config, doors []Door) (lines, unknown []string, err error) {
	kinds := workload.Default()
	snap, err := load.Live(ctx, config, load.Options{Kinds: []string{}, Strangers: true})
	if err != nil {
		return nil, nil, err
	}
	snap.Others = slices.DeleteFunc(snap.Others, func(object *unstructured.Unstructured) bool {
		kind := object.GroupVersionKind()
		plural, _ := meta.UnsafeGuessKindToResource(kind) // a regular one: whose is not is declared all the same
		return kinds.Known(kind.GroupKind()) || slices.ContainsFunc(doors, func(door Door) bool { return door.GroupResource == plural.GroupResource() })
	})
	for _, missing := range snap.Unknown() {
		unknown = append(unknown, missing.Note(snapshot.Charges))
	}
	return state.New(snap, kinds).Strangers(), unknown, nil
}
