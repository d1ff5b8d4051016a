package whypending

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// print writes the answer: data to stdout, notes to stderr.
func (o *Options) print(answer *answer) error {
	cli.Warn(o.ErrOut, cli.MissingNotes(answer.snap))
	if len(answer.report.Items) > 0 {
		cli.Warn(o.ErrOut, answer.assumptions)
	}
	for _, note := range answer.notes {
		fmt.Fprintln(o.ErrOut, print.Escape(note))
	}
	switch {
	case o.Output.Name():
		return printNames(o.Out, answer.report.Items)
	case !o.Output.Human():
		return o.Output.PrintReport(o.Out, answer.report)
	case len(answer.report.Items) == 0:
		if len(answer.notes) == 0 {
			fmt.Fprintln(o.ErrOut, o.nothing(answer.snap))
		}
		return nil
	}
	h := &human{
		Writer: o.Out,
		theme:  o.Output.Color.Theme(o.Env),
		width:  o.Width(),
		now:    answer.snap.Now().Time,
		all:    o.Select.AllNamespaces,
		nodes:  o.Nodes,
		wide:   o.Output.Wide(),
		titles: !o.Output.NoHeaders,
	}
	switch {
	case o.All && !h.wide:
		h.groups(answer.report)
	case o.All:
		h.groupTable(answer.report)
	case !h.nodes && (h.wide || answer.listed):
		h.table(answer.report.Items)
	default:
		h.blocks(answer.report.Items)
	}
	return h.err
}

// nothing says that nothing is pending, as kubectl does of resources.
func (o *Options) nothing(snap *snapshot.Snapshot) string {
	if o.namespace == "" {
		return "No pending pods found"
	}
	text := fmt.Sprintf("No pending pods found in %s namespace.", o.namespace)
	if len(snap.Namespaces) == 0 || snap.Namespace(o.namespace) != nil {
		return text
	}
	var names []string
	for _, namespace := range snap.Namespaces {
		names = append(names, namespace.Name)
	}
	return fmt.Sprintf("%s There is no such namespace%s", text, nearest.DidYouMean(o.namespace, names))
}

// printNames writes one line an item, as `kubectl get -o name`.
func printNames(w io.Writer, items []report.PendingItem) error {
	for _, item := range items {
		if _, err := fmt.Fprintln(w, print.Escape(label(item))); err != nil {
			return err
		}
	}
	return nil
}

// label is an item as TYPE/NAME ("pod/web-0", "deployment.apps/web").
func label(item report.PendingItem) string {
	if item.Kind == "" {
		return "pod/" + item.Name
	}
	return cli.TypeName(item.Kind) + "/" + item.Name
}

// human draws reports for people. The first error of writing stays in err.
type human struct {
	io.Writer
	theme print.Theme
	width int
	now   time.Time
	// all adds the namespace to every row, nodes the nodes to every block.
	all, nodes, wide, titles bool
	err                      error
}

// printf writes text that is escaped already.
func (h *human) printf(format string, args ...any) {
	if h.err == nil {
		_, h.err = fmt.Fprintf(h.Writer, format, args...)
	}
}

// draw writes a table, in the given width unless -o wide lifts it.
func (h *human) draw(table *print.Table, width int, indent string, titles bool) {
	if h.wide {
		width = 0
	}
	if h.err == nil {
		h.err = table.Write(h.Writer, print.TableOptions{Width: width, NoHeaders: !titles, Indent: indent, Title: h.theme.Heading})
	}
}

// paragraph writes a text from the report, wrapped under an indent; it begins
// with lead, which is as wide as the indent.
func (h *human) paragraph(lead, text, indent string, style print.Style) {
	lines := strings.Split(print.Hang(indent, print.Escape(text), h.width, indent), "\n")
	for i, line := range lines {
		body := style(strings.TrimPrefix(line, indent))
		if i == 0 {
			h.printf("%s%s\n", lead, body)
			continue
		}
		h.printf("%s%s\n", indent, body)
	}
}

// verdict is a cell that holds one.
func (h *human) verdict(verdict report.Verdict) print.Cell {
	return print.Cell{Text: string(verdict), Style: h.verdictStyle(verdict)}
}

func (h *human) verdictStyle(verdict report.Verdict) print.Style {
	switch verdict {
	case report.VerdictSchedulable:
		return h.theme.Good
	case report.VerdictGated, report.VerdictUnknown:
		return h.theme.Warn
	}
	return h.theme.Bad
}

// table draws one row an item, as kubectl lists things.
func (h *human) table(items []report.PendingItem) {
	columns := []print.Column{
		{Title: "NAME", Middle: true},
		{Title: "VERDICT"},
		{Title: "AGE"},
		{Title: "CAUSE", Flexible: true},
	}
	if h.wide {
		columns = append(columns, print.Column{Title: "WORKLOAD"}, print.Column{Title: "REMEDY"}, print.Column{Title: "COMMAND"})
	}
	if h.all {
		columns = slices.Insert(columns, 0, print.Column{Title: "NAMESPACE", Middle: true})
	}
	table := print.NewTable(columns...)
	for _, item := range items {
		cells := []print.Cell{{Text: rowName(item)}, h.verdict(item.Verdict), {Text: h.age(item)}, {Text: summary(item, h.wide)}}
		if h.wide {
			remedy := firstRemedy(item.Remedies)
			cells = append(cells, print.Texts(item.Workload, remedy.Description, remedy.Command)...)
		}
		if h.all {
			cells = slices.Insert(cells, 0, print.Cell{Text: item.Namespace})
		}
		table.Append(cells...)
	}
	h.draw(table, h.width, "", h.titles)
}

