package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// distance is how far a failure puts a node from being what the pod wants. A node
// of the wrong kind (affinity), or one too small even when empty, is not where to
// look first, even if there are many; a tainted or cordoned one is nearer; one
// that is merely full is the nearest. So neither cordoned nodes nor a crowd of
// small ones shadow the true cause.
func distance(f failure) int {
	switch f.Plugin {
	case predicate.NodeAffinity, predicate.NodeName:
		return 1000
	case predicate.NodeResourcesFit:
		if !f.Resolvable() {
			return 100
		}
		return 1
	case predicate.NodeUnschedulable, predicate.TaintToleration:
		return 10
	default:
		return 1
	}
}

// tally collects one cause over the nodes.
type tally struct {
	plugin, reason string
	nodes          int
	// nearest is the smallest distance of a node that fails for it, and atNearest
	// how many nodes are that near.
	nearest, atNearest int
	details            []nodeDetail
}

type nodeDetail struct {
	node   string
	detail *report.Detail
}

// causes ranks the reasons: what keeps the pod off the nodes that are nearest to
// being right comes first. What rejects the pod itself comes before all.
func (d *detailer) causes(verdict *predicate.Verdict, nodes []judged) []report.Cause {
	causes := []report.Cause{}
	for _, rejection := range verdict.Rejections {
		if slices.ContainsFunc(causes, func(c report.Cause) bool { return c.Reason == rejection.Reasons() }) {
			continue // Several plugins look for the same claim.
		}
		about, detail := d.rejectionText(rejection)
		causes = append(causes, report.Cause{Reason: rejection.Reasons(), Plugin: rejection.Plugin, Detail: detail, Subject: about.subject, Text: about.text})
	}
	if len(causes) == 0 {
		if fragmented := d.fragmentation(nodes); fragmented != nil {
			causes = append(causes, *fragmented)
		}
	}
	for _, t := range ranked(nodes) {
		cause := report.Cause{Reason: t.reason, Plugin: t.plugin, Nodes: t.nodes}
		if t.plugin == predicate.NodeResourcesFit {
			cause.Shortage, cause.Detail = d.shortageText(t)
			cause.Subject, cause.Text = string(resourceOf(t.reason)), shortageTexts[cause.Shortage]
		} else {
			var about point
			about, cause.Detail = d.causeText(t)
			cause.Subject, cause.Text = about.subject, about.text
		}
		causes = append(causes, cause)
	}
	return causes
}

func ranked(nodes []judged) []*tally {
	byReason := map[string]*tally{}
	for _, node := range nodes {
		far := 0
		for _, f := range node.failures {
			far += distance(f)
		}
		for _, f := range node.failures {
			for _, reason := range f.Status.Reasons() {
				key := f.Plugin + "\n" + reason
				t, ok := byReason[key]
				if !ok {
					t = &tally{plugin: f.Plugin, reason: reason, nearest: far}
					byReason[key] = t
				}
				t.add(node.Name, far, f.detail)
			}
		}
	}
	tallies := make([]*tally, 0, len(byReason))
	for _, key := range sortedKeys(byReason) {
		tallies = append(tallies, byReason[key])
	}
	slices.SortStableFunc(tallies, func(a, b *tally) int {
		return cmp.Or(cmp.Compare(a.nearest, b.nearest), cmp.Compare(b.atNearest, a.atNearest), cmp.Compare(b.nodes, a.nodes))
	})
	return tallies
}

func (t *tally) add(node string, far int, detail *report.Detail) {
	t.nodes++
	switch {
	case far < t.nearest:
		t.nearest, t.atNearest, t.details = far, 1, nil
	case far == t.nearest:
		t.atNearest++
	default:
		return // The text speaks of the nearest nodes.
	}
	if detail != nil {
		t.details = append(t.details, nodeDetail{node, detail})
	}
}

// causeText names what is behind a cause, from the nodes nearest to being right:
// the first thing by itself, and all of them.
func (d *detailer) causeText(t *tally) (point, string) {
	switch t.plugin {
	case predicate.TaintToleration:
		return countText(t.details, taintPoints)
	case predicate.NodeUnschedulable:
		return point{}, "cordoned"
	case predicate.NodeAffinity:
		return countText(t.details, d.world.affinityPoints)
	case predicate.NodePorts:
		return countText(t.details, portPoints)
	case predicate.PodTopologySpread:
		return countText(t.details, spreadPoints)
	case predicate.InterPodAffinity:
		return countText(t.details, podConflictPoints)
	default:
		return countText(t.details, func(detail *report.Detail) []point { return claimPoints(d.pod.Namespace, detail) })
	}
}

