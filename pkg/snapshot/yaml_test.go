package snapshot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// separateItems are items of a list, without the first marker, that listToJSON
// must convert one by one.
var separateItems = []string{
	"",
	"a: b",
	"a: 1\n  b: yes\n- c: 2026-01-01\n\n# comment\n-\n  d:\n  - e",
	"- - a\n  - b\n- {c: [1, 2]}\n- null",
	"message: one\n    two\n- message: 'it''s\n\n    quoted'\n- \"a\\u2028\": b",
	"text: |\n    - one\n\n    two\n- text: |+\n    three\n\n- text: >-\n    four\n    five",
	"a: &x {b: c}\n  d: *x\n- \u00e9: \U0001f6a2",
}

func TestListToJSON(t *testing.T) {
	for _, items := range separateItems {
		if !equalsLibrary(t, items) {
			t.Errorf("%q: left to the library, want it converted item by item", items)
		}
	}
}

func TestListToJSONRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"typed list":               "apiVersion: v1\nitems:\n- a\nkind: PodList\nmetadata:\n  resourceVersion: \"\"\n",
		"indented items":           "apiVersion: v1\nitems:\n  - a" + listTail,
		"no items":                 "apiVersion: v1\nitems: []" + listTail,
		"two lists":                listHead + "a" + listTail + listHead + "b" + listTail,
		"truncated":                listHead + "a: b\n",
		"malformed item":           listHead + "a: [" + listTail,
		"alias of another item":    listHead + "&x a\n- *x" + listTail,
		"quoted marker":            listHead + "'a\n- b'" + listTail,
		"double-quoted marker":     listHead + "a: \"b\n- c: \"" + listTail,
		"bracketed marker":         listHead + "[a,\n- b]" + listTail,
		"line ends of Windows":     listHead + "a\r\n- b" + listTail,
		"document after next line": listHead + "a\u0085---\u0085- b" + listTail,
	} {
		if data, ok := listToJSON([]byte(text)); ok {
			t.Errorf("%s: converted to %s, want it left to the library", name, data)
		}
	}
}

// FuzzListToJSON holds listToJSON to the YAML library: what it converts, it
// converts to the same bytes.
func FuzzListToJSON(f *testing.F) {
	for _, items := range separateItems {
		f.Add(items)
	}
	f.Fuzz(func(t *testing.T, items string) { equalsLibrary(t, items) })
}

// equalsLibrary reports whether listToJSON converts a list of items; the test
// fails when the library reads it otherwise.
func equalsLibrary(t *testing.T, items string) bool {
	t.Helper()
	src, err := newSource(strings.NewReader(listHead + items + listTail))
	if err != nil {
		t.Fatal(err)
	}
	text, err := src.documentText()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := listToJSON(text)
	if !ok {
		return false
	}
	want, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatalf("%q: converted to %s, but the YAML library says: %v", text, got, err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Fatalf("%q: differs from the YAML library (-want +got):\n%s", text, diff)
	}
	return true
}