// rowName is a pod's bare name; a workload keeps its type.
func rowName(item report.PendingItem) string {
	if item.Kind == "" {
		return item.Name
	}
	return label(item)
}

func (h *human) age(item report.PendingItem) string {
	if item.PendingSince == nil {
		return ""
	}
	return print.Age(item.PendingSince.Time, h.now)
}

// summary is an item's causes in one line, the first first and, if long, with
// what it names. The scheduler's "node(s)" is left out of the short form.
func summary(item report.PendingItem, long bool) string {
	texts := make([]string, len(item.Causes))
	for i, cause := range item.Causes {
		texts[i] = strings.TrimPrefix(cause.Reason, "node(s) ")
		if long {
			texts[i] = cause.Reason
		}
		if long && i == 0 && cause.Detail != "" {
			texts[i] += ": " + cause.Detail
		}
	}
	return strings.Join(texts, "; ")
}

func firstRemedy(remedies []report.Remedy) report.Remedy {
	if len(remedies) == 0 {
		return report.Remedy{}
	}
	return remedies[0]
}

// groups draws --all: each cause with its pods, an example and the best remedy.
func (h *human) groups(r *report.PendingReport) {
	pods := 0
	for _, group := range r.Groups {
		pods += group.Pods
	}
	h.printf("%s\n", h.theme.Strong(fmt.Sprintf("%s, %s", print.Count(pods, "pod"), print.Count(len(r.Groups), "cause"))))
	for i, group := range r.Groups {
		lead := fmt.Sprintf("%2d. ", i+1)
		of := ""
		if group.Workloads > 0 {
			of = " of " + print.Count(group.Workloads, "workload")
		}
		h.printf("\n%s%s%s  %s\n", lead, h.theme.Strong(print.Count(group.Pods, "pod")), of, h.verdictStyle(group.Verdict)(string(group.Verdict)))
		h.paragraph("    ", group.Cause, "    ", h.theme.Strong)
		h.printf("    %s %s\n", h.theme.Faint("e.g."), print.Escape(group.Example))
		if group.Remedy != nil {
			frees := fmt.Sprintf(" (frees %d of %d)", group.RemedyFrees, group.Pods)
			h.remedy("    → ", *group.Remedy, frees)
		}
	}
	if refused := refused(r.Items); len(refused) > 0 {
		h.printf("\n%s\n\n", h.theme.Strong(print.Count(len(refused), "workload")+" whose pods cannot be created"))
		h.blocks(refused)
	}
}

// refused are the workloads whose pods cannot be created, which are in no group.
func refused(items []report.PendingItem) []report.PendingItem {
	var found []report.PendingItem
	for _, item := range items {
		if item.Verdict == report.VerdictNotCreated {
			found = append(found, item)
		}
	}
	return found
}

// groupTable draws --all -o wide: one row a group, then one a refused workload.
func (h *human) groupTable(r *report.PendingReport) {
	table := print.NewTable(
		print.Column{Title: "PODS"}, print.Column{Title: "WORKLOADS"}, print.Column{Title: "VERDICT"},
		print.Column{Title: "EXAMPLE"}, print.Column{Title: "CAUSE"}, print.Column{Title: "FREES"},
		print.Column{Title: "REMEDY"}, print.Column{Title: "COMMAND"},
	)
	row := func(verdict report.Verdict, others ...string) {
		table.Append(slices.Insert(print.Texts(others...), 2, h.verdict(verdict))...)
	}
	for _, group := range r.Groups {
		remedy := report.Remedy{}
		if group.Remedy != nil {
			remedy = *group.Remedy
		}
		row(group.Verdict, fmt.Sprint(group.Pods), fmt.Sprint(group.Workloads), group.Example, group.Cause,
			fmt.Sprint(group.RemedyFrees), remedy.Description, remedy.Command)
	}
	for _, item := range refused(r.Items) {
		remedy := firstRemedy(item.Remedies)
		row(item.Verdict, fmt.Sprint(item.Replicas), "1", item.Namespace+"/"+item.Name, summary(item, true),
			"", remedy.Description, remedy.Command)
	}
	h.draw(table, 0, "", h.titles)
}

// remedy draws one remedy: the sentence, and the command on a line of its own,
// never wrapped, so that it can be copied.
func (h *human) remedy(lead string, remedy report.Remedy, suffix string) {
	indent := strings.Repeat(" ", print.Width(lead))
	h.paragraph(lead, strings.TrimSuffix(remedy.Description, ".")+suffix, indent, h.theme.Good)
	for line := range strings.SplitSeq(remedy.Command, "\n") {
		if line != "" {
			h.printf("%s  %s\n", indent, h.theme.Code(print.Escape(line)))
		}
	}
}
