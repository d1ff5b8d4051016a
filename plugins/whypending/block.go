package whypending

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
)

// indent is what the body of a block begins with.
const indent = "  "

// shown is how many names a line lists before it counts the rest.
const shown = 3

// blocks draws one block an item, as `kubectl describe` does. Items that differ
// in their names only, as the replicas of a workload do, share one.
func (h *human) blocks(items []report.PendingItem) {
	for first := true; len(items) > 0; first = false {
		if !first {
			h.printf("\n")
		}
		alike := 1
		for alike < len(items) && sameAnswer(items[0], items[alike]) {
			alike++
		}
		h.block(items[0], items[1:alike])
		items = items[alike:]
	}
}

// sameAnswer says whether two items differ in nothing that a block shows but
// their names, ages and the pod in a remedy's command.
func sameAnswer(a, b report.PendingItem) bool {
	return a.Namespace == b.Namespace && a.Workload == b.Workload && a.Workload != "" && a.Verdict == b.Verdict &&
		a.Message == b.Message && a.ClusterMessage == b.ClusterMessage &&
		equality.Semantic.DeepEqual(a.Causes, b.Causes) && equality.Semantic.DeepEqual(a.Nodes, b.Nodes) &&
		equality.Semantic.DeepEqual(a.Preemption, b.Preemption) && len(a.Autoscaler) == 0 && len(b.Autoscaler) == 0
}

// block draws all that is known of one item, the verdict first, and names those
// that it speaks for as well.
func (h *human) block(item report.PendingItem, alike []report.PendingItem) {
	h.headline(item)
	if len(alike) > 0 {
		names := make([]string, len(alike))
		for i, other := range alike {
			names[i] = rowName(other)
		}
		h.paragraph(indent, fmt.Sprintf("likewise %s: %s", print.Count(len(alike), "other"), some(names)), indent, h.theme.Strong)
	}
	h.message(item)
	h.causes(item)
	h.remedies(item)
	h.preemption(item)
	h.autoscaler(item.Autoscaler)
	if h.nodes {
		h.nodeList(item.Nodes)
	}
}

// headline names the item and gives the verdict.
func (h *human) headline(item report.PendingItem) {
	var facts []string
	if item.PendingSince != nil {
		facts = append(facts, h.age(item))
	}
	if item.Workload != "" {
		facts = append(facts, item.Workload)
	}
	if item.SchedulerName != "" {
		facts = append(facts, "scheduler "+item.SchedulerName)
	}
	if item.Replicas > 1 && item.FitReplicas == nil {
		facts = append(facts, print.Count(int(item.Replicas), "replica"))
	}
	tail := ""
	if len(facts) > 0 {
		tail = h.theme.Faint("  (" + print.Escape(strings.Join(facts, ", ")) + ")")
	}
	line := fmt.Sprintf("%s %s  %s",
		h.theme.Strong(print.Escape(label(item))), h.theme.Faint("in "+print.Escape(item.Namespace)),
		h.verdictStyle(item.Verdict)(string(item.Verdict)))
	if print.Width(line+tail) > h.width {
		line += "\n"
	}
	h.printf("%s%s\n", line, tail)
}

// podSets are the numbers of the sets, in the order in which they were placed.
func podSets(sets []report.PodSetFit) string {
	texts := make([]string, len(sets))
	for i, set := range sets {
		texts[i] = fmt.Sprintf("%s %d of %d", set.Name, set.FitReplicas, set.Replicas)
	}
	return strings.Join(texts, ", ")
}

// message gives the scheduler's own text, where it fits, and what the cluster
// says otherwise.
func (h *human) message(item report.PendingItem) {
	if item.Message != "" {
		h.paragraph(indent, item.Message, indent, h.theme.Faint)
	}
	if item.FitReplicas != nil && item.Replicas > 1 {
		h.paragraph(indent, fmt.Sprintf("%d of %s fit, one after another", *item.FitReplicas, print.Count(int(item.Replicas), "replica")), indent, h.theme.Strong)
	}
	if len(item.PodSets) > 0 {
		h.paragraph(indent, "of each set: "+podSets(item.PodSets), indent, h.theme.Faint)
	}
	if fits := fittingNodes(item.Nodes); len(fits) > 0 {
		h.paragraph(indent, fmt.Sprintf("fits %d of %s: %s", len(fits), print.Count(len(item.Nodes), "node"), some(fits)), indent, h.theme.Good)
	}
	if item.Agrees == report.AgreesFalse {
		h.section("The cluster says otherwise")
		h.paragraph(indent, item.ClusterMessage, indent, h.theme.Faint)
		h.paragraph(indent, item.Disagreement, indent, h.theme.Warn)
	}
	if item.Confidence == report.ConfidenceUnknownPlugin && item.Verdict != report.VerdictUnknown {
		h.paragraph(indent, "A plugin or extender that is not linked in takes part: what fits here may still be refused there.", indent, h.theme.Warn)
	}
}

func (h *human) section(title string) { h.printf("%s:\n", h.theme.Heading(title)) }

