package agree

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestCasesRepeat: a seed and a number are all that is needed to see a case again.
func TestCasesRepeat(t *testing.T) {
	for i := range uint64(20) {
		first, second := newCase(7, i, podsPerCluster), newCase(7, i, podsPerCluster)
		if diff := cmp.Diff(build.Snapshot(first.objects...), build.Snapshot(second.objects...)); diff != "" {
			t.Fatalf("case %d, cluster (-first +second):\n%s", i, diff)
		}
		for k := range first.pods {
			if diff := cmp.Diff(first.pods[k].pod, second.pods[k].pod); diff != "" {
				t.Fatalf("case %d, pod %d (-first +second):\n%s", i, k, diff)
			}
		}
	}
}

func TestSaidIsReadBack(t *testing.T) {
	for _, s := range []said{{Silent: true}, {Node: "a"}, {Reason: "Unschedulable", Message: "0/1 nodes are available: 1 Too many pods. preemption: none"}} {
		if got := parseSaid(s.String()); got != s {
			t.Errorf("parseSaid(%q) = %+v, want %+v", s, got, s)
		}
	}
}
