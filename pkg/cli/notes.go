package cli

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/version"
	kubeversion "k8s.io/component-base/version"

	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Warn writes notes to stderr, one line each, as kubectl writes warnings.
func Warn(w io.Writer, notes []string) {
	for _, note := range notes {
		fmt.Fprintln(w, "Warning: "+print.Escape(note))
	}
}

// SkewNotes says whether the scheduler that is linked in has another minor
// version than the server's.
func SkewNotes(snap *snapshot.Snapshot) []string {
	server, err := version.ParseGeneric(snap.ServerVersion)
	if err != nil {
		return nil // an unknown version: nothing to compare with
	}
	ours := version.MustParseGeneric(kubeversion.DefaultKubeBinaryVersion)
	if server.Major() == ours.Major() && server.Minor() == ours.Minor() {
		return nil
	}
	return []string{fmt.Sprintf("the server is version %d.%d, and the scheduler's plugins in this client are of %d.%d: verdicts may differ where these do",
		server.Major(), server.Minor(), ours.Major(), ours.Minor())}
}

// MissingNotes says which kinds could not be listed, and what is unknown for it.
// A kind that the server does not serve has no objects, and is no gap.
func MissingNotes(snap *snapshot.Snapshot) []string {
	var notes []string
	for _, missing := range snap.Unknown() {
		notes = append(notes, missing.Note(snapshot.Placement))
	}
	return notes
}
