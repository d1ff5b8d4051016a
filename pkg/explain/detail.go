package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// detailer looks up what is behind one pod's failures. What it names is looked
// up, not decided: the plugin has decided. Counts over all pods are made once.
type detailer struct {
	engine *predicate.Engine
	world  *world
	shared *shared
	pod    *corev1.Pod
	// requests is what the scheduler counts for the pod.
	requests corev1.ResourceList
	// spread holds, for each hard constraint by index, the matching pods by domain.
	spread map[int]map[string]int32
	// matching holds, for each required term by its text, the pods it matches by
	// domain; existing those whose anti-affinity rejects the pod, by key=domain.
	matching map[string]map[string][]report.PodReference
	existing map[string][]report.PodReference
}

func newDetailer(engine *predicate.Engine, world *world, shared *shared, pod *corev1.Pod) *detailer {
	return &detailer{
		engine: engine, world: world, shared: shared, pod: pod,
		requests: resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}),
		spread:   map[int]map[string]int32{}, matching: map[string]map[string][]report.PodReference{},
	}
}

// judged is a node with what keeps the pod off it, the rejections of the pod itself
// first: the one form in which causes and remedies read a verdict.
type judged struct {
	predicate.Node
	failures []failure
}

// failure is a plugin's rejection with what its reason leaves out.
type failure struct {
	predicate.Failure
	detail *report.Detail
	// short are the amounts behind a rejection by NodeResourcesFit.
	short []shortage
}

// judge looks up all that is behind a verdict, node by node.
func (d *detailer) judge(verdict *predicate.Verdict) []judged {
	nodes := make([]judged, len(verdict.Nodes))
	for i, name := range verdict.Nodes {
		node, _ := d.engine.Node(name)
		nodes[i] = judged{node, make([]failure, 0, len(verdict.Rejections)+len(verdict.Failures[i]))}
		for _, rejection := range verdict.Rejections {
			nodes[i].failures = append(nodes[i].failures, failure{Failure: rejection})
		}
		for _, rejection := range verdict.Failures[i] {
			nodes[i].failures = append(nodes[i].failures, d.failure(node, rejection))
		}
	}
	return nodes
}

func (d *detailer) failure(node predicate.Node, rejection predicate.Failure) failure {
	f := failure{Failure: rejection}
	if rejection.Plugin == predicate.NodeResourcesFit {
		f.short = d.shortages(node, rejection)
	}
	f.detail = d.detail(node, f)
	return f
}

// nodeVerdicts is the same as the report has it.
func nodeVerdicts(verdict *predicate.Verdict, nodes []judged) []report.NodeVerdict {
	verdicts := make([]report.NodeVerdict, len(nodes))
	for i, node := range nodes {
		verdicts[i] = report.NodeVerdict{Name: node.Name, Fits: verdict.Fits(i)}
		for _, f := range node.failures {
			verdicts[i].Failures = append(verdicts[i].Failures, report.Failure{
				Plugin: f.Plugin, Code: f.Status.Code().String(), Reasons: f.Status.Reasons(), Detail: f.detail,
			})
		}
	}
	return verdicts
}

// detail says what a failure's reason leaves out; nil where it says everything.
func (d *detailer) detail(node predicate.Node, f failure) *report.Detail {
	switch f.Plugin {
	case predicate.TaintToleration:
		return &report.Detail{Taints: untolerated(d.pod, node.Node)}
	case predicate.NodeResourcesFit:
		return resourceDetail(f.short)
	case predicate.NodeAffinity:
		return affinityDetail(d.pod, node.Node)
	case predicate.NodePorts:
		return portDetail(d.pod, node)
	case predicate.InterPodAffinity:
		return d.podAffinityDetail(node.Node, f.Failure)
	case predicate.PodTopologySpread:
		return &report.Detail{Spread: d.spreadViolations(node.Node)}
	case predicate.VolumeBinding, predicate.VolumeZone, predicate.VolumeRestrictions, predicate.NodeVolumeLimits:
		return d.volumeDetail()
	default:
		return nil
	}
}

func resourceDetail(shortages []shortage) *report.Detail {
	detail := &report.Detail{}
	for _, short := range shortages {
		detail.Resources = append(detail.Resources, report.Shortage{
			Resource:  string(short.resource),
			Requested: formatAmount(short.resource, short.requested),
			Free:      formatAmount(short.resource, short.free()),
			Capacity:  formatAmount(short.resource, short.capacity),
			Missing:   formatAmount(short.resource, short.requested-short.free()),
		})
	}
	return detail
}

