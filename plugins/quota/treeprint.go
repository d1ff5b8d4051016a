package quota

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/duration"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
)

const (
	// mostKeys is how many keys of a group are shown, unless -o wide.
	mostKeys = 3
	// barWidth is the length of a bar in cells.
	barWidth = 8
	// warnPercent is from where on a use is coloured as one to look at.
	warnPercent = 80
)

// The fills of a bar.
const (
	fillSelf     = "█"
	fillChildren = "▓"
	fillReserved = "▒"
)

// print writes the report as of now.
func (o *treeOptions) print(tree *report.QuotaTree, now time.Time) error {
	switch {
	case o.output.Name():
		return printNames(o.Out, tree.Items)
	case !o.output.Human():
		return o.output.PrintReport(o.Out, tree)
	case len(tree.Items) == 0:
		if o.over != "" {
			fmt.Fprintf(o.ErrOut, "No group uses %s%% of a key\n", strings.TrimSuffix(o.over, "%"))
		}
		return nil
	}
	p := treePrinter{
		theme: o.output.Color.Theme(o.Env),
		bars:  o.output.Color.Drawn(o.Env),
		wide:  o.output.Wide(),
		all:   o.output.Wide() || len(o.keys) > 0,
		now:   now,
	}
	opts := print.TableOptions{Width: o.TableWidth(), NoHeaders: o.output.NoHeaders, Title: p.theme.Heading}
	if p.wide {
		opts.Width = 0
	}
	return p.fitting(o.rows(tree.Items), opts).Write(o.Out, opts)
}

// rows are the groups to draw, with their places in the tree: those above what is
// selected are drawn too. What is sorted, or has changed, has no places.
func (o *treeOptions) rows(items []report.QuotaTreeItem) []treeRow {
	if o.flat || o.output.SortBy != "" {
		return treeRows(items, nil, make([]int, len(items)))
	}
	items, above := state.WithParents(o.whole, items)
	depths := make([]int, len(items))
	for i, item := range items {
		depths[i] = item.Depth
	}
	return treeRows(items, above, depths)
}

// treeRow is a group to be drawn.
type treeRow struct {
	report.QuotaTreeItem
	print.Branch
	// above says that the group was not selected, but stands above one that was.
	above bool
}

func treeRows(items []report.QuotaTreeItem, above map[string]bool, depths []int) []treeRow {
	rows := make([]treeRow, len(items))
	for i, branch := range print.Branches(depths) {
		rows[i] = treeRow{QuotaTreeItem: items[i], Branch: branch, above: above[items[i].Name]}
	}
	return rows
}

// printNames writes one line an item, as `kubectl get -o name`.
func printNames(w io.Writer, items []report.QuotaTreeItem) error {
	for _, item := range items {
		kind := groupSingular
		if item.Namespace != "" {
			kind = "resourcequota"
		}
		if _, err := fmt.Fprintln(w, kind+"/"+print.Escape(item.Name)); err != nil {
			return err
		}
	}
	return nil
}

// treePrinter draws a tree with a table of keys beside it.
type treePrinter struct {
	theme print.Theme
	// bars draws bars, wide adds columns, all shows every key.
	bars, wide, all bool
	now             time.Time
}

// look is how a tree is drawn; the first that fits is taken: with keys shortened that are too
// long, then all keys, then what people call the groups, then narrow branches, then no bars.
type look struct {
	longestKey   int // in cells; longer keys are shortened
	display      int // the most cells of a display name, which is cut; the name stays
	narrow, bars bool
}

func (p *treePrinter) looks() []look {
	const any, natural = 1 << 20, 26
	const sentence, words = 48, 24
	return []look{
		{any, sentence, false, p.bars}, {natural, sentence, false, p.bars}, {0, sentence, false, p.bars},
		{0, words, false, p.bars}, {0, words, true, p.bars}, {0, words, true, false},
	}
}

// fitting is the table in the first look that fits, or in the last one, which is cut.
func (p *treePrinter) fitting(rows []treeRow, opts print.TableOptions) *print.Table {
	var table *print.Table
	keys := shortKeys(rows)
	for _, look := range p.looks() {
		table = p.table(rows, look, keys)
		if opts.Width == 0 || table.Width(opts) <= opts.Width {
			return table
		}
	}
	tellApart(rows, table.Widths(opts)[0])
	return p.table(rows, p.looks()[len(p.looks())-1], keys)
}

// tellApart marks the names that would be alike, with narrow branches, in a column of that
// width: "…serve" and "…serve~2".
func tellApart(rows []treeRow, width int) {
	seen := map[string]int{}
	for i, row := range rows {
		cut := print.TruncateLeft(row.Name, width-print.Width(row.Narrow().First))
		if seen[cut]++; seen[cut] > 1 && cut != row.Name {
			rows[i].Name += "~" + strconv.Itoa(seen[cut])
		}
	}
}

func (p *treePrinter) table(rows []treeRow, look look, keys map[string]string) *print.Table {
	columns := []print.Column{
		{Title: "NAME", Left: true, Flexible: true},
		{Title: "KEY", Middle: true},
		{Title: "USE"},
		{Title: "USED"},
		{Title: "HARD"},
		{Title: "LEFT"},
	}
	if p.wide {
		columns = append(columns, print.Column{Title: "SELF"}, print.Column{Title: "CHILDREN"}, print.Column{Title: "RESERVED"}, print.Column{Title: "REFILLS"})
	}
	drawn := *p
	drawn.bars = look.bars
	table := print.NewTable(columns...)
	for _, row := range rows {
		if look.narrow {
			row.Branch = row.Narrow()
		}
		row.DisplayName = print.Truncate(displayed(row.DisplayName), look.display)
		drawn.appendRow(table, row, func(key string) string {
			if print.Width(key) > look.longestKey {
				return keys[key]
			}
			return key
		})
	}
	return table
}

