package print_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/print"
)

func TestEscape(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain text stays", "Insufficient cpu", "Insufficient cpu"},
		{"wide characters stay", "节点", "节点"},
		{"escape sequence", "\x1b[31mred", "^[[31mred"},
		{"carriage return hides what stands before", "ok\rbad", `ok\rbad`},
		{"newline forges a line", "a\nb", `a\nb`},
		{"control sequence introducer of C1", "\u009b31m", `\u009b31m`},
		{"bidi override reorders text", "a\u202eb", `a\u202eb`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"nothing that is seen tells names apart", "a\u200b\ufeff\u00ad\u3164", `a\u200b\ufeff\u00ad\u3164`},
		{"scripts that join letters, and emoji", "می\u200cخواهم 👩\u200d🔬 ☺️", "می\u200cخواهم 👩\u200d🔬 ☺️"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, print.Escape(tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	for _, tc := range []struct {
		name, in, end, middle string
		width                 int
	}{
		{"short enough", "web-0", "web-0", "web-0", 5},
		{"cut", "speech-batch-x7k2p", "speech-ba…", "speec…7k2p", 10},
		{"wide characters are not cut in half", "推荐系统特征", "推荐…", "推…征", 6},
		{"a letter that takes in the next one", "web-\u0d4eAA", "web-…", "we…A", 5},
		{"no room", "web-0", "", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.end, print.Truncate(tc.in, tc.width)); diff != "" {
				t.Error("Truncate", diff)
			}
			if diff := cmp.Diff(tc.middle, print.TruncateMiddle(tc.in, tc.width)); diff != "" {
				t.Error("TruncateMiddle", diff)
			}
		})
	}
}

func TestTruncateNeverExceedsTheWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, width := print.Escape(rapid.String().Draw(t, "text")), rapid.IntRange(0, 40).Draw(t, "width")
		for _, cut := range []string{print.Truncate(text, width), print.TruncateMiddle(text, width), print.TruncateLeft(text, width)} {
			if got := print.Width(cut); got > width {
				t.Fatalf("%q is %d wide, limit %d", cut, got, width)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	text := "0/5 nodes are available: 3 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint(s)."
	want := strings.Join([]string{
		"  0/5 nodes are available: 3",
		"  Insufficient nvidia.com/gpu, 2",
		"  node(s) had untolerated",
		"  taint(s).",
	}, "\n")
	if diff := cmp.Diff(want, print.Wrap(text, 34, "  ")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("1."+strings.TrimPrefix(want, "  "), print.Hang("1.", text, 34, "  ")); diff != "" {
		t.Error(diff)
	}
}

// people is a table with a row for each difficulty: a long name, wide
// characters, an empty cell, a forged line.
func people() *print.Table {
	table := print.NewTable(
		print.Column{Title: "NAME", Middle: true},
		print.Column{Title: "VERDICT"},
		print.Column{Title: "CAUSE", Flexible: true},
	)
	table.Append(print.Texts("web-0", "Gated", "")...)
	table.Append(print.Texts("recommendation-feature-join-7d4b9c6f5-x7k2p", "Unschedulable", "Insufficient cpu")...)
	table.Append(print.Texts("推荐", "Unknown", "a\nforged   line")...)
	return table
}

// A note gives way to the text that it is about.
func TestTableNote(t *testing.T) {
	table := print.NewTable(print.Column{Title: "NAME", Left: true, Flexible: true}, print.Column{Title: "LEFT"})
	table.Append(print.Cell{Lead: "└── ", Text: "bg-17", Note: "推荐系统\x1b"}, print.Cell{Text: "4"})
	table.Append(print.Cell{Text: "recommendation", Note: "a"}, print.Cell{Text: "5"})
	for width, want := range map[int]string{
		0:  "└── bg-17 (推荐系统^[)   4\nrecommendation (a)       5\n",
		21: "└── bg-17 (推荐…)   4\nrecommendation      5\n",
		18: "└── bg-17        4\nrecommendation   5\n",
		17: "└── bg-17       4\n…commendation   5\n",
	} {
		var out bytes.Buffer
		if err := table.Write(&out, print.TableOptions{Width: width, NoHeaders: true}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("width %d:\n%s", width, diff)
		}
	}
}

func TestTable(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts print.TableOptions
		want []string
	}{
		{"as wide as its cells", print.TableOptions{}, []string{
			"NAME                                          VERDICT         CAUSE",
			"web-0                                         Gated           <none>",
			"recommendation-feature-join-7d4b9c6f5-x7k2p   Unschedulable   Insufficient cpu",
			`推荐                                          Unknown         a\nforged   line`,
		}},
		{"the flexible column shrinks first", print.TableOptions{Width: 74, NoHeaders: true}, []string{
			"web-0                                         Gated           <none>",
			"recommendation-feature-join-7d4b9c6f5-x7k2p   Unschedulable   Insufficien…",
			`推荐                                          Unknown         a\nforged  …`,
		}},
		{"then the widest of the others", print.TableOptions{Width: 50, Indent: "  "}, []string{
			"  NAME                    VERDICT         CAUSE",
			"  web-0                   Gated           <none>",
			"  recommenda…c6f5-x7k2p   Unschedulable   Insuffi…",
			"  推荐                    Unknown         a\\nforg…",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := people().Write(&out, tc.opts); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Join(tc.want, "\n")+"\n", out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCellsLook checks that a look colours a cell's text, cut or missing as it is, and never the room beside it.
func TestCellsLook(t *testing.T) {
	mark := func(text string) string { return "[" + text + "]" }
	table := print.NewTable(print.Column{Title: "NAME", Middle: true}, print.Column{Title: "USE"}, print.Column{Title: "LEFT"})
	table.Append(print.Cell{Text: "recommendation-x7k2p", Style: mark}, print.Cell{Text: "7%"}, print.Cell{Style: mark})
	table.Append(print.Cell{Text: "web"}, print.Cell{Text: "80%", Style: mark})
	want := strings.Join([]string{
		"NAME            USE   LEFT",
		"[recomm…-x7k2p] 7%    [<none>]", // a look that takes no room leaves the columns where they are
		"web             [80%] <none>",
	}, "\n") + "\n"
	var out bytes.Buffer
	if err := table.Write(&out, print.TableOptions{Width: 28}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTheme(t *testing.T) {
	for _, color := range []bool{false, true} {
		theme := print.NewTheme(color)
		for _, style := range []print.Style{theme.Strong, theme.Faint, theme.Good, theme.Warn, theme.Bad, theme.Heading, theme.Code} {
			styled := style("text")
			if coloured := styled != "text"; coloured != color || !strings.Contains(styled, "text") {
				t.Errorf("NewTheme(%t) renders %q", color, styled)
			}
		}
	}
}

func TestBar(t *testing.T) {
	for _, tc := range []struct {
		done, total int
		want        string
	}{{0, 4, "░░░░"}, {2, 4, "██░░"}, {4, 4, "████"}, {9, 4, "████"}, {1, 0, "░░░░"}} {
		if got := print.Bar(tc.done, tc.total, 4); got != tc.want {
			t.Errorf("Bar(%d, %d): %s, want %s", tc.done, tc.total, got, tc.want)
		}
	}
}

func TestBranches(t *testing.T) {
	nodes := []struct {
		depth int
		name  string
	}{{0, "ai"}, {1, "nlp"}, {2, "serve"}, {2, "train"}, {1, "vision"}, {2, "ocr"}, {0, "web"}}
	var depths []int
	for _, node := range nodes {
		depths = append(depths, node.depth)
	}
	var got strings.Builder
	for i, branch := range print.Branches(depths) {
		fmt.Fprintf(&got, "%s%s\n%s.\n", branch.First, nodes[i].name, branch.Rest)
	}
	want := strings.Join([]string{
		"ai",
		"│   .",
		"├── nlp",
		"│   │   .",
		"│   ├── serve",
		"│   │   .",
		"│   └── train",
		"│       .",
		"└── vision",
		"    │   .",
		"    └── ocr",
		"        .",
		"web",
		".",
		"",
	}, "\n")
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStack(t *testing.T) {
	for _, tc := range []struct {
		shares []float64
		want   string
	}{
		{nil, "░░░░░░░░"},
		{[]float64{0.5, 0.25}, "████▓▓░░"},
		{[]float64{0.01, 0.01}, "█▓░░░░░░"},
		{[]float64{0, 1}, "▓▓▓▓▓▓▓▓"},
		{[]float64{0.75, 2}, "██████▓▓"},
		{[]float64{3, 1}, "████████"},
		{[]float64{-1}, "░░░░░░░░"},
	} {
		var parts []print.Part
		for i, share := range tc.shares {
			parts = append(parts, print.Part{Share: share, Fill: []string{"█", "▓"}[i]})
		}
		if got := print.Stack(8, parts...); got != tc.want {
			t.Errorf("Stack(8, %v): %s, want %s", tc.shares, got, tc.want)
		}
	}
}

func TestChart(t *testing.T) {
	at := func(seconds, count int) print.Point {
		return print.Point{At: time.Duration(seconds) * time.Second, Count: count}
	}
	theme := print.NewTheme(false)
	for _, tc := range []struct {
		name   string
		points []print.Point
		want   string
	}{
		{"at once", []print.Point{at(0, 3), at(0, 1)}, `
4 ┤█
  ┤█
  └┬
   0s
`},
		{"by and by", []print.Point{at(0, 12), at(30, 6), at(60, 1)}, `
12 ┤█
   ┤█                   █                    ▁
   └┬─────┬──────┬──────┬──────┬──────┬──────┬
    0s    10s    20s    30s    40s    50s    60s
`},
		{"for ages", []print.Point{at(0, 1), at(1<<33, 1)}, `
1 ┤█                                        █
  └┬──────┬──────┬───────┬──────┬───────┬────
   0s     49y    98y     147y   197y    246y
`},
		{"before it begins", []print.Point{at(-5, 1), at(1, 1)}, `
1 ┤█                                          █
  └┬──────────────────────────────────────────┬
   0s                                         1s
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			chart := print.Chart{Width: 48, Height: 2, Column: theme.Strong, Axis: theme.Faint}
			if err := chart.Write(&out, tc.points); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	progress := print.NewProgress(&out)
	progress.Update("Loading", 500, 0)
	progress.Update("Loading", 500, 0)
	progress.Update("Explaining", 1, 2)
	progress.Clear()
	progress.Clear()
	want := "\r\x1b[2KLoading  500" + "\r\x1b[2KExplaining  ████████████░░░░░░░░░░░░  50%" + "\r\x1b[2K"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestProgressDrawsNothingWithoutATerminal(*testing.T) {
	var progress print.Progress
	progress.Update("Loading", 1, 2) // would panic on a nil writer
	progress.Clear()
}

func TestAge(t *testing.T) {
	now := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	for want, then := range map[string]time.Time{"5m": now.Add(-5 * time.Minute), "3d4h": now.Add(-76 * time.Hour), "<unknown>": {}} {
		if got := print.Age(then, now); got != want {
			t.Errorf("Age(%v): %s, want %s", then, got, want)
		}
	}
	if got, want := print.Time(now.In(time.FixedZone("CST", 8*3600))), "2026-03-02T09:30:00Z"; got != want {
		t.Errorf("Time: %s, want %s", got, want)
	}
}

// Cells that lose their middles stay different.
func TestTableTellsMiddlesApart(t *testing.T) {
	for name, test := range map[string]struct{ cells, want []string }{
		"where they differ":    {[]string{"gpu.H100-SXM5-80GB-NVLINK-A", "gpu.H100-PCIE-80GB-NVLINK-A", "lim.cpu", "gpu.H100-SXM5-80GB-NVLINK-A"}, []string{"gpu…SXM5-80GB-…", "gpu…PCIE-80GB-…", "lim.cpu", "gpu…SXM5-80GB-…"}},
		"two that are longer":  {[]string{"gpu.H100-SXM5-80GB-NVLINK-A", "gpu.H100-SXM5-94GB-NVLINK-A"}, []string{"gpu…80GB-NVLIN…", "gpu…94GB-NVLIN…"}},
		"too far from another": {[]string{"abcdefg1hijklmnopqrs1tuvwxyz", "abcdefg1hijklmnopqrs2tuvwxyz", "abcdefg2hijklmnopqrs2tuvwxyz"}, []string{"abc…1hijklmnop…", "abc…1h…lmnop…~2", "abc…2hijklmnop…"}},
		"as they are":          {[]string{"abcdefghijklmnopqrstuvw", "bbcdefghijklmnopqrstuvw"}, []string{"abcdefg…qrstuvw", "bbcdefg…qrstuvw"}},
	} {
		table := print.NewTable(print.Column{Title: "KEY", Middle: true})
		for _, cell := range test.cells {
			table.Append(print.Texts(cell)...)
		}
		var b strings.Builder
		if err := table.Write(&b, print.TableOptions{Width: 15, NoHeaders: true}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, strings.Fields(b.String())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
