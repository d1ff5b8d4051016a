package quota_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// guide shows what the command prints.
const guide = "docs/guide/quota.md"

// TestGuide runs every command of the guide's console blocks and compares what the
// block shows below it, colours left out; -update writes it.
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

// withoutColour matches what colours a text.
var withoutColour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// renderGuide replaces what follows the command in each console block by what the
// command prints.
func renderGuide(t *testing.T, text string) string {
	t.Helper()
	const fence, prompt = "```console\n", "$ kubectl quota "
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
		printed := withoutColour.ReplaceAllString(stdoutOf(run(t, "", strings.Fields(strings.TrimPrefix(line, prompt))...)), "")
		b.WriteString(fence + line + "\n" + printed + "```\n")
		text = after
	}
}
