package workload

import (
	_ "embed" // For kinds.yaml.
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
			err = kinds[i].validate()
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
		if err := kind.validate(); err != nil {
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

// fieldName is what each field of a path must be: what CEL, too, calls a field.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// validate says what is wrong with the declaration; the error names the field.
func (k *Kind) validate() error {
	names := [][2]string{{"version", k.Version}, {"kind", k.Kind}, {"resource", k.Resource}}
	for _, name := range names {
		if name[1] == "" {
			return fmt.Errorf("%s: must be given", name[0])
		}
	}
	if len(k.PodSets) == 0 && k.Template == "" {
		return errors.New("podSets: must be given, or template where only the objects that it makes have pods")
	}
	for i, name := range k.Makes {
		if !fieldName.MatchString(schema.ParseGroupKind(name).Kind) {
			return fmt.Errorf(`makes[%d]: expected "Kind.group" ("Job.batch", "Pod"), found %q`, i, name)
		}
	}
	if err := checkPaths("", namedPath{"suspend", k.Suspend}, namedPath{"template", k.Template}); err != nil {
		return err
	}
	for _, p := range []namedPath{{"wanted", k.Wanted}, {"made", k.Made}} {
		if p.path != "" && (!strings.HasPrefix(p.path, "status.") || slices.ContainsFunc(split(p.path), notField)) {
			return fmt.Errorf(`%s: expected a path of fields in status ("status.replicas"), found %q`, p.field, p.path)
		}
	}
	for i, condition := range k.Older {
		if err := checkCondition(fmt.Sprintf("older[%d]", i), "", condition); err != nil {
			return err
		}
	}
	for i := range k.PodSets {
		if err := k.PodSets[i].validate(); err != nil {
			return fmt.Errorf("podSets[%d].%w", i, err)
		}
	}
	if _, ok := k.ReplicasPath(); k.Scale && !ok {
		return errors.New(`scale: the first of podSets must have replicas and no "*" in its root`)
	}
	return nil
}

// validate says what is wrong with the declaration; the error begins with the field.
func (p *PodSetPaths) validate() error {
	if p.Template == "" && p.Resources == "" || p.Template != "" && p.Resources != "" {
		return errors.New("template: must be given, or resources in its place")
	}
	if p.PerNode && len(p.Replicas) > 0 {
		return errors.New("perNode: expected no replicas with it, its nodes are their number")
	}
	if p.Key != "" && !p.each() {
		return errors.New(`key: expected a root that ends in "*" with it`)
	}
	if p.Minus < 0 || p.Default != nil && *p.Default < 0 {
		return errors.New("minus, default: must not be negative")
	}
	if len(p.Replicas) == 0 && (p.AtMost != "" || p.AtLeast != "" || p.Minus != 0 || p.Default != nil) {
		return errors.New("replicas: must be given with atMost, atLeast, minus and default")
	}
	if err := checkSelector(p.Pods); err != nil {
		return err
	}
	if err := checkPaths("", namedPath{"root", p.root()}); err != nil {
		return err
	}
	if err := checkCondition("unless", p.root(), p.Unless); err != nil {
		return err
	}
	if err := checkPaths(p.root(), p.paths()...); err != nil {
		return err
	}
	for i, rule := range p.Surge {
		if err := rule.validate(p.root()); err != nil {
			return fmt.Errorf("surge[%d].%w", i, err)
		}
	}
	return nil
}

// namedPath is a path and the field that declares it.
type namedPath struct{ field, path string }

// paths are the set's paths, but for those of its surge.
func (p *PodSetPaths) paths() []namedPath {
	template := p.Template
	if template == "." {
		template = ""
	}
	paths := []namedPath{
		{"key", p.Key}, {"atMost", p.AtMost}, {"atLeast", p.AtLeast},
		{"template", template}, {"templateDefault", p.TemplateDefault}, {"resources", p.Resources},
	}
	for i, path := range p.Replicas {
		paths = append(paths, namedPath{"replicas[" + strconv.Itoa(i) + "]", path})
	}
	return paths
}

func (s *Surge) validate(root string) error {
	if s.Path == "" && s.Default == "" {
		return errors.New("path: must be given, or default")
	}
	if err := checkCondition("when", root, s.When); err != nil {
		return err
	}
	if err := checkPaths(root, namedPath{"path", s.Path}); err != nil {
		return err
	}
	if s.Default == "" {
		return nil
	}
	if number, err := strconv.Atoi(strings.TrimSuffix(s.Default, "%")); err != nil || number < 0 || number > maxPods {
		return fmt.Errorf(`default: expected a number or a percentage ("25%%"), found %q`, s.Default)
	}
	return nil
}

// checkCondition says what is wrong with a condition from root; nothing with "".
func checkCondition(field, root, condition string) error {
	path, operator, value := parseCondition(condition)
	if operator == ">" && value != "0" {
		return fmt.Errorf(`%s: expected "path", "path=value" or "path>0", found %q`, field, condition)
	}
	return checkPaths(root, namedPath{field, path})
}

// checkPaths says what is wrong with the first of the paths from root that is not
// one of fields in the object's spec. Paths that are not given are not wrong.
func checkPaths(root string, paths ...namedPath) error {
	for _, p := range paths {
		if p.path == "" {
			continue
		}
		full := split(join(root, p.path))
		if full[0] != "spec" || slices.ContainsFunc(full, notField) {
			return fmt.Errorf(`%s: expected a path of fields in spec ("spec.replicas"), found %q`, p.field, join(root, p.path))
		}
	}
	return nil
}

// notField says whether CEL could not have name as a field.
func notField(name string) bool {
	return !fieldName.MatchString(name) || slices.Contains([]string{"true", "false", "null", "in"}, name)
}
