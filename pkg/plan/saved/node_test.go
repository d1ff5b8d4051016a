package saved_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// taints reads "a=b:NoExecute c:NoSchedule".
func taints(list string) []corev1.Taint {
	taints := []corev1.Taint{}
	for text := range strings.FieldsSeq(list) {
		taints = append(taints, build.Taint(text))
	}
	return taints
}

func TestDoneAndRestore(t *testing.T) {
	for name, test := range map[string]struct {
		before, after, now string
		done               bool
		restored           string
	}{
		"set":                           {"", "a=1:NoExecute", "a=1:NoExecute", true, ""},
		"not set yet":                   {"", "a=1:NoExecute", "", false, ""},
		"set, another set since":        {"", "a=1:NoExecute", "x:NoSchedule a=1:NoExecute", true, "x:NoSchedule"},
		"set, removed since":            {"", "a=1:NoExecute", "x:NoSchedule", false, "x:NoSchedule"},
		"set beside another":            {"b:NoSchedule", "a=1:NoExecute b:NoSchedule", "a=1:NoExecute b:NoSchedule", true, "b:NoSchedule"},
		"set, the other removed since":  {"b:NoSchedule", "a=1:NoExecute b:NoSchedule", "a=1:NoExecute", true, ""},
		"overwritten":                   {"a=1:NoExecute", "a=2:NoExecute", "a=2:NoExecute", true, "a=1:NoExecute"},
		"not overwritten yet":           {"a=1:NoExecute", "a=2:NoExecute", "a=1:NoExecute", false, "a=1:NoExecute"},
		"overwritten, and again since":  {"a=1:NoExecute", "a=2:NoExecute", "a=3:NoExecute", false, "a=3:NoExecute"},
		"overwritten beside a new one":  {"a=1:NoExecute", "a=2:NoExecute", "a=2:NoExecute x:NoSchedule", true, "x:NoSchedule a=1:NoExecute"},
		"same key, another effect":      {"a:NoSchedule", "a:NoExecute a:NoSchedule", "a:NoExecute a:NoSchedule", true, "a:NoSchedule"},
		"removed":                       {"a:NoExecute b:NoSchedule", "b:NoSchedule", "b:NoSchedule", true, "a:NoExecute b:NoSchedule"},
		"not removed yet":               {"a:NoExecute b:NoSchedule", "b:NoSchedule", "a:NoExecute b:NoSchedule", false, "a:NoExecute b:NoSchedule"},
		"removed, and set again since":  {"a=1:NoExecute", "", "a=2:NoExecute", true, "a=2:NoExecute"},
		"the last removed":              {"a:NoExecute", "", "", true, "a:NoExecute"},
		"one set, one removed, halfway": {"a:NoExecute", "b:NoExecute", "a:NoExecute b:NoExecute", false, "a:NoExecute"},
	} {
		t.Run(name, func(t *testing.T) {
			node := report.TaintedNode{Before: taints(test.before), After: taints(test.after)}
			if got := saved.Done(node, taints(test.now)); got != test.done {
				t.Errorf("done = %t, want %t", got, test.done)
			}
			if got, want := saved.Taints(saved.Restore(node, taints(test.now))), saved.Taints(taints(test.restored)); got != want {
				t.Errorf("restored: %s, want %s", got, want)
			}
		})
	}
}

// TestRestoreUndoesAnyChange: whatever the change and whatever is set since, the
// change is gone after it, and nothing else.
func TestRestoreUndoesAnyChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawTaints(t, "before", "abc"), drawTaints(t, "after", "abc")
		since := drawTaints(t, "since", "xyz")
		node := report.TaintedNode{Before: before, After: after}
		if !saved.Done(node, slices.Concat(after, since)) {
			t.Fatalf("%s is not done with %s", saved.Taints(before), saved.Taints(after))
		}
		got := saved.Restore(node, slices.Concat(since, after))
		if want := slices.Concat(before, since); !taint.Same(got, want) {
			t.Fatalf("restored (-want +got):\n%s", cmp.Diff(saved.Taints(want), saved.Taints(got)))
		}
		if again := saved.Restore(node, got); !taint.Same(got, again) {
			t.Fatalf("restored twice (-once +twice):\n%s", cmp.Diff(saved.Taints(got), saved.Taints(again)))
		}
	})
}

// drawTaints draws taints of some keys, no two of one key and effect.
func drawTaints(t *rapid.T, label, keys string) []corev1.Taint {
	one := rapid.Custom(func(t *rapid.T) corev1.Taint {
		return corev1.Taint{
			Key:    string(rapid.SampledFrom([]rune(keys)).Draw(t, "key")),
			Value:  rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value"),
			Effect: rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule}).Draw(t, "effect"),
		}
	})
	return rapid.SliceOfNDistinct(one, 0, 4, func(t corev1.Taint) string { return t.Key + string(t.Effect) }).Draw(t, label)
}
