package workload

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// crd is what a project says of one of its kinds.
type crd struct {
	Source   string   `json:"source"`
	Kind     string   `json:"kind"`
	Plural   string   `json:"plural"`
	Versions []string `json:"versions"`
	Scale    string   `json:"scale"`
	Paths    []string `json:"paths"`
}

func crds(t *testing.T) []crd {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "crds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		CRDs []crd `json:"crds"`
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.CRDs
}

// TestAgainstCRDs compares the table with what the projects publish: a version that is
// not read, a scale subresource that is not judged, or a number or template that stands
// elsewhere is a door.
func TestAgainstCRDs(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range crds(t) {
		seen[c.Kind] = true
		kind := Default().Of(schema.ParseGroupKind(c.Kind))
		if kind == nil {
			t.Errorf("%s: not in the table", c.Kind)
			continue
		}
		if kind.Resource != c.Plural {
			t.Errorf("%s: resource %s, want %s", c.Kind, kind.Resource, c.Plural)
		}
		for _, version := range c.Versions {
			if !slices.Contains(kind.AllVersions(), version) {
				t.Errorf("%s: %s serves version %s, which is not read", c.Kind, c.Source, version)
			}
		}
		if string(kind.Scale) != c.Scale {
			t.Errorf("%s: scale %q, %s has %q", c.Kind, kind.Scale, c.Source, c.Scale)
		}
		for _, path := range sizes(kind) {
			if !slices.Contains(c.Paths, path) {
				t.Errorf("%s: %s, which %s does not have", c.Kind, path, c.Source)
			}
		}
		for _, path := range c.Paths {
			if !slices.Contains(sizes(kind), path) {
				t.Errorf("%s: %s has %s, which is not read", c.Kind, c.Source, path)
			}
		}
	}
	for _, kind := range Default().All() {
		if !scheme.Scheme.Recognizes(kind.GroupVersionKind()) && !seen[kind.GroupKind().String()] {
			t.Errorf("%s: testdata/crds.yaml does not have it", kind.GroupKind())
		}
	}
}

// sizes are the paths in the spec of the kind's numbers, amounts and templates, but for
// those of surge and of what its controller adds.
func sizes(kind *Kind) []string {
	var paths []string
	add := func(root string, from ...string) {
		for _, path := range from {
			if full := join(root, path); path != "" && !slices.Contains(paths, full) {
				paths = append(paths, full)
			}
		}
	}
	if strings.HasPrefix(kind.Suspend, "spec.") {
		add("", kind.Suspend)
	}
	for i := range kind.PodSets {
		set := &kind.PodSets[i]
		add(set.Root, set.Replicas...)
		add(set.Root, set.AtMost, set.AtLeast, set.Template, set.TemplateDefault, set.Resources)
		for j := range set.Amounts {
			add(set.Root, set.Amounts[j].paths()...)
		}
	}
	return paths
}
