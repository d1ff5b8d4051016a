package taintplan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// header says what changes on which nodes, in the words of kubectl taint, and what
// comes of it in a line.
func (h *human) header(p *report.TaintPlan) {
	names := nodeNames(p)
	h.paragraph("", fmt.Sprintf("%s %s: %s", print.Count(len(names), "node"), operation(p.Change), h.names(names)), h.theme.Strong)
	for _, added := range p.Change.Add {
		h.printf("  %s\n", h.theme.Warn("+ "+print.Escape(added.ToString())))
	}
	for _, key := range p.Change.Remove {
		h.printf("  %s\n", h.theme.Good("- "+print.Escape(taintText(key.Key, key.Effect))))
	}
	h.paragraph("", summary(p.Summary), h.theme.Strong)
}

// nodeNames are the names of the nodes that change.
func nodeNames(p *report.TaintPlan) []string {
	names := make([]string, len(p.Nodes))
	for i, node := range p.Nodes {
		names[i] = node.Name
	}
	return names
}

// operation is kubectl taint's word for a change.
func operation(change report.TaintChange) string {
	switch {
	case len(change.Remove) == 0 && !change.Overwrite:
		return "tainted"
	case len(change.Add) == 0:
		return "untainted"
	}
	return "modified"
}

// changeText is a change as kubectl taint takes it.
func changeText(change report.TaintChange) string {
	var words []string
	for i := range change.Add {
		words = append(words, change.Add[i].ToString())
	}
	for _, key := range change.Remove {
		words = append(words, taintText(key.Key, key.Effect)+"-")
	}
	return strings.Join(words, " ")
}

// summary says in a line what comes of a plan.
func summary(s report.TaintSummary) string {
	fates := counted(", ",
		count{s.Evicted.RePlaced, "re-placed"}, count{s.Evicted.Returns, "placed where they are evicted again"},
		count{s.Evicted.OtherScheduler, "left to another scheduler"}, count{s.Evicted.Pending, leftPending}, count{s.Evicted.Lost, lost},
	)
	if fates != "" {
		fates = ": " + fates
	}
	makeRoom := "preempted to make room"
	if worse := counted(", ", count{s.Preempted.Pending, leftPending}, count{s.Preempted.Lost, lost}); worse != "" {
		makeRoom += " (" + worse + ")"
	}
	others := counted("; ",
		count{s.Preempted.Total, makeRoom},
		count{s.BudgetsBroken, "disruption budget(s) broken"},
		count{s.Stranded, "that could not start again"},
		count{s.Freed, "pending now that get a node"},
	)
	if others != "" {
		others = "; " + others
	}
	return print.Count(int(s.Evicted.Total), "pod") + " evicted" + fates + others
}

// The worst fates of displaced pods, as the summary words them.
const (
	leftPending = "left pending"
	lost        = "lost for good"
)

// count is so many of something.
type count struct {
	n    int32
	what string
}