// affinityDetail lists what the node selector and the nearest term of the
// required affinity ask for and the node lacks.
func affinityDetail(pod *corev1.Pod, node *corev1.Node) *report.Detail {
	detail := &report.Detail{}
	for _, key := range sortedKeys(pod.Spec.NodeSelector) {
		wanted := pod.Spec.NodeSelector[key]
		if has, ok := node.Labels[key]; !ok || has != wanted {
			detail.Labels = append(detail.Labels, mismatch(node, corev1.NodeSelectorRequirement{
				Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{wanted}}, false))
		}
	}
	required := requiredNodeAffinity(pod)
	if required == nil || matchesAffinity(pod, node) {
		return detail
	}
	if len(required.NodeSelectorTerms) == 0 {
		detail.Note = "the required node affinity has no terms and matches no node"
		return detail
	}
	var fewest []requirement
	for i, term := range required.NodeSelectorTerms {
		if failing := failingRequirements(term, node); i == 0 || len(failing) < len(fewest) {
			fewest = failing
		}
	}
	for _, failing := range fewest {
		detail.Labels = append(detail.Labels, mismatch(node, failing.NodeSelectorRequirement, failing.field))
	}
	return detail
}

func mismatch(node *corev1.Node, requirement corev1.NodeSelectorRequirement, field bool) report.LabelMismatch {
	m := report.LabelMismatch{Key: requirement.Key, Operator: string(requirement.Operator), Values: requirement.Values, Field: field}
	if field {
		m.Has = &node.Name
	} else if has, ok := node.Labels[requirement.Key]; ok {
		m.Has = &has
	}
	return m
}

func portDetail(pod *corev1.Pod, node predicate.Node) *report.Detail {
	detail := &report.Detail{}
	for _, port := range hostPorts(pod) {
		if !node.Takes(port) {
			continue
		}
		detail.Ports = append(detail.Ports, report.HostPort{Port: port.HostPort, Protocol: string(port.Protocol), HostIP: port.HostIP})
		for other := range node.Pods() {
			if predicate.Conflict(hostPorts(other), port) {
				detail.Pods = append(detail.Pods, reference(other))
			}
		}
	}
	return detail
}

// maxConflicts bounds the pods named in one detail.
const maxConflicts = 5

// podAffinityDetail names the pods in the node's domain that conflict, or the
// term that finds no pod there.
func (d *detailer) podAffinityDetail(node *corev1.Node, failure predicate.Failure) *report.Detail {
	reasons := strings.Join(failure.Status.Reasons(), " ")
	affinity := d.pod.Spec.Affinity
	switch {
	case strings.Contains(reasons, "existing pods anti-affinity"):
		return d.existingDetail(node)
	case strings.Contains(reasons, "match pod anti-affinity") && affinity != nil && affinity.PodAntiAffinity != nil:
		for _, term := range affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if pods := d.inDomain(node, term); len(pods) > 0 {
				return &report.Detail{Term: termText(term), Pods: pods}
			}
		}
	case affinity != nil && affinity.PodAffinity != nil:
		for _, term := range affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if _, labelled := node.Labels[term.TopologyKey]; !labelled {
				return &report.Detail{Term: termText(term), Note: "the node has no label " + term.TopologyKey}
			}
			if len(d.inDomain(node, term)) == 0 {
				return &report.Detail{Term: termText(term), Note: fmt.Sprintf("no pod matches in %s=%s", term.TopologyKey, node.Labels[term.TopologyKey])}
			}
		}
	}
	return nil
}

// existingTerm begins the term of a detail that is not the pod's own: the domain's
// key follows.
const existingTerm = "by "

// existingDetail names the pods whose own anti-affinity keeps the pod out of the
// node's domain.
func (d *detailer) existingDetail(node *corev1.Node) *report.Detail {
	if d.existing == nil {
		d.existing = d.rejectedBy()
	}
	for _, key := range sortedKeys(node.Labels) {
		if pods := d.existing[key+"="+node.Labels[key]]; len(pods) > 0 {
			return &report.Detail{Term: existingTerm + key, Pods: pods}
		}
	}
	return nil
}

