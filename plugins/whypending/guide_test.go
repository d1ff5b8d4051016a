package whypending_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// guide shows what the command prints.
const guide = "docs/guide/why-pending.md"

// TestGuide runs every command of the guide's console blocks and compares what the
// block shows below it; -update writes it.
func TestGuide(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	got := renderGuide(t, string(text))
	if *update {
		if err := os.WriteFile(guide, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(text), got); diff != "" {
		t.Errorf("%s shows -, the command prints + (make update-golden):\n%s", guide, diff)
	}
}

// renderGuide replaces what follows the command in each console block by what the
// command prints.
func renderGuide(t *testing.T, text string) string {
	t.Helper()
	const fence, prompt = "```console\n", "$ kubectl why-pending "
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
			t.Fatalf("%s: a console block begins with %q and is closed, got %q", guide, prompt, line)
		}
		b.WriteString(fence + line + "\n" + stdoutOf(run(t, "", shellWords(strings.TrimPrefix(line, prompt))...)) + "```\n")
		text = after
	}
}

// stdoutOf takes the data out of what run returns.
func stdoutOf(recorded string) string {
	_, stdout, _ := strings.Cut(recorded, "--- stdout\n")
	stdout, _, _ = strings.Cut(stdout, "--- stderr\n")
	if stdout != "" && !strings.HasSuffix(stdout, "\n") {
		stdout += "\n"
	}
	return stdout
}

// shellWords splits a command line at spaces; single quotes group, as the guide's
// commands use them.
func shellWords(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 0 {
			words = append(words, strings.Fields(part)...)
		} else if strings.HasSuffix(strings.Split(line, "'")[i-1], " ") {
			words = append(words, part)
		} else {
			words[len(words)-1] += part
		}
	}
	return words
}