// causes lists the reasons, each with how many nodes fail for it; a cause of the
// pod or the workload itself fails on none in particular.
func (h *human) causes(item report.PendingItem) {
	if len(item.Causes) == 0 {
		return
	}
	h.section("Causes")
	counts, widest := make([]string, len(item.Causes)), 0
	for i, cause := range item.Causes {
		switch {
		case cause.Nodes > 0:
			counts[i] = print.Count(cause.Nodes, "node")
		case item.Kind == "":
			counts[i] = "pod"
		default:
			counts[i] = "workload"
		}
		widest = max(widest, len(counts[i]))
	}
	hang := strings.Repeat(" ", len(indent)+widest+2)
	for i, cause := range item.Causes {
		h.paragraph(fmt.Sprintf("%s%-*s  ", indent, widest, counts[i]), cause.Reason, hang, h.theme.Bad)
		if cause.Detail != "" && cause.Detail != cause.Reason {
			h.paragraph(hang, cause.Detail, hang, plainStyle)
		}
	}
}

func plainStyle(text string) string { return text }

func (h *human) remedies(item report.PendingItem) {
	if len(item.Remedies) == 0 && item.RemedyNote == "" {
		return
	}
	h.section("Remedies")
	for i, remedy := range item.Remedies {
		h.remedy(fmt.Sprintf("%2d. ", i+1), remedy, fits(remedy.Fits))
	}
	if item.RemedyNote != "" {
		h.paragraph(indent, item.RemedyNote, indent, plainStyle)
	}
}

// fits says where a pod fits once a remedy is applied.
func fits(nodes []string) string {
	if len(nodes) == 0 {
		return ""
	}
	return ": fits " + some(nodes)
}

// preemption says what a preemption would do. Why there is none, the message
// says already.
func (h *human) preemption(item report.PendingItem) {
	p := item.Preemption
	if p == nil || p.NominatedNode == "" && p.Node == "" && strings.Contains(item.Message, p.Reason) {
		return
	}
	h.section("Preemption")
	if p.NominatedNode != "" {
		h.paragraph(indent, fmt.Sprintf("node %s is nominated: the pod waits for its victims to end", p.NominatedNode), indent, h.theme.Good)
	}
	if p.Node != "" {
		victims := make([]string, len(p.Victims))
		for i, victim := range p.Victims {
			victims[i] = victim.Namespace + "/" + victim.Name
			if victim.Priority != nil {
				victims[i] += fmt.Sprintf(" (priority %d)", *victim.Priority)
			}
		}
		text := fmt.Sprintf("would evict %s from node %s: %s", print.Count(len(victims), "pod"), p.Node, strings.Join(victims, ", "))
		if p.PDBViolations > 0 {
			text += fmt.Sprintf("; %d would violate a PodDisruptionBudget", p.PDBViolations)
		}
		h.paragraph(indent, text, indent, h.theme.Warn)
	}
	if !strings.Contains(item.Message, p.Reason) {
		h.paragraph(indent, p.Reason, indent, plainStyle)
	}
}

func (h *human) autoscaler(notes []report.AutoscalerNote) {
	if len(notes) == 0 {
		return
	}
	h.section("Autoscaler")
	for _, note := range notes {
		when := ""
		if note.Time != nil {
			when = " (" + print.Age(note.Time.Time, h.now) + " ago)"
		}
		h.paragraph(indent, fmt.Sprintf("%s %s%s: %s", note.Source, note.Reason, when, note.Message), indent, plainStyle)
	}
}

// nodeList draws every node with all that rejects the pod on it; nodes with the
// same answer share one entry.
func (h *human) nodeList(nodes []report.NodeVerdict) {
	if len(nodes) == 0 {
		return
	}
	h.section("Nodes")
	names, order := map[string][]string{}, []string{}
	for _, node := range nodes {
		reasons := nodeReasons(node)
		if names[reasons] == nil {
			order = append(order, reasons)
		}
		names[reasons] = append(names[reasons], node.Name)
	}
	for _, reasons := range order {
		style := h.theme.Bad
		if reasons == "" {
			style = h.theme.Good
			reasons = "fits"
			names[reasons] = names[""]
		}
		h.paragraph(indent, strings.Join(names[reasons], ", "), indent, style)
		for reason := range strings.Lines(reasons) {
			h.paragraph(indent+indent, strings.TrimSuffix(reason, "\n"), indent+indent+indent, plainStyle)
		}
	}
}

// nodeReasons are a node's failures, a line each; empty where the pod fits.
func nodeReasons(node report.NodeVerdict) string {
	lines := make([]string, len(node.Failures))
	for i, failure := range node.Failures {
		lines[i] = print.Escape(failure.Plugin + ": " + failureText(failure))
	}
	return strings.Join(lines, "\n")
}

func fittingNodes(nodes []report.NodeVerdict) []string {
	var names []string
	for _, node := range nodes {
		if node.Fits {
			names = append(names, node.Name)
		}
	}
	return names
}

// some lists the first names and counts the rest.
func some(names []string) string {
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
