package snapshot_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// TestMissing reads the reasons of dumps as they are written, and as they once were.
func TestMissing(t *testing.T) {
	for dump, want := range map[string]struct {
		missing snapshot.Missing
		why     string
	}{
		`{resource: pods, reason: forbidden, detail: outside namespace nlp}`: {
			snapshot.Missing{Resource: "pods", Reason: snapshot.Forbidden, Detail: "outside namespace nlp"}, "forbidden outside namespace nlp"},
		`{resource: pods, reason: forbidden outside namespace nlp}`: {
			snapshot.Missing{Resource: "pods", Reason: snapshot.Forbidden, Detail: "outside namespace nlp"}, "forbidden outside namespace nlp"},
		`{resource: jobs.batch, reason: forbidden}`: {
			snapshot.Missing{Resource: "jobs.batch", Reason: snapshot.Forbidden}, "forbidden"},
		`{resource: deviceclasses.resource.k8s.io, reason: not served}`: {
			snapshot.Missing{Resource: "deviceclasses.resource.k8s.io", Reason: snapshot.NotServed}, "not served"},
		`{resource: jobs.batch, reason: by hand}`: {
			snapshot.Missing{Resource: "jobs.batch", Reason: "by hand"}, "by hand"},
	} {
		s, err := snapshot.Read("dump", strings.NewReader("apiVersion: report.stowage.dev/v1alpha1\nkind: SnapshotInfo\nmissing: ["+dump+"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]snapshot.Missing{want.missing}, s.Missing); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dump, diff)
		}
		if got := s.Missing[0].Why(); got != want.why {
			t.Errorf("%s: Why() = %q, want %q", dump, got, want.why)
		}
	}
}

// TestNotes asks every kind that is read what is unknown without it: of one that the
// server does not have, nothing.
func TestNotes(t *testing.T) {
	for _, kind := range snapshot.Kinds() {
		s := &snapshot.Snapshot{Missing: []snapshot.Missing{{Resource: kind.GroupResource(), Reason: snapshot.NotServed}}}
		if unknown := s.Unknown(); unknown != nil {
			t.Errorf("%s is not served, and yet unknown: %v", kind.GroupResource(), unknown)
		}
		s.Missing[0].Reason = snapshot.Forbidden
		if unknown := s.Unknown(); len(unknown) != 1 {
			t.Errorf("%s is forbidden, and yet unknown: %v", kind.GroupResource(), unknown)
		}
		const other = " could not be listed (forbidden): what depends on them is unknown"
		// Without pods or nodes nothing can be said of places, and nothing is.
		if note := s.Missing[0].Note(snapshot.Placement); note == kind.GroupResource()+other && kind.Resource != "pods" && kind.Resource != "nodes" {
			t.Errorf("%s: the table does not say what is unknown without it", kind.GroupResource())
		}
	}
	missing := snapshot.Missing{Resource: "nodes", Reason: snapshot.Forbidden}
	if got, want := missing.Note(snapshot.Charges), "nodes could not be listed (forbidden): what DaemonSets charge is unknown"; got != want {
		t.Errorf("Note = %q, want %q", got, want)
	}
}
