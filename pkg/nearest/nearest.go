// Package nearest finds the valid value that a wrong one was likely meant to be.
package nearest

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Of returns the candidate with the smallest edit distance to name, the first of
// equal ones; empty when none is near enough to be a slip of the hand: a third of
// the name's length, or two edits, and a letter that both have.
func Of(name string, candidates []string) string {
	best, limit := "", max(2, len(name)/3)+1
	for _, candidate := range candidates {
		if distance := levenshtein.ComputeDistance(name, candidate); distance < limit && strings.ContainsAny(candidate, name) {
			best, limit = candidate, distance
		}
	}
	return best
}

// DidYouMean is "; did you mean "x"?" for the nearest candidate, or empty.
func DidYouMean(name string, candidates []string) string {
	nearest := Of(name, candidates)
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", nearest)
}