// countText lists what the details name, the most frequent first, with the number
// of nodes: "gpu=t4:NoSchedule (4), dedicated=nlp:NoSchedule (2)".
func countText(details []nodeDetail, points func(*report.Detail) []point) (first point, all string) {
	counts := map[point]int{}
	for _, d := range details {
		for _, p := range points(d.detail) {
			if p.text != "" {
				counts[p]++
			}
		}
	}
	named := slices.SortedFunc(maps.Keys(counts), func(a, b point) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.text, b.text), cmp.Compare(a.subject, b.subject))
	})
	const most = 3
	var parts []string
	for _, p := range named[:min(len(named), most)] {
		text := p.text
		if len(named) > 1 {
			text = fmt.Sprintf("%s (%d)", text, counts[p])
		}
		parts = append(parts, text)
	}
	if len(named) > most {
		parts = append(parts, fmt.Sprintf("and %d more", len(named)-most))
	}
	return firstOf(named), strings.Join(parts, ", ")
}

func taintPoints(d *report.Detail) []point {
	var points []point
	for _, taint := range d.Taints {
		points = append(points, point{taint.ToString(), taint.ToString()})
	}
	return points
}

// portPoints are without a subject: pods that find no free port are one group.
func portPoints(d *report.Detail) []point {
	var points []point
	for _, port := range d.Ports {
		points = append(points, point{text: fmt.Sprintf("%d/%s is taken", port.Port, port.Protocol)})
	}
	return points
}

func spreadPoints(d *report.Detail) []point {
	var points []point
	for _, s := range d.Spread {
		if s.Domain == "" {
			points = append(points, point{s.TopologyKey, "no label " + s.TopologyKey})
			continue
		}
		domain := s.TopologyKey + "=" + s.Domain
		points = append(points, point{domain, fmt.Sprintf("%s has %d matching, the least is %d, maxSkew %d", domain, s.Matching, s.Minimum, s.MaxSkew)})
	}
	return points
}

