package quota_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stowage-dev/stowage/plugins/quota"
	"github.com/stowage-dev/stowage/test/command"
)

// groups is the dump that most cases ask about.
const groups = "testdata/groups.yaml"

// plugin is the command under test.
func plugin() command.Plugin { return command.Plugin{Name: "quota", New: quota.NewCommand} }

// onGroups is a case that asks about the groups of the dump.
func onGroups(name string, args ...string) command.Case {
	return command.Case{Name: name, Args: append(args, "--snapshot", groups)}
}

func manifest(name string) string { return filepath.Join("testdata", "manifests", name+".yaml") }

// bad is a mistake in asking about the groups of the dump.
func bad(name string, args ...string) command.Case { return onGroups("bad-"+name, args...) }

// mistakes that every command refuses: each gets one clear line.
func mistakes() []command.Case {
	return []command.Case{
		{Name: "bad-command", Args: []string{"tre"}},
		{Name: "bad-no-groups", Args: []string{"tree", "nlp", "--snapshot", "testdata/dumps/native.yaml"}},
		bad("output", "tree", "-o", "jsn"),
		bad("sort-by", "tree", "--sort-by", ".unknown"),
		bad("kinds", "tree", "--workload-kinds", "testdata/none.yaml"),
		bad("kinds-file", "tree", "--workload-kinds", manifest("group")),
		{Name: "bad-cluster", Args: []string{"tree", "--server", "https://127.0.0.1:1"}},
		{Name: "bad-dump", Args: []string{"tree", "--snapshot", "testdata/dumps/bad-quantity.yaml"}},
	}
}

func helpCases() []command.Case {
	cases := []command.Case{{Name: "help", Args: []string{"--help"}}, {Name: "help-none", Args: []string{}}}
	for _, name := range []string{"tree", "describe", "check", "create", "set", "delete", "enable", "disable", "verify"} {
		cases = append(cases, command.Case{Name: "help-" + name, Args: []string{name, "--help"}})
	}
	return cases
}

func TestMain(m *testing.M) { command.Main(m) }

func TestGolden(t *testing.T) {
	plugin().Golden(t, slices.Concat(
		treeCases(), describeCases(), checkCases(), verifyCases(),
		enableCases(), organisationCases(), deleteMistakes(), enableMistakes(),
		treeMistakes(), describeMistakes(), checkMistakes(), verifyMistakes(), createMistakes(), setMistakes(),
		mistakes(), helpCases(),
	)...)
}

// TestNamed checks what the help calls the command.
func TestNamed(t *testing.T) { plugin().Named(t) }

// TestTablesFit checks the promise of 80 columns.
func TestTablesFit(t *testing.T) {
	none := func(string) bool { return false }
	plugin().Fits(t, none, slices.Concat(treeCases(), describeCases(), checkCases(), verifyCases())...)
}

// TestGuide checks what the guide shows.
func TestGuide(t *testing.T) { plugin().Guide(t, "docs/guide/quota.md") }
