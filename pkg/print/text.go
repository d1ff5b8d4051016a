package print

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// ellipsis stands for what was cut.
const ellipsis = "…"

// Count is a number of things: "1 node", "2 nodes".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Width counts the terminal cells of a text, colour codes not counted.
func Width(text string) int { return ansi.StringWidth(text) }

// Truncate cuts a text to at most width cells, the last one an ellipsis.
func Truncate(text string, width int) string {
	return ansi.Truncate(text, max(width, 0), ellipsis)
}

// TruncateMiddle cuts a name to at most width cells and keeps both of its ends:
// the workload at the front and the generated suffix at the back.
func TruncateMiddle(name string, width int) string {
	total := Width(name)
	if total <= width || width < 5 {
		return Truncate(name, width)
	}
	tail := (width - 1) / 2
	head := Truncate(name, width-tail)
	return head + end(name, tail)
}

// end is the longest end of a text of at most width cells. A letter that takes in the next
// one is cut off with it or not at all, so that cells cannot be counted from the front.
func end(text string, width int) string {
	for cut := Width(text) - width; ; cut++ {
		if rest := ansi.TruncateLeft(text, cut, ""); Width(rest) <= width {
			return rest
		}
	}
}

// TruncateLeft cuts a text to at most width cells and keeps its end, the first cell an
// ellipsis.
func TruncateLeft(text string, width int) string {
	total := Width(text)
	if total <= width || width < 1 {
		return Truncate(text, width)
	}
	return ellipsis + end(text, width-1)
}

// minText is what is kept of a text before its lead is cut too, in cells.
const minText = 4

// truncateAfter cuts the left of a text that begins with lead, which stays.
func truncateAfter(lead, text string, width int) string {
	own := strings.TrimPrefix(text, lead)
	room := width - Width(lead)
	if room < min(minText, Width(own)) {
		return TruncateLeft(text, width)
	}
	return lead + TruncateLeft(own, room)
}

// minWrap is the least width that Wrap lays text out for, in cells.
const minWrap = 20

// Wrap breaks a text at blanks into lines of at most width cells. Each line
// begins with indent, which counts. Words stay whole, names with hyphens too, so
// that they can be copied; only one that is longer than a line is cut.
func Wrap(text string, width int, indent string) string {
	room := max(width-Width(indent), minWrap)
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && Width(line)+1+Width(word) <= room {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		pieces := strings.Split(ansi.Hardwrap(word, room, false), "\n")
		lines = append(lines, pieces[:len(pieces)-1]...)
		line = pieces[len(pieces)-1]
	}
	return indent + strings.Join(append(lines, line), "\n"+indent)
}

// Hang is Wrap with a first line that begins with lead in the place of indent:
//
//  1. a long sentence that
//     goes on here
func Hang(lead, text string, width int, indent string) string {
	return lead + strings.TrimPrefix(Wrap(text, width, indent), indent)
}

// padRight fills a text with blanks up to width cells.
func padRight(text string, width int) string {
	return text + strings.Repeat(" ", max(width-Width(text), 0))
}
