package workload

import (
	_ "embed" // For others.yaml.
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

//go:embed others.yaml
var othersText []byte

// other is a kind that is no workload's, and what is charged of it.
type other struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
	// By is the kind that is charged ("Deployment.apps"), Label the path of the labels
	// that its objects get theirs from.
	By    string `json:"by"`
	Label string `json:"label"`
}

// podless are kinds of a group that make no pods: all, where none is named.
type podless struct {
	Group string   `json:"group"`
	Kinds []string `json:"kinds,omitempty"`
}

// othersFile is others.yaml.
type othersFile struct {
	Others  []other   `json:"others"`
	Podless []podless `json:"podless"`
}

// readOthers reads others.yaml once.
var readOthers = sync.OnceValue(func() (file othersFile) {
	if err := yaml.UnmarshalStrict(othersText, &file); err != nil {
		panic(fmt.Sprintf("others.yaml: %v", err)) // Embedded: a broken build.
	}
	return file
})

func otherOf(kind schema.GroupKind) *other {
	all := readOthers().Others
	i := slices.IndexFunc(all, func(o other) bool { return o.Group == kind.Group && o.Kind == kind.Kind })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// MakesNoPods says whether objects of that kind are known to make no pods.
func (ks *Kinds) MakesNoPods(kind schema.GroupKind) bool {
	return ks.Of(kind) == nil && slices.ContainsFunc(readOthers().Podless, func(p podless) bool {
		return p.Group == kind.Group && (len(p.Kinds) == 0 || slices.Contains(p.Kinds, kind.Kind))
	})
}

// Inherited names the group that is charged for what an object of no workload kind makes,
// by the labels that it gives that and that are not its own, and the kind that is charged
// ("Deployment.apps"); "" for none.
func (ks *Kinds) Inherited(object *unstructured.Unstructured) (group, by string) {
	kind := object.GroupVersionKind().GroupKind()
	o := otherOf(kind)
	if o == nil || ks.Of(kind) != nil || o.Label == "metadata.labels" {
		return "", ""
	}
	path := append(strings.Split(o.Label, "."), stowagev1alpha1.GroupLabel)
	group, _, _ = unstructured.NestedString(object.Object, path...)
	return group, o.By
}

// Known says whether the table has the kind, or it is told what is charged of its objects.
func (ks *Kinds) Known(kind schema.GroupKind) bool { return ks.Of(kind) != nil || otherOf(kind) != nil }

// Uncharged says, in the words that follow the object's name, why the group's label of an
// object of that kind charges nothing, and what to do; "" where the table has the kind.
func (ks *Kinds) Uncharged(kind schema.GroupKind) string {
	if ks.Of(kind) != nil {
		return ""
	}
	const nothing = "names a group and charges nothing itself: "
	o := otherOf(kind)
	if o == nil {
		return nothing + "the kind " + kind.String() + " is not known; what it makes is charged where that has the label, " +
			"or declare the kind (--workload-kinds)"
	}
	return nothing + fmt.Sprintf("each %s of this %s is charged, for which the label must stand in %s",
		o.By, kind, o.Label)
}
