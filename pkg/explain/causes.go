package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// distance is how far a failure puts a node from being what the pod wants. A node
// of the wrong kind (affinity), or one too small even when empty, is not where to
// look first, even if there are many; a tainted or cordoned one is nearer; one
// that is merely full is the nearest. So neither cordoned nodes nor a crowd of
// small ones shadow the true cause.
func distance(failure report.Failure) int {
	switch failure.Plugin {
	case predicate.NodeAffinity, predicate.NodeName:
		return 1000
	case predicate.NodeResourcesFit:
		if failure.Code == unresolvable {
			return 100
		}
		return 1
	case predicate.NodeUnschedulable, predicate.TaintToleration:
		return 10
	default:
		return 1
	}
}

// unresolvable is the framework's name of the code that no eviction lifts.
var unresolvable = predicate.Unresolvable

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
func (e *Explainer) causes(pod *corev1.Pod, verdict *predicate.Verdict, nodes []report.NodeVerdict) []report.Cause {
	causes := []report.Cause{}
	for _, rejection := range verdict.Rejections {
		if slices.ContainsFunc(causes, func(c report.Cause) bool { return c.Reason == rejection.Reasons() }) {
			continue // Several plugins look for the same claim.
		}
		causes = append(causes, report.Cause{Reason: rejection.Reasons(), Plugin: rejection.Plugin, Detail: e.rejectionText(pod, rejection)})
	}
	if len(causes) == 0 {
		if fragmented := e.fragmentation(pod, nodes); fragmented != nil {
			causes = append(causes, *fragmented)
		}
	}
	for _, t := range ranked(nodes) {
		cause := report.Cause{Reason: t.reason, Plugin: t.plugin, Nodes: t.nodes}
		if t.plugin == predicate.NodeResourcesFit {
			cause.Shortage, cause.Detail = e.shortageText(pod, t)
		} else {
			cause.Detail = e.causeText(t)
		}
		causes = append(causes, cause)
	}
	return causes
}

