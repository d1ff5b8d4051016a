package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelper "k8s.io/component-helpers/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// detailer looks up what is behind one pod's failures. What it names is looked
// up, not decided: the plugin has decided. Counts over all pods are made once.
type detailer struct {
	*Explainer
	pod *corev1.Pod
	// requests is what the scheduler counts for the pod.
	requests corev1.ResourceList
	// leastLoss is, by atom key, the least loss that a lowered request has had.
	leastLoss map[string]float64
	// spread holds, for each hard constraint by index, the matching pods by domain.
	spread map[int]map[string]int32
	// matching holds, for each required term by its text, the pods it matches by
	// domain; existing those whose anti-affinity rejects the pod, by key=domain.
	matching map[string]map[string][]report.PodReference
	existing map[string][]report.PodReference
}

func (e *Explainer) detailer(pod *corev1.Pod) *detailer {
	return &detailer{
		Explainer: e, pod: pod,
		requests:  resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{}),
		leastLoss: map[string]float64{},
		spread:    map[int]map[string]int32{}, matching: map[string]map[string][]report.PodReference{},
	}
}

// detail says what a failure's reason leaves out; nil where it says everything.
func (d *detailer) detail(node predicate.Node, failure predicate.Failure) *report.Detail {
	switch failure.Plugin {
	case predicate.TaintToleration:
		return &report.Detail{Taints: untolerated(d.pod, node.Node)}
	case predicate.NodeResourcesFit:
		return d.resourceDetail(node, failure)
	case predicate.NodeAffinity:
		return affinityDetail(d.pod, node.Node)
	case predicate.NodePorts:
		return portDetail(d.pod, node)
	case predicate.InterPodAffinity:
		return d.podAffinityDetail(node.Node, failure)
	case predicate.PodTopologySpread:
		return &report.Detail{Spread: d.spreadViolations(node.Node)}
	case predicate.VolumeBinding, predicate.VolumeZone, predicate.VolumeRestrictions, predicate.NodeVolumeLimits:
		return d.volumeDetail()
	default:
		return nil
	}
}

// untolerated are the node's taints that keep the pod off it.
func untolerated(pod *corev1.Pod, node *corev1.Node) []corev1.Taint {
	var taints []corev1.Taint
	for i := range node.Spec.Taints {
		taint := node.Spec.Taints[i]
		if taint.Effect == corev1.TaintEffectPreferNoSchedule ||
			corev1helpers.TolerationsTolerateTaint(logr.Discard(), pod.Spec.Tolerations, &taint, false) {
			continue
		}
		taint.TimeAdded = nil
		taints = append(taints, taint)
	}
	return taints
}

