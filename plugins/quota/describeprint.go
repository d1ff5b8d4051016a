package quota

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
)

// mostEntries is how many workloads and children are shown, unless -o wide.
const mostEntries = 20

// describePrinter draws groups at length. The first error of writing stays in err.
type describePrinter struct {
	io.Writer
	treePrinter
	width, tableWidth int
	err               error
}

func (p *describePrinter) describe(d *state.Description) {
	group := d.Group
	p.field("Name", group.Name)
	if d.Item.DisplayName != "" {
		p.field("Display name", d.Item.DisplayName)
	}
	p.field("Parent", cmp.Or(group.Spec.ParentBizGroup, "<none>")+brokenNote(d.Item.Broken))
	p.field("Age", print.Age(group.CreationTimestamp.Time, p.now))
	p.field("Allowed", whoMayUse(group))
	p.field("Surge", string(cmp.Or(group.Spec.Surge, stowagev1alpha1.SurgeIgnore)))
	p.field("Autoscalers", string(cmp.Or(group.Spec.HPA, stowagev1alpha1.HPAWarn)))
	p.field("Refill", refill(d))
	p.field("Counted", p.counted(group))
	p.keys(d.Item.Keys)
	p.workloads(d.Workloads)
	p.uncharged(d.Item.Uncharged)
	p.children(d.Children)
	p.reservations(d.Reservations)
	p.history(group)
	p.conditions(group)
	p.events(d.Events)
}

// brokenNote is why a group hangs on no root, in parentheses.
func brokenNote(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

func (p *describePrinter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.Writer, format, args...)
	}
}

// field writes one line, as `kubectl describe` does.
func (p *describePrinter) field(name, value string) {
	const width = 14
	indent := strings.Repeat(" ", width)
	text := strings.TrimPrefix(print.Wrap(print.Escape(value), p.width, indent), indent)
	p.printf("%s%s%s\n", p.theme.Heading(name+":"), indent[len(name)+1:], text)
}

// entry is one line of a section, with its amounts below, or what is said in their place.
type entry struct {
	name    string
	amounts corev1.ResourceList
	none    string
}

// list writes entries under their name: the first ones unless all are wanted, and what the
// others sum to, each amount as write does.
func (p *describePrinter) list(name string, entries []entry, write func(corev1.ResourceName, resource.Quantity) string) {
	if len(entries) == 0 {
		p.field(name, "<none>")
		return
	}
	p.printf("%s\n", p.theme.Heading(name+":"))
	shown := len(entries)
	if !p.wide {
		shown = min(shown, mostEntries)
	}
	for _, e := range entries[:shown] {
		p.printf("  %s\n", p.theme.Strong(print.Escape(e.name)))
		p.printf("%s\n", print.Wrap(print.Escape(cmp.Or(amounts(e.amounts, write), e.none)), p.width, "    "))
	}
	if more := entries[shown:]; len(more) > 0 {
		p.printf("  and %d more (-o wide shows all)\n", len(more))
		p.printf("%s\n", print.Wrap(print.Escape(cmp.Or(amounts(sum(more), write), "nothing")), p.width, "    "))
	}
}

// sum is what the entries have together.
func sum(entries []entry) corev1.ResourceList {
	total := corev1.ResourceList{}
	for _, e := range entries {
		for key, amount := range e.amounts {
			of := total[key].DeepCopy()
			of.Add(amount)
			total[key] = of
		}
	}
	return total
}

// section writes a table under its name, or that there is none of it.
func (p *describePrinter) section(name string, rows int, table *print.Table) {
	if rows == 0 {
		p.field(name, "<none>")
		return
	}
	p.printf("%s\n", p.theme.Heading(name+":"))
	if p.err == nil {
		p.err = table.Write(p.Writer, p.tableOptions())
	}
}

// whoMayUse says whose workloads the group's quota is for.
func whoMayUse(group *quota.Group) string {
	use := fmt.Sprintf("whoever has the RBAC verb use on %s/%s", stowagev1alpha1.BizGroupResourceQuotaResource, group.Name)
	if group.Spec.Allow == nil || len(group.Spec.Allow.Namespaces) == 0 {
		return use
	}
	return fmt.Sprintf("workloads in namespaces %s; %s", strings.Join(group.Spec.Allow.Namespaces, ", "), use)
}

func refill(d *state.Description) string {
	refill := d.Group.Spec.Refill
	if refill == nil {
		return "<none>"
	}
	text := fmt.Sprintf("%q %s", refill.Schedule, cmp.Or(refill.TimeZone, "UTC"))
	if !d.Refills.IsZero() {
		text += ", next " + print.Time(d.Refills)
	}
	return text
}

func (p *describePrinter) counted(group *quota.Group) string {
	switch {
	case group.Status.LastReconcileTime == nil:
		return "never: the in-cluster component has not seen it yet"
	case !quota.Counted(group):
		return fmt.Sprintf("not since its last change (generation %d, counted %d)", group.Generation, group.Status.ObservedGeneration)
	}
	return print.Age(group.Status.LastReconcileTime.Time, p.now) + " ago"
}

func (p *describePrinter) keys(keys []report.QuotaTreeKey) {
	if len(keys) == 0 {
		p.field("Quota", "<none>: a folder, which limits nothing")
		return
	}
	table := p.keyTable(keys, func(key string) string { return key })
	if opts := p.tableOptions(); opts.Width > 0 && table.Width(opts) > opts.Width {
		short := shortened(keys)
		table = p.keyTable(keys, func(key string) string { return short[key] })
	}
	p.section("Quota", len(keys), table)
}