// counted joins what there is some of.
func counted(separator string, counts ...count) string {
	var texts []string
	for _, c := range counts {
		if c.n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(texts, separator)
}

// waved adds the column WAVE, where there are several.
func (h *human) waved(columns []print.Column) []print.Column {
	if h.several {
		return slices.Insert(columns, 0, print.Column{Title: "WAVE"})
	}
	return columns
}

// wavedRow adds a row's wave, where there are several.
func (h *human) wavedRow(wave int32, texts ...string) []print.Cell {
	if h.several {
		texts = slices.Insert(texts, 0, fmt.Sprint(wave))
	}
	return print.Texts(texts...)
}

// pod are the columns that begin every table of pods.
func pod(more ...print.Column) []print.Column {
	return append([]print.Column{{Title: "NAMESPACE", Middle: true}, {Title: "NAME", Middle: true, Flexible: true}}, more...)
}

// landing is a pod's new node, or that it has none.
func (h *human) landing(node string, fate report.Fate) print.Cell {
	if fate == report.FatePending {
		return print.Cell{Text: "Pending", Style: h.theme.Bad}
	}
	return h.noted(node, h.theme.Good)
}

func (h *human) evictions(evictions []report.Eviction) {
	columns := pod(
		print.Column{Title: "NODE", Middle: true},
		print.Column{Title: "AFTER"},
		print.Column{Title: "NEW-NODE", Middle: true},
		print.Column{Title: "NOTES", Flexible: true},
	)
	if h.wide {
		columns = append(columns, print.Column{Title: "WORKLOAD"}, print.Column{Title: "PDB"}, print.Column{Title: "PENDING-REASON"})
	}
	section(h, "Evictions", evictions, h.waved(columns), func(e report.Eviction) []print.Cell {
		cells := append(h.wavedRow(e.Wave, e.Namespace, e.Name, e.Node, seconds(e.AfterSeconds)),
			h.landing(e.NewNode, e.Fate), h.notes(e.PDBViolated != "", e.Marks))
		if h.wide {
			cells = append(cells, print.Texts(e.Workload, e.PDBViolated, e.PendingReason)...)
		}
		return cells
	})
}

// notes are what is special about a displaced pod, the worst first.
func (h *human) notes(breaksPDB bool, marks []report.Mark) print.Cell {
	var notes []string
	if breaksPDB {
		notes = append(notes, "breaks-pdb")
	}
	for _, mark := range marks {
		notes = append(notes, string(mark))
	}
	return h.noted(strings.Join(notes, ","), h.theme.Warn)
}

// timelineHeight is how high a chart is, in cells.
const timelineHeight = 6

// timelines draws the evictions of each wave against the seconds after its taints.
func (h *human) timelines(p *report.TaintPlan) {
	for wave := range p.Waves {
		var points []print.Point
		for _, e := range p.Evictions {
			if int(e.Wave) == wave+1 {
				points = append(points, print.Point{At: time.Duration(e.AfterSeconds) * time.Second, Count: 1})
			}
		}
		if len(points) == 0 {
			continue
		}
		title := "Evictions by time after the taints"
		if h.several {
			title += fmt.Sprintf(" of wave %d", wave+1)
		}
		h.title(title)
		chart := print.Chart{Width: h.width, Height: timelineHeight, Column: h.theme.Bad, Axis: h.theme.Faint}
		if h.err == nil {
			h.err = chart.Write(h.Writer, points)
		}
	}
}

func (h *human) preempted(preempted []report.PreemptedPod) {
	columns := pod(
		print.Column{Title: "NODE", Middle: true},
		print.Column{Title: "BY", Middle: true, Flexible: true},
		print.Column{Title: "NEW-NODE", Middle: true},
	)
	noted := slices.ContainsFunc(preempted, func(p report.PreemptedPod) bool { return len(p.Marks) > 0 })
	if noted {
		columns = append(columns, print.Column{Title: "NOTES", Flexible: true})
	}
	section(h, "Preempted to make room", preempted, h.waved(columns), func(p report.PreemptedPod) []print.Cell {
		cells := append(h.wavedRow(p.Wave, p.Namespace, p.Name, p.Node, p.By), h.landing(p.NewNode, p.Fate))
		if noted {
			cells = append(cells, h.notes(false, p.Marks))
		}
		return cells
	})
}

func (h *human) workloads(workloads []report.WorkloadVerdict) {
	columns := []print.Column{
		{Title: "NAMESPACE", Middle: true},
		{Title: "WORKLOAD", Middle: true, Flexible: true},
		{Title: "EVICTED"},
		{Title: "READY"},
		{Title: "LOWEST"},
		{Title: "BELOW-PDB"},
	}
	if h.wide {
		columns = append(columns, print.Column{Title: "PENDING"}, print.Column{Title: "PDB"}, print.Column{Title: "START"})
	}
	section(h, "Workloads", workloads, columns, func(w report.WorkloadVerdict) []print.Cell {
		ready := fmt.Sprintf("%d→%d", w.ReadyBefore, w.ReadyAfter)
		lowest := fmt.Sprintf("%d at %s", w.Lowest, seconds(w.LowestAtSeconds))
		if h.several && h.wide && w.LowestWave > 0 {
			lowest += fmt.Sprintf(" of wave %d", w.LowestWave)
		}
		cells := append(print.Texts(w.Namespace, w.Workload, fmt.Sprint(w.Evicted), ready, lowest), h.below(w.BelowSeconds))
		return append(cells, print.Texts(fmt.Sprint(w.Pending), w.Budget, seconds(w.StartSeconds))...)
	})
}

func (h *human) budgets(budgets []report.BudgetVerdict) {
	columns := []print.Column{
		{Title: "NAMESPACE", Middle: true},
		{Title: "NAME", Middle: true, Flexible: true},
		{Title: "DESIRED"},
		{Title: "HEALTHY"},
		{Title: "LOWEST"},
		{Title: "BELOW"},
	}
	section(h, "PodDisruptionBudgets", budgets, columns, func(b report.BudgetVerdict) []print.Cell {
		return append(print.Texts(b.Namespace, b.Name, fmt.Sprint(b.Desired), fmt.Sprint(b.Healthy), fmt.Sprint(b.Lowest)), h.below(b.BelowSeconds))
	})
}

// below is for how long something is below what a budget asks for.
func (h *human) below(n int64) print.Cell {
	text := ""
	switch {
	case n < 0:
		text = "for good"
	case n > 0:
		text = "for " + seconds(n)
	}
	return h.noted(text, h.theme.Bad)
}

func (h *human) freed(freed []report.FreedPod) {
	columns := pod(print.Column{Title: "NEW-NODE", Middle: true})
	section(h, "Pending now, and placed by it", freed, h.waved(columns), func(f report.FreedPod) []print.Cell {
		node := f.Node
		if f.ForSeconds > 0 { // a taint evicts it again
			node += " for " + seconds(f.ForSeconds)
		}
		return append(h.wavedRow(f.Wave, f.Namespace, f.Name), h.noted(node, h.theme.Good))
	})
}

// narrowed draws the pods that wait with fewer nodes to wait for, a row for those of
// a workload that lose the same.
func (h *human) narrowed(narrowed []report.NarrowedPod) {
	var rows []reason
	for _, n := range narrowed {
		rows = gather(rows, n.Namespace, n.Name, n.Workload, strings.Join(n.Lost, ","))
	}
	columns := []print.Column{
		{Title: "NAMESPACE", Middle: true},
		{Title: "WORKLOAD", Middle: true, Flexible: true},
		{Title: "PODS"},
		{Title: "LOST-NODES", Flexible: true},
	}
	section(h, "Pending now, with fewer nodes to wait for", rows, columns, func(r reason) []print.Cell {
		return print.Texts(r.namespace, r.who, fmt.Sprint(r.pods), r.text)
	})
}

func (h *human) daemons(daemons []report.DaemonChange) {
	columns := pod(print.Column{Title: "STARTS-ON", Flexible: true}, print.Column{Title: "STOPS-ON", Flexible: true})
	section(h, "DaemonSets", daemons, columns, func(d report.DaemonChange) []print.Cell {
		return print.Texts(d.Namespace, d.Name, strings.Join(d.Starts, ","), strings.Join(d.Stops, ","))
	})
}

func (h *human) shifts(shifts []report.ScoreShift) {
	columns := []print.Column{
		{Title: "NAMESPACE", Middle: true},
		{Title: "WORKLOAD", Middle: true, Flexible: true},
		{Title: "NOW", Middle: true},
		{Title: "THEN", Middle: true},
	}
	section(h, "Where the next replica goes", shifts, columns, func(s report.ScoreShift) []print.Cell {
		return print.Texts(s.Namespace, s.Workload, s.Before, s.After)
	})
}

func (h *human) waves(p *report.TaintPlan) {
	type wave struct {
		number  int
		evicted int32
		nodes   []string
	}
	if h.several {
		waves := make([]wave, len(p.Waves))
		for i, nodes := range p.Waves {
			waves[i] = wave{number: i + 1, evicted: p.Summary.EvictedByWave[i], nodes: nodes}
		}
		columns := []print.Column{{Title: "WAVE"}, {Title: "EVICTED"}, {Title: "NODES", Flexible: true}}
		section(h, "Waves", waves, columns, func(w wave) []print.Cell {
			return print.Texts(fmt.Sprint(w.number), fmt.Sprint(w.evicted), strings.Join(w.nodes, ","))
		})
	}
	if len(p.Short) > 0 {
		h.title("Not safe")
	}
	for _, short := range p.Short {
		who := fmt.Sprintf("wave %d", short.Wave)
		if short.Node != "" {
			who += " with node " + short.Node
		}
		reason := short.Reason
		if !h.wide { // that nobody can be preempted either
			reason, _, _ = strings.Cut(reason, ". preemption: ")
		}
		h.paragraph("  ", who+": "+reason, h.theme.Bad)
	}
}

func (h *human) drift(drift []report.Drift) {
	columns := []print.Column{
		{Title: "OBJECT", Middle: true, Flexible: true},
		{Title: "PLANNED", Flexible: true},
		{Title: "FOUND", Flexible: true},
	}
	section(h, "Changed since the plan was made", drift, columns, func(d report.Drift) []print.Cell {
		return print.Texts(d.Object, d.Planned, d.Found)
	})
}

// rollback draws what undoing a plan does to its nodes; steps are what the API server
// says of each, by "node/NAME".
func (h *human) rollback(nodes []report.TaintedNode, steps map[string]apply.Step) {
	columns := []print.Column{
		{Title: "NODE", Middle: true},
		{Title: "TAINTS", Flexible: true},
		{Title: "RESULT"},
	}
	section(h, "Rollback", nodes, columns, func(n report.TaintedNode) []print.Cell {
		step := steps["node/"+n.Name]
		return print.Texts(n.Name, strings.Join(taint.Difference(step.Found, step.Left), " "), step.Done)
	})
}

// seconds is a time in kubectl's short form ("90s", "5m").
func seconds(n int64) string { return duration.HumanDuration(time.Duration(n) * time.Second) }

// taintText is a taint without its value, as kubectl taint removes it.
func taintText(key string, effect corev1.TaintEffect) string {
	return (&corev1.Taint{Key: key, Effect: effect}).ToString()
}
