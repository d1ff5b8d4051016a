package print

import (
	"strconv"
	"strings"
	"unicode"

	"k8s.io/cli-runtime/pkg/printers"
)

// Escape makes a string from the cluster safe for one line of a terminal. What
// kubectl escapes looks as kubectl shows it ("^[" for ESC); other control
// characters and the invisible ones that reorder text (bidi overrides) appear
// as Go escapes.
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

// unsafe reports runes that act on a terminal instead of being shown by it.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