func (p *describePrinter) keyTable(keys []report.QuotaTreeKey, name func(string) string) *print.Table {
	table := print.NewTable(
		print.Column{Title: "KEY", Middle: true}, print.Column{Title: "USE"},
		print.Column{Title: "SELF"}, print.Column{Title: "CHILDREN"}, print.Column{Title: "RESERVED"},
		print.Column{Title: "HARD"}, print.Column{Title: "LEFT"},
	)
	for _, key := range keys {
		table.Append(slices.Insert(print.Texts(name(key.Key), amount(key, key.SelfUsed), amount(key, key.Children), amount(key, key.Reserved), amount(key, key.Hard), p.left(key)), 1, p.use(key))...)
	}
	return table
}

// tableOptions are those of a section's table.
func (p *describePrinter) tableOptions() print.TableOptions {
	opts := print.TableOptions{Indent: "  ", Width: p.tableWidth, Title: p.theme.Faint}
	if p.wide {
		opts.Width = 0
	}
	return opts
}

// amounts writes amounts as "limits.cpu 12, pods 3".
func amounts(list corev1.ResourceList, write func(corev1.ResourceName, resource.Quantity) string) string {
	var parts []string
	for _, key := range quota.Keys(list) {
		parts = append(parts, string(key)+" "+write(key, list[key]))
	}
	return strings.Join(parts, ", ")
}

func (p *describePrinter) workloads(workloads []quota.Charged) {
	var entries []entry
	for _, charged := range workloads {
		entries = append(entries, entry{charged.Namespace + "/" + charged.String(), charged.Charge, idle(charged)})
	}
	p.list("Workloads", entries, hourly)
}

// hourly writes an amount that a workload has of a key; of hours, what it uses an hour.
func hourly(key corev1.ResourceName, quantity resource.Quantity) string {
	text := quota.Amount(key, quantity)
	if quota.IsCash(key) {
		text += " an hour"
	}
	return text
}

// idle says why a workload charges nothing.
func idle(charged quota.Charged) string {
	switch {
	case charged.Finished:
		return "nothing: finished"
	case charged.Suspended:
		return "nothing: suspended"
	}
	return "nothing"
}

// uncharged says what names the group and charges nothing, if there is something.
func (p *describePrinter) uncharged(objects []report.QuotaUncharged) {
	var entries []entry
	for _, object := range objects {
		entries = append(entries, entry{name: object.Object, none: object.Why})
	}
	if len(entries) > 0 {
		p.list("Uncharged", entries, quota.Amount)
	}
}

func (p *describePrinter) children(children []state.Child) {
	var entries []entry
	for _, child := range children {
		name := child.Name
		if child.DisplayName != "" {
			name += " (" + displayed(child.DisplayName) + ")"
		}
		entries = append(entries, entry{name, child.Hard, "nothing"})
	}
	p.list("Children", entries, quota.Amount)
}

func (p *describePrinter) reservations(reservations []state.Reservation) {
	var entries []entry
	for _, reservation := range reservations {
		object := reservation.Object
		name := object.Resource + "/" + object.Name
		if object.Namespace != "" {
			name = object.Namespace + "/" + name
		}
		expires := "expired, and being looked for"
		if !reservation.Expired {
			expires = "expires in " + print.Age(p.now, reservation.Expiry)
		}
		entries = append(entries, entry{name + " (" + expires + ")", reservation.Amounts, "nothing"})
	}
	p.list("Reservations", entries, quota.Amount)
}

func (p *describePrinter) history(group *quota.Group) {
	table := print.NewTable(print.Column{Title: "FROM"}, print.Column{Title: "TO"}, print.Column{Title: "USED", Flexible: true})
	for _, period := range group.Status.History {
		var used []string
		for _, name := range quota.Keys(period.Used) {
			key := report.QuotaTreeKey{Key: string(name), Hard: group.Spec.Hard[name]}
			used = append(used, key.Key+" "+amount(key, period.Used[name]))
		}
		table.Append(print.Texts(day(period.Start), day(period.End), strings.Join(used, ", "))...)
	}
	p.section("History", len(group.Status.History), table)
}

// day is an instant to the minute, in UTC.
func day(t metav1.Time) string { return t.UTC().Format("2006-01-02T15:04Z") }

func (p *describePrinter) conditions(group *quota.Group) {
	table := print.NewTable(print.Column{Title: "TYPE"}, print.Column{Title: "STATUS"}, print.Column{Title: "SINCE"}, print.Column{Title: "MESSAGE", Flexible: true})
	for _, condition := range group.Status.Conditions {
		table.Append(slices.Insert(print.Texts(string(condition.Status), print.Age(condition.LastTransitionTime.Time, p.now), condition.Message), 0, print.Cell{Text: condition.Type, Style: p.theme.Strong})...)
	}
	p.section("Conditions", len(group.Status.Conditions), table)
}

func (p *describePrinter) events(events []state.Event) {
	table := print.NewTable(print.Column{Title: "TYPE"}, print.Column{Title: "REASON"}, print.Column{Title: "AGE"}, print.Column{Title: "MESSAGE", Flexible: true})
	for _, event := range events {
		table.Append(print.Texts(event.Type, event.Reason, print.Age(event.At, p.now), event.Message)...)
	}
	p.section("Events", len(events), table)
}
