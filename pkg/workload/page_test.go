package workload

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestPage reads the page on kinds: its tables are kinds, and it tells of every field.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/concepts/workload-kinds.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for i, block := range strings.Split(page, "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		kinds, err := Parse([]byte(block))
		if err != nil || len(kinds) == 0 {
			t.Errorf("table %d: %d kinds, %v", i, len(kinds), err)
		}
	}
	for _, of := range []any{Kind{}, PodSetPaths{}, Done{}, Container{}, Amount{}, Overhead{}, Factor{}, Surge{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, name+":") && !strings.Contains(page, name+",") && !strings.Contains(page, name+"}") {
				t.Errorf("%T: nothing is said of %s", of, name)
			}
		}
	}
}
