package print

import (
	"strconv"
	"strings"
	"unicode"

	"k8s.io/cli-runtime/pkg/printers"
)

// Escape makes a string from the cluster safe for one line of a terminal. What
// kubectl escapes looks as kubectl shows it ("^[" for ESC); other control
// characters, and those that cannot be seen (they reorder text, break lines, or
// make different texts look alike), appear as Go escapes.
func Escape(s string) string {
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for _, r := range printers.EscapeTerminal(s) {
		if unsafe(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// The joiners are seen by what they do to the letters beside them.
const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'

// unsafe reports runes that act on a terminal instead of being shown by it, or are shown
// as nothing.
func unsafe(r rune) bool {
	if r == zeroWidthNonJoiner || r == zeroWidthJoiner {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
