package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// similar returns the candidate that name, which is none of them, was likely meant to be.
func similar(name string, candidates []string) string {
	slices.Sort(candidates)
	return nearest.Of(name, slices.DeleteFunc(candidates, func(candidate string) bool { return candidate == name }))
}

// countedList is "pod a" or "2 pods (a, b)", cut after three names.
func countedList(names []string, noun string) string {
	if len(names) == 1 {
		return noun + " " + names[0]
	}
	shown := names[:min(len(names), 3)]
	more := ""
	if len(names) > len(shown) {
		more = ", ..."
	}
	return fmt.Sprintf("%d %ss (%s%s)", len(names), noun, strings.Join(shown, ", "), more)
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// didYouMean ends a sentence about a name that looks mistyped; empty for none near.
func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near)
}

// point is one thing that a cause is about, and what is said of it. Without a
// subject the reason has said it already.
type point struct{ subject, text string }

// firstOf is the first thing that is named, if its subject tells more than the
// reason does.
func firstOf(named []point) point {
	if len(named) == 0 || named[0].subject == "" {
		return point{}
	}
	return named[0]
}

// listText is the first point and the texts of all.
func listText(points []point) (point, string) {
	texts := make([]string, len(points))
	for i, p := range points {
		texts[i] = p.text
	}
	return firstOf(points), strings.Join(texts, ", ")
}