func (d *detailer) resourceDetail(node predicate.Node, failure predicate.Failure) *report.Detail {
	detail := &report.Detail{}
	for _, short := range d.shortages(node, failure) {
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

// hostPorts are a pod's host ports, those of init containers that run on included.
func hostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	add := func(container *corev1.Container) {
		for _, port := range container.Ports {
			if port.HostPort > 0 {
				ports = append(ports, port)
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if isSidecar(&pod.Spec.InitContainers[i]) {
			add(&pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return ports
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

func reference(pod *corev1.Pod) report.PodReference {
	return report.PodReference{Namespace: pod.Namespace, Name: pod.Name, Priority: pod.Spec.Priority, Node: pod.Spec.NodeName}
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

func termText(term corev1.PodAffinityTerm) string {
	text := selectorText(term.LabelSelector) + " by " + term.TopologyKey
	if len(term.Namespaces) > 0 {
		text += " in namespaces " + strings.Join(term.Namespaces, ",")
	}
	if term.NamespaceSelector != nil {
		text += " in namespaces with " + selectorText(term.NamespaceSelector)
	}
	return text
}

// selectorText is the selector as `kubectl get -l` takes it.
func selectorText(selector *metav1.LabelSelector) string {
	if selector == nil {
		return "no pods"
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return "an invalid selector"
	}
	if parsed.Empty() {
		return "all pods"
	}
	return parsed.String()
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
		d.spread[index] = d.spreadCounts(d.pod, constraint)
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

// selfMatch is 1 when the pod counts itself.
func selfMatch(pod *corev1.Pod, constraint corev1.TopologySpreadConstraint) int32 {
	if selector, err := spreadSelector(pod, constraint); err == nil && selector.Matches(labels.Set(pod.Labels)) {
		return 1
	}
	return 0
}

// spreadCounts is the number of matching pods in each domain that counts.
func (e *Explainer) spreadCounts(pod *corev1.Pod, constraint corev1.TopologySpreadConstraint) map[string]int32 {
	counts := map[string]int32{}
	selector, err := spreadSelector(pod, constraint)
	if err != nil {
		return counts
	}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	for node := range e.engine.Nodes() {
		domain, ok := node.Labels[constraint.TopologyKey]
		if !ok || !hasSpreadKeys(pod, node.Node) || !countsForSpread(pod, node.Node, constraint, required) {
			continue
		}
		counts[domain] += 0
		for other := range node.Pods() {
			if other.Namespace == pod.Namespace && other.DeletionTimestamp == nil && selector.Matches(labels.Set(other.Labels)) {
				counts[domain]++
			}
		}
	}
	return counts
}

// hasSpreadKeys: the plugin leaves out nodes that lack any hard constraint's key.
func hasSpreadKeys(pod *corev1.Pod, node *corev1.Node) bool {
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		if _, ok := node.Labels[constraint.TopologyKey]; !ok && constraint.WhenUnsatisfiable == corev1.DoNotSchedule {
			return false
		}
	}
	return true
}

func countsForSpread(pod *corev1.Pod, node *corev1.Node, constraint corev1.TopologySpreadConstraint, required nodeaffinity.RequiredNodeAffinity) bool {
	if constraint.NodeAffinityPolicy == nil || *constraint.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor {
		if ok, err := required.Match(node); err != nil || !ok {
			return false
		}
	}
	if constraint.NodeTaintsPolicy != nil && *constraint.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor {
		return len(untolerated(pod, node)) == 0
	}
	return true
}

func spreadSelector(pod *corev1.Pod, constraint corev1.TopologySpreadConstraint) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
	if err != nil {
		return nil, err
	}
	for _, key := range constraint.MatchLabelKeys {
		if value, ok := pod.Labels[key]; ok {
			requirement, err := labels.NewRequirement(key, "in", []string{value})
			if err != nil {
				return nil, err
			}
			selector = selector.Add(*requirement)
		}
	}
	return selector, nil
}

// volumeDetail names the pod's claims and how each stands.
func (d *detailer) volumeDetail() *report.Detail {
	detail := &report.Detail{}
	for _, name := range claimNames(d.pod) {
		if problem := d.claimState(d.pod.Namespace, name); problem != "" {
			detail.Claims = append(detail.Claims, report.ClaimProblem{Kind: "PersistentVolumeClaim", Name: name, Problem: problem})
		}
	}
	return detail
}

// claimNames are the pod's persistent volume claims, ephemeral ones by the name
// that the ephemeral volume controller gives them.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		if name := owner.ClaimName(pod, &volume); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (e *Explainer) claimState(namespace, name string) string {
	claim, ok := e.world.claims[namespace+"/"+name]
	switch {
	case !ok:
		return "does not exist"
	case claim.DeletionTimestamp != nil:
		return "is being deleted"
	case claim.Spec.VolumeName == "":
		return "is not bound (storage class " + className(claim) + ")"
	}
	volume, ok := e.world.volumes[claim.Spec.VolumeName]
	if !ok {
		return fmt.Sprintf("is bound to volume %s, which does not exist", claim.Spec.VolumeName)
	}
	where := volumePlace(volume)
	if where == "" {
		return "is bound to volume " + volume.Name
	}
	return fmt.Sprintf("is bound to volume %s, which is in %s", volume.Name, where)
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return "none"
	}
	return *claim.Spec.StorageClassName
}

// volumePlace says where a volume can be reached from, empty = anywhere.
func volumePlace(volume *corev1.PersistentVolume) string {
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone} {
		if zone, ok := volume.Labels[key]; ok {
			return "zone " + zone
		}
	}
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	var terms []string
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		var requirements []requirement
		for _, expression := range term.MatchExpressions {
			requirements = append(requirements, requirement{NodeSelectorRequirement: expression})
		}
		terms = append(terms, describeRequirements(requirements))
	}
	return strings.Join(terms, " or ")
}
