package taintplan

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/print"
)

// show prints a plan as --output says: data to stdout, notes to stderr.
func (o *Options) show(p *report.TaintPlan) error {
	for _, unknown := range p.Unknown {
		cli.Warn(o.ErrOut, []string{unknown.Text})
	}
	if o.Output.SortBy != "" {
		sorted := *p
		sorted.Evictions = slices.Clone(p.Evictions)
		if err := errors.Join(cli.SortBy(sorted.Evictions, o.Output.SortBy), saved.Seal(&sorted)); err != nil {
			return err
		}
		p = &sorted
	}
	switch {
	case o.Output.Name():
		return printNames(o.Out, p)
	case !o.Output.Human():
		return o.Output.PrintReport(o.Out, p)
	case len(p.Nodes) == 0:
		fmt.Fprintln(o.ErrOut, "No taint changes: the nodes have what is asked for")
		return nil
	}
	h := o.human()
	h.several = len(p.Waves) > 1
	h.plan(p)
	return h.err
}

// printNames writes the nodes that change, as kubectl names them.
func printNames(w io.Writer, p *report.TaintPlan) error {
	for _, node := range p.Nodes {
		if _, err := fmt.Fprintln(w, "node/"+print.Escape(node.Name)); err != nil {
			return err
		}
	}
	return nil
}

// writeYAML writes a plan as --apply reads it.
func writeYAML(w io.Writer, p *report.TaintPlan) error {
	return (&printers.YAMLPrinter{}).PrintObj(p, w)
}

// human draws plans for people. The first error of writing stays in err.
type human struct {
	io.Writer
	theme print.Theme
	width int
	// wide lifts the limits of width and of rows, titles stand over tables, several
	// waves are told apart, and timeline is drawn.
	wide, titles, several, timeline bool
	err                             error
}

func (o *Options) human() *human {
	return &human{
		Writer:   o.Out,
		theme:    o.Output.Color.Theme(o.Env),
		width:    o.Width(),
		wide:     o.Output.Wide(),
		titles:   !o.Output.NoHeaders,
		timeline: o.Timeline,
	}
}

func (h *human) plan(p *report.TaintPlan) {
	h.header(p)
	h.evictions(p.Evictions)
	if h.timeline {
		h.timelines(p)
	}
	h.preempted(p.Preempted)
	h.reasons("Left pending", pendingPods(p))
	h.workloads(p.Workloads)
	h.budgets(p.Budgets)
	h.reasons("Stay, but could not start again", strandedPods(p.Stranded))
	h.freed(p.Freed)
	h.narrowed(p.Narrowed)
	h.daemons(p.Daemons)
	h.shifts(p.Shifts)
	h.waves(p)
	h.drift(p.Drift)
}

// maxRows is how many rows of a table, maxNames how many names are shown without -o
// wide.
const (
	maxRows  = 20
	maxNames = 10
)

// printf writes text that is escaped already.
func (h *human) printf(format string, args ...any) {
	if h.err == nil {
		_, h.err = fmt.Fprintf(h.Writer, format, args...)
	}
}

// paragraph writes a text, wrapped; what follows its first line is indented.
func (h *human) paragraph(indent, text string, style print.Style) {
	for line := range strings.SplitSeq(print.Wrap(print.Escape(text), h.width, indent), "\n") {
		h.printf("%s%s\n", indent, style(strings.TrimPrefix(line, indent)))
	}
}

// title opens a section.
func (h *human) title(text string) { h.printf("\n%s\n", h.theme.Strong(text+":")) }

// section draws a table under a title, of the first rows unless -o wide wants all;
// nothing for no items.
func section[T any](h *human, title string, items []T, columns []print.Column, row func(T) []print.Cell) {
	if len(items) == 0 {
		return
	}
	h.title(title)
	shown := items
	if !h.wide {
		shown = items[:min(maxRows, len(items))]
	}
	table := print.NewTable(columns...)
	for _, item := range shown {
		table.Append(row(item)...)
	}
	opts := print.TableOptions{Width: h.width, NoHeaders: !h.titles, Title: h.theme.Heading}
	if h.wide {
		opts.Width = 0
	}
	if h.err == nil {
		h.err = table.Write(h.Writer, opts)
	}
	h.more(len(items) - len(shown))
}

// more says how many were left out.
func (h *human) more(n int) {
	if n > 0 {
		h.printf("%s\n", h.theme.Faint(fmt.Sprintf("... and %d more (-o wide for all)", n)))
	}
}

// names joins names, the first ones unless -o wide wants all.
func (h *human) names(names []string) string {
	if !h.wide {
		names = cut(names, maxNames)
	}
	return strings.Join(names, ", ")
}

// noted is a cell in a style, faint if it is empty.
func (h *human) noted(text string, style print.Style) print.Cell {
	if text == "" {
		style = h.theme.Faint
	}
	return print.Cell{Text: text, Style: style}
}

// reason is what holds for pods of a workload alike: mostly why they have no node.
type reason struct {
	// who is a workload or a pod, as Kind/name, pods how many it has.
	namespace, who, text string
	pods                 int
}

// reasons draws a reason a workload.
func (h *human) reasons(title string, reasons []reason) {
	if len(reasons) == 0 {
		return
	}
	h.title(title)
	shown := reasons
	if !h.wide {
		shown = reasons[:min(maxRows, len(reasons))]
	}
	for _, r := range shown {
		h.printf("%s %s\n", h.theme.Bad(print.Escape(r.namespace+"/"+r.who)), h.theme.Faint("("+print.Count(r.pods, "pod")+")"))
		h.paragraph("  ", r.text, func(text string) string { return text })
	}
	h.more(len(reasons) - len(shown))
}

// gather adds a pod to the reasons of its workload, or to its own.
func gather(reasons []reason, namespace, name, workload, text string) []reason {
	added := reason{namespace: namespace, who: cmp.Or(workload, "Pod/"+name), text: text, pods: 1}
	if i := slices.IndexFunc(reasons, func(r reason) bool { r.pods = 1; return r == added }); i >= 0 {
		reasons[i].pods++
		return reasons
	}
	return append(reasons, added)
}

func pendingPods(p *report.TaintPlan) []reason {
	var reasons []reason
	for _, e := range p.Evictions {
		if e.Fate == report.FatePending {
			reasons = gather(reasons, e.Namespace, e.Name, e.Workload, e.PendingReason)
		}
	}
	for _, e := range p.Preempted {
		if e.Fate == report.FatePending {
			reasons = gather(reasons, e.Namespace, e.Name, e.Workload, e.PendingReason)
		}
	}
	return reasons
}

func strandedPods(stranded []report.StrandedPod) []reason {
	var reasons []reason
	for _, s := range stranded {
		reasons = gather(reasons, s.Namespace, s.Name, s.Workload, s.Reason)
	}
	return reasons
}
