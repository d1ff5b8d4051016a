package quota_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/test/command"
)

// members is how many groups the organisation has.
const members = 200

// called is what people call groups: in many scripts, of wide and joined letters, long, and
// meant to break the terminal.
var called = []string{
	"自然语言", "Speech", "", "音声認識チーム", "خدمة البحث", "이미지 인식", "Поиск и ранжирование", "भाषण पहचान", "זיהוי דיבור",
	"می\u200cخواهم", "👩\u200d🔬 Research", "ﾊﾝｶｸ", "the team that was once called Feature Engineering and Data Platform (Asia-Pacific)",
	"\x1b[31mred\nforged   limits.cpu   0%", "a\u202egnp.exe", "e\u0301cole", "推荐系统与特征工程平台",
}

// hards are what groups may use, and use.
var hards = [][2]string{
	{"limits.cpu: '400'", "limits.cpu: '%d'"},
	{"requests.nvidia.com/gpu.A100-SXM4-80GB: 4k, requests.nvidia.com/gpu: 8k", "requests.nvidia.com/gpu.A100-SXM4-80GB: '%d', requests.nvidia.com/gpu: '%[1]d'"},
	{"cash/limits.cpu: 50M", "cash/limits.cpu: %dk"},
	{"limits.memory: 64Ti", "limits.memory: %dGi"},
}

// organisation is a dump of groups as they are in a large company: of numbers for names and
// of long names that begin alike, up to five below each other.
func organisation() string {
	var b strings.Builder
	for i := range members {
		parent := ""
		if i > 0 {
			parent = memberName((i - 1) / 3)
		}
		hard := hards[i%len(hards)]
		fmt.Fprintf(&b, "---\napiVersion: stowage.dev/v1alpha1\nkind: BizGroupResourceQuota\nmetadata: {name: %s, annotations: {stowage.dev/display-name: %q}}\n", memberName(i), called[i%len(called)])
		fmt.Fprintf(&b, "spec: {parentBizGroup: %q, hard: {%s}}\nstatus: {lastReconcileTime: \"2026-03-02T09:29:00.000000Z\", used: {%s}}\n", parent, hard[0], fmt.Sprintf(hard[1], 3*i))
	}
	return b.String()
}

func memberName(i int) string {
	if i%5 == 4 {
		return fmt.Sprintf("recommendation-feature-engineering-%03d", i)
	}
	return fmt.Sprintf("bg-%d", 10000+37*i)
}

func organisationCases() []command.Case {
	var cases []command.Case
	for _, columns := range []int{80, 120, 200} {
		cases = append(cases, command.Case{
			Name: fmt.Sprintf("organisation-%d", columns), Columns: columns, Stdin: organisation(), Args: []string{"tree", "--snapshot", "-"},
		})
	}
	return cases
}

// At every width each line is as wide as the terminal at most, its columns begin where their
// titles do, and every group can be told from the others.
func TestOrganisationIsReadable(t *testing.T) {
	for _, columns := range []int{0, 80, 100, 120, 160, 200} {
		result := plugin()
		if columns > 0 {
			result = result.Columns(columns)
		}
		out := result.Run(t, organisation(), "tree", "--snapshot", "-").Stdout
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		title, _, _ := strings.Cut(lines[0], "KEY")
		at, seen := print.Width(title), map[string]bool{}
		for _, line := range lines[1:] {
			if width := print.Width(line); columns > 0 && width > columns {
				t.Errorf("%d columns: a line of %d: %s", columns, width, line)
			}
			names, ok := head(line, at)
			if !ok || !strings.HasSuffix(names, "   ") || strings.HasPrefix(line[len(names):], " ") {
				t.Errorf("%d columns: the key is not at %d: %s", columns, at, line)
			}
			name, _, _ := strings.Cut(strings.TrimLeft(names, " │├└─"), " ")
			if name == "" {
				continue
			}
			if seen[name] {
				t.Errorf("%d columns: two groups are drawn as %s", columns, name)
			}
			seen[name] = true
		}
		if len(seen) != members {
			t.Errorf("%d columns: %d groups, want %d", columns, len(seen), members)
		}
		if strings.ContainsAny(out, "\x1b\u202e\r") {
			t.Errorf("%d columns: what acts on the terminal reaches it", columns)
		}
	}
}

// head is the beginning of a line of exactly so many cells.
func head(line string, cells int) (string, bool) {
	for i := range line {
		if order := cmp.Compare(print.Width(line[:i]), cells); order == 0 && line[i] != ' ' {
			return line[:i], true
		} else if order > 0 {
			break
		}
	}
	return "", false
}
