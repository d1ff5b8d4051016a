package workload

import (
	_ "embed" // For others.yaml.
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
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

// others reads others.yaml once.
var others = sync.OnceValue(func() []other {
	var file struct {
		Others []other `json:"others"`
	}
	if err := yaml.UnmarshalStrict(othersText, &file); err != nil {
		panic(fmt.Sprintf("others.yaml: %v", err)) // Embedded: a broken build.
	}
	return file.Others
})

// Uncharged says, in the words that follow the object's name, why the group's label of an
// object of that kind charges nothing, and what to do; "" where the table has the kind.
func (ks *Kinds) Uncharged(kind schema.GroupKind) string {
	if ks.Of(kind) != nil {
		return ""
	}
	const nothing = "names a group and charges nothing itself: "
	all := others()
	i := slices.IndexFunc(all, func(o other) bool { return o.Group == kind.Group && o.Kind == kind.Kind })
	if i < 0 {
		return nothing + "the kind " + kind.String() + " is not known; what it makes is charged where that has the label, " +
			"or declare the kind (--workload-kinds)"
	}
	return nothing + fmt.Sprintf("each %s of this %s is charged, for which the label must stand in %s",
		all[i].By, kind, all[i].Label)
}
