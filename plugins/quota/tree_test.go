package quota_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/test/command"
)

func treeCases() []command.Case {
	return []command.Case{
		onGroups("tree", "tree"),
		onGroups("tree-name", "tree", "nlp"),
		onGroups("tree-wide", "tree", "-o", "wide"),
		onGroups("tree-color", "tree", "--color", "always"),
		onGroups("tree-no-headers", "tree", "web", "--no-headers"),
		onGroups("tree-resource", "tree", "--resource", "requests.nvidia.com/gpu", "--resource", "pods"),
		onGroups("tree-over", "tree", "--over", "80%"),
		onGroups("tree-over-resource", "tree", "--over", "80", "--resource", "limits.cpu"),
		onGroups("tree-over-none", "tree", "nlp-serve", "--over", "50%"),
		onGroups("tree-sort-by", "tree", "--sort-by", ".name", "--resource", "limits.cpu"),
		onGroups("tree-name-output", "tree", "-o", "name"),
		onGroups("tree-json", "tree", "nlp-serve", "-o", "json"),
		onGroups("tree-yaml", "tree", "nlp", "-o", "yaml", "--resource", "cash/limits.cpu"),
		onGroups("tree-jsonpath", "tree", "-o", `jsonpath={range .items[*]}{.depth} {.name}{"\n"}{end}`),
		onGroups("tree-custom-columns", "tree", "-o", "custom-columns=NAME:.name,KEY:.keys[0].key,LEFT:.keys[0].left"),
		{Name: "tree-without-groups", Args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml"}},
		{Name: "tree-without-groups-name", Args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml", "-o", "name"}},
		{Name: "tree-of-nothing", Args: []string{"tree", "--snapshot", "-"}, Stdin: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"},
		{Name: "tree-of-none-yet", Args: []string{"tree", "--snapshot", "-"}, Stdin: emptyCluster},
		{Name: "tree-not-installed", Args: []string{"tree", "--snapshot", "-"}, Stdin: emptyCluster + "missing: [{resource: bizgroupresourcequotas.stowage.dev, reason: not served}]\n"},
		{Name: "tree-strangers-yaml", Args: []string{"tree", "--snapshot", "testdata/dumps/strangers.yaml", "-o", "yaml"}},
		{Name: "tree-forbidden", Args: []string{"tree", "--snapshot", "testdata/dumps/forbidden.yaml"}},
		{Name: "tree-hostile", Args: []string{"tree", "--snapshot", "testdata/dumps/hostile.yaml"}},
		{Name: "tree-cycle", Args: []string{"tree", "a", "--snapshot", "testdata/dumps/hostile.yaml", "--resource", "pods"}},
	}
}

// emptyCluster is the beginning of the dump of one without groups.
const emptyCluster = "apiVersion: report.stowage.dev/v1alpha1\nkind: SnapshotInfo\nserverVersion: v1.37.1\ntakenAt: \"2026-03-02T09:30:00Z\"\n"

// treeMistakes get one clear line each.
func treeMistakes() []command.Case {
	return []command.Case{
		bad("group", "tree", "nlpp"),
		bad("groups", "tree", "nlp", "vision"),
		bad("resource", "tree", "--resource", "limits.cp"),
		bad("over", "tree", "--over", "lots"),
		bad("watch", "tree", "-w"),
	}
}

// messy is a dump of an organisation with long names, deep below each other, and keys
// that are alike when they are cut.
func messy() string {
	var b strings.Builder
	group := func(name, parent string) {
		fmt.Fprintf(&b, "---\napiVersion: stowage.dev/v1alpha1\nkind: BizGroupResourceQuota\nmetadata: {name: %s}\nspec:\n  parentBizGroup: %q\n", name, parent)
		b.WriteString("  hard: {cash/limits.cpu: 50M, cash/requests.cpu: 50M, cash/requests.nvidia.com/gpu.A100-SXM4-80GB: 1M, requests.nvidia.com/gpu.A100-SXM4-80GB: 4k}\n")
		b.WriteString("status: {used: {cash/limits.cpu: 49M, cash/requests.cpu: 48M, cash/requests.nvidia.com/gpu.A100-SXM4-80GB: 999k}}\n")
	}
	group("organisation", "")
	for i, parent := range []string{"organisation", "organisation", "organisation"} {
		for depth := range 6 {
			name := fmt.Sprintf("d%d-%d-the-same-long-name-of-a-team-that-serves", i, depth)
			group(name, parent)
			parent = name
		}
	}
	return b.String()
}

// At every width, a line is no longer, and nothing of which there are two is drawn alike:
// not the names of groups, not the keys of one.
func TestTreeIsReadableAtEveryWidth(t *testing.T) {
	for _, columns := range []int{80, 100, 120, 200} {
		result := plugin().Columns(columns).Run(t, messy(), "tree", "--snapshot", "-")
		names, keys := map[string]bool{}, map[string]bool{}
		for line := range strings.Lines(result.Stdout) {
			line = strings.TrimSuffix(line, "\n")
			if print.Width(line) > columns {
				t.Errorf("%d columns: a line of %d: %s", columns, print.Width(line), line)
			}
			fields := strings.Fields(strings.NewReplacer("│", "", "├", "", "└", "", "─", "").Replace(line))
			if len(fields) == 0 {
				continue
			}
			if len(fields) > 5 && !strings.HasPrefix(fields[5], "(") {
				if names[fields[0]] {
					t.Errorf("%d columns: two groups are drawn as %s", columns, fields[0])
				}
				names[fields[0]], keys, fields = true, map[string]bool{}, fields[1:]
			}
			if keys[fields[0]] {
				t.Errorf("%d columns: two keys of a group are drawn as %s", columns, fields[0])
			}
			keys[fields[0]] = true
		}
		if len(names) != 20 {
			t.Errorf("%d columns: %d names with the title, want 20", columns, len(names))
		}
	}
}

// What is piped is read by programs, and not cut.
func TestPipedTreeIsNotCut(t *testing.T) {
	out := plugin().Run(t, messy(), "tree", "--snapshot", "-").Stdout
	if strings.Contains(out, "…") || !strings.Contains(out, "d2-5-the-same-long-name-of-a-team-that-serves") || !strings.Contains(out, "requests.nvidia.com/gpu.A100-SXM4-80GB") {
		t.Errorf("cut:\n%s", out)
	}
}
