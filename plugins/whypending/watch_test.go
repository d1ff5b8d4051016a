package whypending

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
)

// TestWatchTellsNamespacesApart watches pods of one name in two namespaces.
func TestWatchTellsNamespacesApart(t *testing.T) {
	pod := func(namespace string, verdict report.Verdict) report.PendingItem {
		return report.PendingItem{Namespace: namespace, Name: "web-0", Verdict: verdict}
	}
	one, two := pod("one", report.VerdictUnschedulable), pod("two", report.VerdictUnschedulable)
	for name, tc := range map[string]struct {
		before, after, changed []report.PendingItem
		gone                   string
	}{
		"nothing changes": {before: []report.PendingItem{one, two}, after: []report.PendingItem{one, two}, changed: []report.PendingItem{}},
		"one changes": {
			before: []report.PendingItem{one, two}, after: []report.PendingItem{one, pod("two", report.VerdictGated)},
			changed: []report.PendingItem{pod("two", report.VerdictGated)},
		},
		"one goes": {
			before: []report.PendingItem{one, two}, after: []report.PendingItem{two}, changed: []report.PendingItem{},
			gone: "pod/web-0 in namespace one is no longer pending\n",
		},
		"another comes": {before: []report.PendingItem{one}, after: []report.PendingItem{one, two}, changed: []report.PendingItem{two}},
	} {
		t.Run(name, func(t *testing.T) {
			changed, gone := cli.Compare(tc.before, tc.after, identity)
			if diff := cmp.Diff(tc.changed, changed); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			var text bytes.Buffer
			o := &Options{}
			o.ErrOut = &text
			o.reportGone(gone)
			if diff := cmp.Diff(tc.gone, text.String()); diff != "" {
				t.Errorf("gone (-want +got):\n%s", diff)
			}
		})
	}
}
