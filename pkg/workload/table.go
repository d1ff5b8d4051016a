package workload

import (
	_ "embed" // For kinds.yaml.
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

//go:embed kinds.yaml
var builtin []byte

// Kinds is a table of workload kinds. It does not change, so it may be shared.
type Kinds struct {
	kinds []*Kind
}

// Default returns the table of the kinds that Stowage knows.
func Default() *Kinds { return defaultKinds() }

// defaultKinds reads kinds.yaml once: the table does not change.
var defaultKinds = sync.OnceValue(func() *Kinds {
	kinds, err := Parse(builtin)
	if err != nil {
		panic(fmt.Sprintf("kinds.yaml: %v", err)) // Embedded: a broken build.
	}
	table, err := new(Kinds).With(kinds...)
	if err != nil {
		panic(fmt.Sprintf("kinds.yaml: %v", err))
	}
	return table
})

// Parse reads kinds from YAML or JSON, `kinds: [...]` with the fields of Kind, and
// validates them. Errors name the entry and the field.
func Parse(data []byte) ([]Kind, error) {
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("workload kinds: %w", err)
	}
	var file struct {
		Kinds []json.RawMessage `json:"kinds"`
	}
	if err := unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("workload kinds: %w", err)
	}
	kinds := make([]Kind, len(file.Kinds))
	for i, entry := range file.Kinds {
		err := unmarshal(entry, &kinds[i])
		if err == nil {
			err = kinds[i].complete()
		}
		if err != nil {
			return nil, fmt.Errorf("kinds[%d]%s: %w", i, kinds[i].inParentheses(), err)
		}
	}
	return kinds, nil
}

// unmarshal is json.Unmarshal that refuses unknown and repeated fields.
func unmarshal(data []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return err
	}
	return utilerrors.NewAggregate(strict)
}

// inParentheses is the kind's name after its index, where it has one.
func (k *Kind) inParentheses() string {
	if k.Kind == "" {
		return ""
	}
	return " (" + k.GroupKind().String() + ")"
}

// ReadFile returns the built-in kinds with those that a user declares in a file; the
// built-in ones alone where path is empty. Errors name the file.
func ReadFile(path string) (*Kinds, error) {
	kinds := Default()
	if path == "" {
		return kinds, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	extra, err := Parse(text)
	if err == nil {
		kinds, err = kinds.With(extra...)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return kinds, nil
}

// With returns the table with extra kinds, which replace those of the same group
// and kind.
func (ks *Kinds) With(extra ...Kind) (*Kinds, error) {
	table := &Kinds{kinds: slices.Clone(ks.kinds)}
	for _, kind := range extra {
		if err := kind.complete(); err != nil {
			return nil, fmt.Errorf("workload kind%s: %w", kind.inParentheses(), err)
		}
		same := func(other *Kind) bool { return other.GroupKind() == kind.GroupKind() }
		if i := slices.IndexFunc(table.kinds, same); i >= 0 {
			table.kinds[i] = &kind
		} else {
			table.kinds = append(table.kinds, &kind)
		}
	}
	return table, nil
}

// complete fills in what a declaration may leave out, and validates it. The error names
// the field.
func (k *Kind) complete() error {
	if k.Version == "" && len(k.Versions) > 0 {
		k.Version = k.Versions[0]
	}
	if !slices.Contains(k.Versions, k.Version) {
		k.Versions = append([]string{k.Version}, k.Versions...)
	}
	if err := k.validate(); err != nil {
		return err
	}
	if k.Scale == scaleFirst {
		path, _ := k.firstNumber()
		k.Scale = ScalePath(path)
	}
	return nil
}

// All returns every kind, in the order in which they were declared. The slice is
// new at each call.
func (ks *Kinds) All() []*Kind { return slices.Clone(ks.kinds) }

// Names are the kinds' names ("Deployment"), sorted.
func (ks *Kinds) Names() []string {
	var names []string
	for _, kind := range ks.kinds {
		names = append(names, kind.Kind)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Of returns the kind of that name; nil where the table has none.
func (ks *Kinds) Of(name schema.GroupKind) *Kind {
	return ks.first(func(k *Kind) bool { return k.GroupKind() == name })
}

// ForResource returns the kind with that plural; nil where the table has none.
func (ks *Kinds) ForResource(name schema.GroupResource) *Kind {
	return ks.first(func(k *Kind) bool { return k.GroupResource() == name })
}

// first is the first kind that is as asked; nil for none.
func (ks *Kinds) first(is func(*Kind) bool) *Kind {
	if i := slices.IndexFunc(ks.kinds, is); i >= 0 {
		return ks.kinds[i]
	}
	return nil
}

// Makes says whether objects of the kind parent make objects of the kind child.
func (ks *Kinds) Makes(parent, child schema.GroupKind) bool {
	kind := ks.Of(parent)
	return kind != nil && kind.makes(child)
}
