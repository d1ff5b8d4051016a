package snapshot

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func BenchmarkConv(b *testing.B) {
	text := []byte(strings.Repeat("- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web-1\n    labels:\n      app: web\n    uid: 6f9c5c1e-5a5e-4e58-8d0a-000000000001\n  spec:\n    containers:\n    - name: main\n      resources:\n        requests:\n          cpu: 500m\n          memory: \"1\"\n", 1000))
	b.Run("block", func(b *testing.B) { for b.Loop() { if _, ok := blockToJSON(text); !ok { b.Fatal() } } })
	b.Run("lib", func(b *testing.B) { for b.Loop() { yaml.YAMLToJSON(text) } })
	j, _ := yaml.YAMLToJSON(text)
	b.Run("write", func(b *testing.B) { for b.Loop() { var v any; json.Unmarshal(j, &v); appendYAML(nil, v, 1) } })
	b.Run("libwrite", func(b *testing.B) { for b.Loop() { yaml.JSONToYAML(j) } })
}
