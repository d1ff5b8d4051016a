package command

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Guide runs every command of a guide page's console blocks, from the repository's
// root, and compares what the block shows below it, colours left out.
func (p Plugin) Guide(t *testing.T, path string) {
	t.Chdir("../..")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, path, p.render(t, string(text)))
}

// colour matches what colours a text.
var colour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// render replaces what follows the command in each console block by what the command
// prints.
func (p Plugin) render(t *testing.T, text string) string {
	t.Helper()
	const fence = "```console\n"
	prompt := "$ kubectl " + p.Name + " "
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, fence)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		block, after, closed := strings.Cut(rest, "```\n")
		line, _, _ := strings.Cut(block, "\n")
		if !closed || !strings.HasPrefix(line, prompt) {
			t.Fatalf("a console block begins with %q and is closed, got %q", prompt, line)
		}
		printed := colour.ReplaceAllString(p.Run(t, "", shellWords(strings.TrimPrefix(line, prompt))...).Stdout, "")
		if printed != "" && !strings.HasSuffix(printed, "\n") {
			printed += "\n"
		}
		b.WriteString(fence + line + "\n" + printed + "```\n")
		text = after
	}
}

// shellWords splits a command line at spaces; single quotes group, as the guides'
// commands use them.
func shellWords(line string) []string {
	var words []string
	parts := strings.Split(line, "'")
	for i, part := range parts {
		switch {
		case i%2 == 0:
			words = append(words, strings.Fields(part)...)
		case strings.HasSuffix(parts[i-1], " "):
			words = append(words, part)
		default:
			words[len(words)-1] += part
		}
	}
	return words
}
