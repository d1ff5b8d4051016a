package quota

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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
	opts := print.TableOptions{Width: o.Width(), NoHeaders: o.output.NoHeaders, Title: p.theme.Heading}
	if p.wide {
		opts.Width = 0
	}
	return p.table(tree.Items).Write(o.Out, opts)
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

func (p *treePrinter) table(items []report.QuotaTreeItem) *print.Table {
	columns := []print.Column{
		{Title: "NAME", Middle: true},
		{Title: "KEY", Middle: true, Flexible: true},
		{Title: "USE"},
		{Title: "USED"},
		{Title: "HARD"},
		{Title: "LEFT"},
	}
	if p.wide {
		columns = append(columns, print.Column{Title: "SELF"}, print.Column{Title: "CHILDREN"}, print.Column{Title: "RESERVED"}, print.Column{Title: "REFILLS"})
	}
	table := print.NewTable(columns...)
	depths := make([]int, len(items))
	for i, item := range items {
		depths[i] = item.Depth
	}
	for i, branch := range print.Branches(depths) {
		p.appendItem(table, branch, items[i])
	}
	return table
}

// appendItem adds a row for each key shown, the first one with the name.
func (p *treePrinter) appendItem(table *print.Table, branch print.Branch, item report.QuotaTreeItem) {
	name := branch.First + item.Name
	if item.Namespace != "" {
		name = item.Namespace + "/" + item.Name
	}
	keys := item.Keys
	if !p.all {
		keys = state.MostUsed(keys, mostKeys)
	}
	if len(keys) == 0 {
		table.Append(print.Cell{Text: name}, print.Cell{}, print.Cell{Style: p.theme.Good})
	}
	for _, key := range keys {
		table.Append(slices.Insert(p.cells(key), 0, print.Cell{Text: name})...)
		name = cmp.Or(branch.Rest, " ")
	}
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