// podConflictPoints are about the pod's own term; where it is other pods' terms that
// keep it out, about the first of those pods.
func podConflictPoints(d *report.Detail) []point {
	var names []string
	for _, pod := range d.Pods {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	p := point{d.Term, d.Term}
	if strings.HasPrefix(d.Term, existingTerm) && len(names) > 0 {
		p.subject = "Pod/" + names[0]
	}
	if d.Note != "" {
		p.text += ": " + d.Note
	}
	if len(names) > 0 {
		p.text += ": " + countedList(names, "pod")
	}
	return []point{p}
}

func claimPoints(namespace string, d *report.Detail) []point {
	var points []point
	for _, claim := range d.Claims {
		points = append(points, point{claim.Kind + "/" + namespace + "/" + claim.Name, claim.Name + " " + claim.Problem})
	}
	if d.Note != "" {
		points = append(points, point{d.Note, d.Note})
	}
	return points
}

// affinityPoints say what is asked for and what there is instead.
func (w *world) affinityPoints(d *report.Detail) []point {
	var points []point
	for _, m := range d.Labels {
		points = append(points, w.mismatchPoint(m))
	}
	if d.Note != "" {
		points = append(points, point{d.Note, d.Note})
	}
	return points
}

func (w *world) mismatchPoint(m report.LabelMismatch) point {
	asked := requirement{NodeSelectorRequirement: corev1.NodeSelectorRequirement{Key: m.Key, Operator: corev1.NodeSelectorOperator(m.Operator), Values: m.Values}}.String()
	if m.Operator != string(corev1.NodeSelectorOpIn) || m.Field || len(m.Values) == 0 {
		return point{asked, asked}
	}
	asked = m.Key + "=" + strings.Join(m.Values, "|")
	return point{asked, asked + w.insteadOf(m)}
}

// insteadOf says what there is instead of a label that no node has; nothing where
// one has it.
func (w *world) insteadOf(m report.LabelMismatch) string {
	values := w.labelValues[m.Key]
	if len(values) == 0 {
		return ": no node has this label" + didYouMean(w.nearestLabelKey(m.Key))
	}
	for _, value := range m.Values {
		if values[value] > 0 {
			return ""
		}
	}
	return ": no node has this value" + didYouMean(w.nearestLabelValue(m.Key, m.Values[0]))
}

// shortageTexts continue "Insufficient x" for a group.
var shortageTexts = map[report.ShortageClass]string{
	report.ShortageNotOffered:   "no node offers it",
	report.ShortageTooLarge:     "more than any node has",
	report.ShortageNotOnOneNode: "enough in sum, but not on one node",
	report.ShortageInUse:        "in use",
}

// shortageText tells the shortages apart: nobody offers it, larger than any node,
// enough in sum but on no single node, in use (by whom).
func (d *detailer) shortageText(t *tally) (report.ShortageClass, string) {
	name := resourceOf(t.reason)
	requested := amount(d.requests, name)
	if name == corev1.ResourcePods {
		requested = 1
	}
	if d.world.offered[name] == 0 {
		return report.ShortageNotOffered, d.world.notOffered(name)
	}
	b := d.blocks(t, name)
	asks := "asks " + roughly(name, requested)
	switch {
	case b.largest < requested:
		return report.ShortageTooLarge, fmt.Sprintf("%s; the largest node has %s (%s)", asks, roughly(name, b.largest), b.largestNode)
	case b.sum >= requested && name != corev1.ResourcePods:
		return report.ShortageNotOnOneNode, fmt.Sprintf("%s; %s free in sum, at most %s on one node (%s)%s", asks,
			roughly(name, b.sum), roughly(name, b.free), b.freeNode, d.usersText(name))
	default:
		return report.ShortageInUse, fmt.Sprintf("%s; at most %s free (%s)%s", asks, roughly(name, b.free), b.freeNode, d.usersText(name))
	}
}

// blocks are the free amounts of a resource on the nodes of a cause.
type blocks struct {
	sum, free, largest    int64
	freeNode, largestNode string
}

func (d *detailer) blocks(t *tally, name corev1.ResourceName) blocks {
	b := blocks{free: -1, largest: -1}
	for _, at := range t.details {
		node, ok := d.engine.Node(at.node)
		if !ok {
			continue
		}
		used := node.Usage()
		capacity, free := used.Allocatable.Of(name), max(used.Free(name), 0)
		b.sum += free
		if free > b.free {
			b.free, b.freeNode = free, at.node
		}
		if capacity > b.largest {
			b.largest, b.largestNode = capacity, at.node
		}
	}
	b.free = max(b.free, 0)
	return b
}

// notOffered explains a resource that no node has: a slip of the name, or a
// device that no plugin advertises.
func (w *world) notOffered(name corev1.ResourceName) string {
	text := fmt.Sprintf("no node offers %s", name)
	if near := w.nearestResource(name); near != "" {
		return text + didYouMean(near)
	}
	if link := w.brokenDeviceChain(name); link != "" {
		return text + ": " + link
	}
	return text
}

// fragmentation recognises the commonest case of a GPU fleet: each resource is
// free on some node, but never all on one. It looks at the nodes that lack
// nothing but resources.
func (d *detailer) fragmentation(nodes []judged) *report.Cause {
	enough := map[corev1.ResourceName]int{}
	for name, quantity := range d.requests {
		if quantity.Sign() > 0 {
			enough[name] = 0
		}
	}
	if len(enough) < 2 {
		return nil
	}
	full := 0
	for _, node := range nodes {
		if len(node.failures) == 0 {
			return nil
		}
		if len(node.failures) != 1 || node.failures[0].Plugin != predicate.NodeResourcesFit {
			continue
		}
		full++
		for name := range enough {
			if !slices.ContainsFunc(node.failures[0].short, func(s shortage) bool { return s.resource == name }) {
				enough[name]++
			}
		}
	}
	var parts []string
	for _, name := range sortedKeys(enough) {
		if enough[name] == 0 {
			return nil
		}
		parts = append(parts, fmt.Sprintf("%s on %d", name, enough[name]))
	}
	if full < 2 {
		return nil
	}
	return &report.Cause{
		Reason: "no single node has everything at once", Plugin: predicate.NodeResourcesFit, Nodes: full, Shortage: report.ShortageNeverTogether,
		Detail: fmt.Sprintf("each resource is free on some of %d nodes, never all on one: %s", full, strings.Join(parts, ", ")),
	}
}

// rejectionText names what makes a PreFilter plugin reject the pod as a whole: the
// first thing by itself, and all of them.
func (d *detailer) rejectionText(rejection predicate.Failure) (point, string) {
	switch rejection.Plugin {
	case predicate.VolumeBinding, predicate.VolumeZone, predicate.VolumeRestrictions, predicate.NodeVolumeLimits:
		return listText(claimPoints(d.pod.Namespace, d.volumeDetail()))
	case predicate.DynamicResources:
		return listText(d.world.resourceClaimPoints(d.pod))
	default:
		return point{}, ""
	}
}