// displayed is a display name in which blanks make no columns, and nothing acts on the
// terminal.
func displayed(name string) string { return strings.Join(strings.Fields(print.Escape(name)), " ") }

// appendRow adds a row for each key shown, the first one with the name.
func (p *treePrinter) appendRow(table *print.Table, row treeRow, short func(string) string) {
	name := print.Cell{Lead: row.First, Text: row.Name, Note: row.DisplayName}
	if row.Namespace != "" {
		name.Text = row.Namespace + "/" + row.Name
	}
	keys := row.Keys
	if !p.all {
		keys = state.MostUsed(keys, mostKeys)
	}
	if row.above || len(keys) == 0 {
		name.Style = p.theme.Faint
		nothing := print.Texts("-", "-", "-", "-", "-", "-", "-", "-", "-")
		if !row.above {
			nothing[0].Text, name.Style = "(folder)", nil
		}
		table.Append(append([]print.Cell{name}, nothing...)...)
		return
	}
	for _, key := range keys {
		cells := p.cells(key)
		cells[0].Text = short(key.Key)
		table.Append(slices.Insert(cells, 0, name)...)
		name = print.Cell{Text: cmp.Or(row.Rest, " ")}
	}
}

// shortKeys are the keys of the rows shortened by prefixes that everybody knows: what is
// requested of a device is the device, hours are "h:". Keys that would be alike stay.
func shortKeys(rows []treeRow) map[string]string {
	var keys []report.QuotaTreeKey
	for _, row := range rows {
		keys = append(keys, row.Keys...)
	}
	return shortened(keys)
}

func shortened(keys []report.QuotaTreeKey) map[string]string {
	short, same := map[string]string{}, map[string]int{}
	for _, key := range keys {
		if _, known := short[key.Key]; !known {
			short[key.Key] = shortKey(key.Key)
			same[short[key.Key]]++
		}
	}
	for key, text := range short {
		if same[text] > 1 {
			short[key] = key
		}
	}
	return short
}

// shortKey is "h:gpu.A30" of "cash/requests.nvidia.com/gpu.A30", "lim.cpu" of
// "limits.cpu".
func shortKey(key string) string {
	key, cash := strings.CutPrefix(key, "cash/")
	if name, ok := strings.CutPrefix(key, "requests."); ok {
		if _, device, ok := strings.Cut(name, "/"); ok {
			key = device
		} else {
			key = "req." + name
		}
	} else if name, ok := strings.CutPrefix(key, "limits."); ok {
		key = "lim." + name
	}
	if cash {
		return "h:" + key
	}
	return key
}

func (p *treePrinter) cells(key report.QuotaTreeKey) []print.Cell {
	cells := slices.Insert(print.Texts(key.Key, amount(key, key.Used), amount(key, key.Hard), p.left(key)), 1, p.use(key))
	if p.wide {
		refills := ""
		if key.Refills != nil {
			refills = print.Time(key.Refills.Time)
		}
		cells = append(cells, print.Texts(amount(key, key.SelfUsed), amount(key, key.Children), amount(key, key.Reserved), refills)...)
	}
	return cells
}

// use is the percentage in use, after a bar where bars are drawn.
func (p *treePrinter) use(key report.QuotaTreeKey) print.Cell {
	cell := print.Cell{Text: fmt.Sprintf("%3d%%", key.Percent), Style: p.theme.Bad}
	switch {
	case key.Percent < warnPercent:
		cell.Style = p.theme.Good
	case key.Percent < 100:
		cell.Style = p.theme.Warn
	}
	if !p.bars {
		cell.Text = strings.TrimSpace(cell.Text)
		return cell
	}
	part := func(used resource.Quantity, fill string) print.Part {
		return print.Part{Share: used.AsApproximateFloat64() / max(key.Hard.AsApproximateFloat64(), key.Used.AsApproximateFloat64(), 1e-9), Fill: fill}
	}
	bar := print.Stack(barWidth, part(key.SelfUsed, fillSelf), part(key.Children, fillChildren), part(key.Reserved, fillReserved))
	cell.Text = bar + " " + cell.Text
	return cell
}

// left is what is left, of a cash key with how long it lasts: until it is used up,
// or until the refill when that comes first.
func (p *treePrinter) left(key report.QuotaTreeKey) string {
	text := amount(key, key.Left)
	switch {
	case key.PerHour == nil || key.Left.Sign() <= 0:
		return text
	case key.PerHour.IsZero():
		return text + " (idle)"
	case key.RunsOut == nil:
		return text
	case key.Refills != nil && key.Refills.Before(key.RunsOut):
		return text + " (refill)"
	}
	return fmt.Sprintf("%s (%s)", text, duration.HumanDuration(key.RunsOut.Sub(p.now)))
}

// amount is a quantity of a key for people.
func amount(key report.QuotaTreeKey, quantity resource.Quantity) string {
	return quota.Amount(corev1.ResourceName(key.Key), quantity)
}