// rejectedBy finds the pods with an anti-affinity term that matches the pod, by
// the domain that each guards.
func (d *detailer) rejectedBy() map[string][]report.PodReference {
	guarded := map[string][]report.PodReference{}
	namespace := d.world.namespaces[d.pod.Namespace]
	for node := range d.engine.Nodes() {
		for other, topologyKey := range node.Repelling(d.pod, namespace) {
			domain, ok := node.Labels[topologyKey]
			key := topologyKey + "=" + domain
			if ok && len(guarded[key]) < maxConflicts {
				guarded[key] = append(guarded[key], reference(other))
			}
		}
	}
	return guarded
}

// inDomain names the pods in the node's domain that a term of the pod matches.
func (d *detailer) inDomain(node *corev1.Node, term corev1.PodAffinityTerm) []report.PodReference {
	domain, ok := node.Labels[term.TopologyKey]
	if !ok {
		return nil
	}
	key := termText(term)
	if d.matching[key] == nil {
		d.matching[key] = d.matchingByDomain(term)
	}
	return d.matching[key][domain]
}

func (d *detailer) matchingByDomain(term corev1.PodAffinityTerm) map[string][]report.PodReference {
	byDomain := map[string][]report.PodReference{}
	matches, err := predicate.TermSelector(d.pod, term)
	if err != nil {
		return byDomain
	}
	for node := range d.engine.Nodes() {
		domain, ok := node.Labels[term.TopologyKey]
		if !ok || len(byDomain[domain]) >= maxConflicts {
			continue
		}
		for other := range node.Pods() {
			if len(byDomain[domain]) < maxConflicts && matches(other, d.world.namespaces[other.Namespace]) {
				byDomain[domain] = append(byDomain[domain], reference(other))
			}
		}
	}
	return byDomain
}

// spreadViolations are the hard constraints that the node would violate.
func (d *detailer) spreadViolations(node *corev1.Node) []report.SpreadViolation {
	var violations []report.SpreadViolation
	for i := range d.pod.Spec.TopologySpreadConstraints {
		if violation := d.spreadViolation(node, i); violation != nil {
			violations = append(violations, *violation)
		}
	}
	return violations
}

// spreadViolation counts a constraint's domains as the PodTopologySpread plugin
// does (its inclusion policies, matchLabelKeys and minDomains), to give the
// numbers behind its verdict; nil when the node would keep the skew.
func (d *detailer) spreadViolation(node *corev1.Node, index int) *report.SpreadViolation {
	constraint := d.pod.Spec.TopologySpreadConstraints[index]
	if constraint.WhenUnsatisfiable != corev1.DoNotSchedule {
		return nil
	}
	violation := &report.SpreadViolation{TopologyKey: constraint.TopologyKey, MaxSkew: constraint.MaxSkew}
	domain, ok := node.Labels[constraint.TopologyKey]
	if !ok {
		return violation
	}
	if d.spread[index] == nil {
		d.spread[index] = spreadCounts(d.engine.Nodes(), d.pod, constraint)
	}
	counts := d.spread[index]
	violation.Domain, violation.Matching = domain, counts[domain]
	if len(counts) > 0 && (constraint.MinDomains == nil || int32(len(counts)) >= *constraint.MinDomains) {
		violation.Minimum = slices.Min(slices.Collect(maps.Values(counts)))
	}
	if violation.Matching+selfMatch(d.pod, constraint)-violation.Minimum <= constraint.MaxSkew {
		return nil
	}
	return violation
}

// volumeDetail names the pod's claims and how each stands.
func (d *detailer) volumeDetail() *report.Detail {
	detail := &report.Detail{}
	for _, name := range claimNames(d.pod) {
		if problem := d.world.claimState(d.pod.Namespace, name); problem != "" {
			detail.Claims = append(detail.Claims, report.ClaimProblem{Kind: "PersistentVolumeClaim", Name: name, Problem: problem})
		}
	}
	return detail
}

// shortages gives the amounts behind the reasons of a NodeResourcesFit failure.
func (d *detailer) shortages(node predicate.Node, failure predicate.Failure) []shortage {
	reasons := failure.Status.Reasons()
	usage := node.Usage()
	short := make([]shortage, 0, len(reasons))
	for _, reason := range reasons {
		s := shortage{requested: 1, resource: resourceOf(reason)}
		if s.resource != corev1.ResourcePods {
			s.requested = amount(d.requests, s.resource)
		}
		s.capacity, s.used = usage.Allocatable.Of(s.resource), usage.Requested.Of(s.resource)
		short = append(short, s)
	}
	return short
}