func ranked(nodes []report.NodeVerdict) []*tally {
	byReason := map[string]*tally{}
	for _, node := range nodes {
		far := 0
		for _, failure := range node.Failures {
			far += distance(failure)
		}
		for _, failure := range node.Failures {
			for _, reason := range failure.Reasons {
				key := failure.Plugin + "\n" + reason
				t, ok := byReason[key]
				if !ok {
					t = &tally{plugin: failure.Plugin, reason: reason, nearest: far}
					byReason[key] = t
				}
				t.add(node.Name, far, failure.Detail)
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

// causeText names what is behind a cause, from the nodes nearest to being right.
func (e *Explainer) causeText(t *tally) string {
	switch t.plugin {
	case predicate.TaintToleration:
		return countText(t.details, func(d *report.Detail) []string {
			var taints []string
			for _, taint := range d.Taints {
				taints = append(taints, taint.ToString())
			}
			return taints
		})
	case predicate.NodeUnschedulable:
		return "cordoned"
	case predicate.NodeAffinity:
		return e.affinityText(t)
	case predicate.NodePorts:
		return countText(t.details, func(d *report.Detail) []string { return portTexts(d) })
	case predicate.PodTopologySpread:
		return countText(t.details, func(d *report.Detail) []string { return spreadTexts(d) })
	case predicate.InterPodAffinity:
		return countText(t.details, func(d *report.Detail) []string { return []string{podConflictText(d)} })
	default:
		return countText(t.details, func(d *report.Detail) []string { return claimTexts(d) })
	}
}

// countText lists what the details name, the most frequent first, with the number
// of nodes: "gpu=t4:NoSchedule (4), dedicated=nlp:NoSchedule (2)".
func countText(details []nodeDetail, texts func(*report.Detail) []string) string {
	counts := map[string]int{}
	for _, d := range details {
		for _, text := range texts(d.detail) {
			if text != "" {
				counts[text]++
			}
		}
	}
	names := sortedKeys(counts)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	const most = 3
	var parts []string
	for _, name := range names[:min(len(names), most)] {
		if len(names) > 1 {
			name = fmt.Sprintf("%s (%d)", name, counts[name])
		}
		parts = append(parts, name)
	}
	if len(names) > most {
		parts = append(parts, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(parts, ", ")
}

func portTexts(d *report.Detail) []string {
	var texts []string
	for _, port := range d.Ports {
		texts = append(texts, fmt.Sprintf("%d/%s is taken", port.Port, port.Protocol))
	}
	return texts
}

func spreadTexts(d *report.Detail) []string {
	var texts []string
	for _, s := range d.Spread {
		if s.Domain == "" {
			texts = append(texts, "no label "+s.TopologyKey)
			continue
		}
		texts = append(texts, fmt.Sprintf("%s=%s has %d matching, the least is %d, maxSkew %d", s.TopologyKey, s.Domain, s.Matching, s.Minimum, s.MaxSkew))
	}
	return texts
}

func podConflictText(d *report.Detail) string {
	var names []string
	for _, pod := range d.Pods {
		names = append(names, pod.Namespace+"/"+pod.Name)
	}
	text := d.Term
	if d.Note != "" {
		text += ": " + d.Note
	}
	if len(names) > 0 {
		text += ": " + countedList(names, "pod")
	}
	return text
}

func claimTexts(d *report.Detail) []string {
	var texts []string
	for _, claim := range d.Claims {
		texts = append(texts, fmt.Sprintf("%s %s", claim.Name, claim.Problem))
	}
	if d.Note != "" {
		texts = append(texts, d.Note)
	}
	return texts
}

// affinityText says what is asked for and what there is instead.
func (e *Explainer) affinityText(t *tally) string {
	return countText(t.details, func(d *report.Detail) []string {
		var texts []string
		for _, m := range d.Labels {
			texts = append(texts, e.mismatchText(m))
		}
		if d.Note != "" {
			texts = append(texts, d.Note)
		}
		return texts
	})
}

func (e *Explainer) mismatchText(m report.LabelMismatch) string {
	text := requirement{NodeSelectorRequirement: corev1.NodeSelectorRequirement{Key: m.Key, Operator: corev1.NodeSelectorOperator(m.Operator), Values: m.Values}}.String()
	if m.Operator != string(corev1.NodeSelectorOpIn) || m.Field || len(m.Values) == 0 {
		return text
	}
	text = m.Key + "=" + strings.Join(m.Values, "|")
	values := e.world.labelValues[m.Key]
	if len(values) == 0 {
		text += ": no node has this label"
		if near := e.world.nearestLabelKey(m.Key); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		return text
	}
	for _, value := range m.Values {
		if values[value] > 0 {
			return text
		}
	}
	text += ": no node has this value"
	if near := e.world.nearestLabelValue(m.Key, m.Values[0]); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return text
}

// shortageText tells the shortages apart: nobody offers it, larger than any node,
// enough in sum but on no single node, in use (by whom).
func (e *Explainer) shortageText(pod *corev1.Pod, t *tally) (report.ShortageClass, string) {
	name := corev1.ResourceName(strings.TrimPrefix(t.reason, "Insufficient "))
	if t.reason == tooManyPods {
		name = corev1.ResourcePods
	}
	requested := podAmount(pod, name)
	if name == corev1.ResourcePods {
		requested = 1
	}
	if e.world.offered[name] == 0 {
		return report.ShortageNotOffered, e.notOffered(name)
	}
	b := e.blocks(t, name)
	asks := "asks " + roughly(name, requested)
	switch {
	case b.largest < requested:
		return report.ShortageTooLarge, fmt.Sprintf("%s; the largest node has %s (%s)", asks, roughly(name, b.largest), b.largestNode)
	case b.sum >= requested && name != corev1.ResourcePods:
		return report.ShortageNotOnOneNode, fmt.Sprintf("%s; %s free in sum, at most %s on one node (%s)%s", asks,
			roughly(name, b.sum), roughly(name, b.free), b.freeNode, e.usersText(name))
	default:
		return report.ShortageInUse, fmt.Sprintf("%s; at most %s free (%s)%s", asks, roughly(name, b.free), b.freeNode, e.usersText(name))
	}
}

// blocks are the free amounts of a resource on the nodes of a cause.
type blocks struct {
	sum, free, largest    int64
	freeNode, largestNode string
}

func (e *Explainer) blocks(t *tally, name corev1.ResourceName) blocks {
	b := blocks{free: -1, largest: -1}
	for _, d := range t.details {
		node, ok := e.engine.Node(d.node)
		if !ok {
			continue
		}
		used := node.Usage()
		capacity, free := used.Allocatable.Of(name), max(used.Free(name), 0)
		b.sum += free
		if free > b.free {
			b.free, b.freeNode = free, d.node
		}
		if capacity > b.largest {
			b.largest, b.largestNode = capacity, d.node
		}
	}
	b.free = max(b.free, 0)
	return b
}

// notOffered explains a resource that no node has: a slip of the name, or a
// device that no plugin advertises.
func (e *Explainer) notOffered(name corev1.ResourceName) string {
	text := fmt.Sprintf("no node offers %s", name)
	if near := e.world.nearestResource(name); near != "" {
		return text + fmt.Sprintf("; did you mean %s?", near)
	}
	if link := e.world.brokenDeviceChain(name); link != "" {
		return text + ": " + link
	}
	return text
}

// fragmentation recognises the commonest case of a GPU fleet: each resource is
// free on some node, but never all on one. It looks at the nodes that lack
// nothing but resources.
func (e *Explainer) fragmentation(pod *corev1.Pod, nodes []report.NodeVerdict) *report.Cause {
	enough := map[corev1.ResourceName]int{}
	for name, quantity := range resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}) {
		if quantity.Sign() > 0 {
			enough[name] = 0
		}
	}
	if len(enough) < 2 {
		return nil
	}
	full := 0
	for _, node := range nodes {
		if len(node.Failures) != 1 || node.Failures[0].Plugin != predicate.NodeResourcesFit {
			if len(node.Failures) == 0 {
				return nil
			}
			continue
		}
		full++
		for name := range enough {
			if !slices.Contains(node.Failures[0].Reasons, "Insufficient "+string(name)) {
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

// rejectionText names what makes a PreFilter plugin reject the pod as a whole.
func (e *Explainer) rejectionText(pod *corev1.Pod, rejection predicate.Failure) string {
	switch rejection.Plugin {
	case predicate.VolumeBinding, predicate.VolumeZone, predicate.VolumeRestrictions, predicate.NodeVolumeLimits:
		detail := e.detailer(pod).volumeDetail()
		return strings.Join(claimTexts(detail), ", ")
	case predicate.DynamicResources:
		return strings.Join(e.resourceClaimProblems(pod), ", ")
	default:
		return ""
	}
}
