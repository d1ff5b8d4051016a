package snapshot

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// blocks are texts that blockToJSON must convert itself: they are what kubectl
// prints all day.
var blocks = []string{
	"a: b\n",
	"  a: b\n  c: 1\n",
	"a:\n  b:\n    c: d\n  e: f\n",
	"a:\n- b\n- c\nd: e\n",
	"a:\n  - b: 1\n    c: 2\n  - d: 3\n",
	"- - a\n  - b\n- c\n",
	"-\n  a: b\n",
	"a:\nb:\n",
	"a: {}\nb: []\nc: \"\"\nd: ''\ne: null\n",
	"a: true\nb: false\nc: -1\nd: 0\ne: 500m\nf: 1Gi\ng: 10.0.0.1\n",
	"a: 7d9f8c6b5\nb: 0a1b2c3d-0000-4e58-8d0a-000000000000\n",
	"nvidia.com/gpu: \"8\"\napp.kubernetes.io/name: web\n",
	"a: 'it''s ''quoted'''\nb: \"x\\ty\\\"z\\\\\"\n",
	"a: |\n  one\n    two\n\n  three\nb: |-\n  four\nc: d\n",
	"message: 0/5 nodes are available, 5 of them\n  because they are full\n  and so on\nreason: Unschedulable\n",
	"message: '0/5 nodes are available: 5 Insufficient\n  cpu. preemption: none'\n",
	"b: 1\na: 2\nc: 3\n",
	"command: /bin/sh\nargs:\n- run\n- \"--x\"\n- --listen=:8080\n- $(A)\n",
}

func TestBlockToJSON(t *testing.T) {
	for _, text := range blocks {
		if !sameAsLibrary(t, text) {
			t.Errorf("%q: refused, want it converted", text)
		}
	}
}

func TestBlockToJSONRefuses(t *testing.T) {
	for _, text := range []string{
		"",
		"a: b",
		"a: b: c\n",
		"a: yes\n",
		"yes: a\n",
		"1: a\n",
		"a: 0x10\n",
		"a: 010\n",
		"a: 1e3\n",
		"a: 2026-01-01\n",
		"a: ~\n",
		"a: &x b\n",
		"a: *x\n",
		"a: !!str 1\n",
		"a: {b: c}\n",
		"a: >\n  b\n",
		"a: b # c\n",
		"# c\na: b\n",
		"a: b\na: c\n",
		"b: 1\na: 2\nb: 3\n",
		"a: b\n\nc: d\n",
		"a:\tb\n",
		"a: b\r\n",
		"a: \u00e9\n",
		"a: \"b\n  c\"\n",
		"a: \"\\x41\"\n",
		"a: 'b' c\n",
		"a:\n    b: 1\n  c: 2\n",
		"a: b\n  c: d\n",
		"? a\n: b\n",
		strings.Repeat("- ", 1000) + "a\n",
	} {
		if data, ok := blockToJSON([]byte(text)); ok {
			t.Errorf("%q: converted to %s, want it left to the YAML library", text, data)
		}
	}
}

// FuzzBlockToJSON holds blockToJSON to the YAML library: what it converts, it
// converts to the same value.
func FuzzBlockToJSON(f *testing.F) {
	for _, text := range blocks {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sameAsLibrary(t, text) })
}

// sameAsLibrary reports whether blockToJSON converts text; the test fails when
// the library reads it otherwise.
func sameAsLibrary(t *testing.T, text string) bool {
	t.Helper()
	data, ok := blockToJSON([]byte(text))
	if !ok {
		return false
	}
	library, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%q: converted to %s, but the YAML library says: %v", text, data, err)
	}
	var got, want any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%q: converted to invalid JSON %s: %v", text, data, err)
	}
	if err := json.Unmarshal(library, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q: differs from the YAML library (-want +got):\n%s", text, diff)
	}
	return true
}
