package explain

import (
	"regexp"
	"strings"
)

// shellCommand joins words for a POSIX shell, quoting those that need it. A dump
// may name an object anything: a command that is printed to be pasted must not
// become another.
func shellCommand(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		if !harmless.MatchString(word) {
			quoted[i] = shellQuote(word)
		}
	}
	return strings.Join(quoted, " ")
}

// harmless are words that a shell takes as they stand.
var harmless = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// shellQuote quotes for a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
