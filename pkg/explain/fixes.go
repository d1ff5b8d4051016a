package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// fixer works out what would remove one pod's failures.
type fixer struct {
	*detailer
	// leastLoss is, by atom key, the least loss that a lowered request has had.
	leastLoss map[string]float64
}

// fixes returns the alternatives that would remove a failure on a node; none when
// nothing small would; alone says that the node fails for nothing else. What they
// promise is tried by verify.
func (x *fixer) fixes(node *corev1.Node, f failure, alone bool) []fix {
	switch f.Plugin {
	case predicate.TaintToleration:
		return taintFixes(x.pod, node)
	case predicate.NodeUnschedulable:
		return []fix{{uncordon(node)}}
	case predicate.NodeResourcesFit:
		return x.requestFixes(f.short, alone)
	case predicate.NodeAffinity:
		return x.world.selectorFixes(x.pod, node)
	case predicate.InterPodAffinity:
		return x.podAffinityFixes(node, f)
	case predicate.PodTopologySpread:
		return x.spreadFixes(node)
	case predicate.NodePorts:
		return x.portFixes(node)
	default:
		return nil
	}
}

func taintFixes(pod *corev1.Pod, node *corev1.Node) []fix {
	taints := untolerated(pod, node)
	var tolerate fix
	var fixes []fix
	var tolerated []corev1.Taint
	for _, taint := range taints {
		if taint.Key == corev1.TaintNodeUnschedulable {
			// The plugin NodeUnschedulable has spoken of it, and uncordon fixes both.
			continue
		}
		if controllerTaint(taint.Key) {
			return nil
		}
		tolerate, tolerated = append(tolerate, addToleration(taint)), append(tolerated, taint)
	}
	if len(tolerate) == 0 {
		return []fix{{uncordon(node)}}
	}
	fixes = append(fixes, tolerate)
	if len(tolerate) == 1 {
		fixes = append(fixes, fix{untaint(node, tolerated[0])})
	}
	if node.Spec.Unschedulable {
		for i := range fixes {
			fixes[i] = append(fixes[i], uncordon(node))
		}
	}
	return fixes
}

func addToleration(taint corev1.Taint) atom {
	toleration := corev1.Toleration{Key: taint.Key, Operator: corev1.TolerationOpEqual, Value: taint.Value, Effect: taint.Effect}
	if taint.Value == "" {
		toleration.Operator = corev1.TolerationOpExists
	}
	return atom{
		kind: report.RemedyAddToleration, key: "tolerate " + taint.ToString(), what: taint.ToString(), disturbance: disturbToleration,
		text: "add a toleration for " + taint.ToString(),
		spec: func(spec *corev1.PodSpec) []op {
			return []op{appendTo("/tolerations", len(spec.Tolerations), toleration)}
		},
	}
}

// withNode is an atom that changes a node.
func withNode(kind report.RemedyKind, disturbance int, node *corev1.Node, text, command string, patch []op, change func(*corev1.Node)) atom {
	return atom{
		kind: kind, key: string(kind) + " " + node.Name, what: node.Name, disturbance: disturbance, text: text, command: command,
		node: node, change: change,
		changes: changes("Node/"+node.Name, "", patch),
	}
}

func uncordon(node *corev1.Node) atom {
	patch := []op{{Op: report.OpReplace, Path: "/spec/unschedulable", Value: false, from: "true"}}
	return withNode(report.RemedyUncordon, disturbUncordon, node,
		"uncordon node "+node.Name, shellCommand("kubectl", "uncordon", node.Name), patch, func(n *corev1.Node) {
			n.Spec.Unschedulable = false
			n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable })
		})
}

func untaint(node *corev1.Node, taint corev1.Taint) atom {
	index := slices.IndexFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
	patch := []op{{Op: report.OpRemove, Path: pointer("spec", "taints", index), from: taint.ToString()}}
	a := withNode(report.RemedyUntaint, disturbUntaint, node,
		fmt.Sprintf("remove the taint %s from node %s", taint.ToString(), node.Name),
		shellCommand("kubectl", "taint", "nodes", node.Name, fmt.Sprintf("%s:%s-", taint.Key, taint.Effect)), patch,
		func(n *corev1.Node) {
			n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
		})
	a.what = node.Name + ":" + taint.ToString()
	return a
}

// requestFixes lowers each short resource to what the node has free. A count of
// pods cannot be lowered, and a request lowered to nothing is no longer the same
// request. Of a node that fails for one resource alone only the least lossy is tried:
// where another has asked for less to be given up, the atom is not worked out.
func (x *fixer) requestFixes(short []shortage, alone bool) []fix {
	single := alone && len(short) == 1
	lower := make(fix, 0, len(short))
	for _, s := range short {
		if single && x.lossier(s) {
			return []fix{{{kind: report.RemedyLowerRequest, key: lowerKey(s.resource), loss: s.loss()}}}
		}
		a, ok := lowerRequest(x.pod, s)
		if !ok {
			return nil
		}
		if single {
			x.leastLoss[a.key] = a.loss
		}
		lower = append(lower, a)
	}
	return []fix{lower}
}

// lossier says whether another node has asked for no more to be given up of the same
// resource.
func (x *fixer) lossier(s shortage) bool {
	least, known := x.leastLoss[lowerKey(s.resource)]
	return s.free() > 0 && known && s.loss() >= least
}

// selectorFixes edits the node selector and the required node affinity: a value
// that looks mistyped is put right; else the requirement is dropped; or the node
// gets the label.
func (w *world) selectorFixes(pod *corev1.Pod, node *corev1.Node) []fix {
	var viaPod, viaNode fix
	labelable := true
	for _, key := range sortedKeys(pod.Spec.NodeSelector) {
		wanted := pod.Spec.NodeSelector[key]
		has, exists := node.Labels[key]
		if exists && has == wanted {
			continue
		}
		viaPod = append(viaPod, w.selectorFix(key, wanted, has, exists))
		viaNode = append(viaNode, labelNode(node, key, wanted))
		labelable = labelable && !slices.Contains(identityLabels, key)
	}
	if !labelable {
		viaNode = nil
	}
	required := requiredNodeAffinity(pod)
	if required == nil || matchesAffinity(pod, node) {
		return alternatives(viaPod, viaNode)
	}
	var fixes []fix
	for _, atoms := range termFixes(required, node) {
		fixes = append(fixes, append(slices.Clone(viaPod), atoms...))
	}
	return fixes
}

// alternatives drops the second when it is the same as nothing.
func alternatives(fixes ...fix) []fix {
	return slices.DeleteFunc(fixes, func(f fix) bool { return len(f) == 0 })
}

// selectorFix corrects a value that is one slip away from the node's, or drops
// the key.
func (w *world) selectorFix(key, wanted, has string, exists bool) atom {
	if exists && w.labelValues[key][wanted] == 0 && w.nearestLabelValue(key, wanted) == has {
		return atom{
			kind: report.RemedySetNodeSelector, key: "select " + key + "=" + has, what: key + "=" + has, disturbance: disturbSelectorFix,
			text: fmt.Sprintf("set the node selector %s to %s (no node has %s)", key, has, wanted),
			spec: func(*corev1.PodSpec) []op {
				return []op{{Op: report.OpReplace, Path: pointer("nodeSelector", key), Value: has, from: wanted}}
			},
		}
	}
	return atom{
		kind: report.RemedyDropNodeSelector, key: "unselect " + key, what: key + "=" + wanted, disturbance: disturbSelector,
		text: fmt.Sprintf("drop the node selector %s=%s", key, wanted),
		spec: func(*corev1.PodSpec) []op {
			return []op{{Op: report.OpRemove, Path: pointer("nodeSelector", key), from: wanted}}
		},
	}
}

// identityLabels tell what a node is; giving a node another's would be a lie.
var identityLabels = []string{
	corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelInstanceTypeStable,
	corev1.LabelArchStable, corev1.LabelOSStable,
}

func labelNode(node *corev1.Node, key, value string) atom {
	has, exists := node.Labels[key]
	change := op{Op: report.OpAdd, Path: pointer("metadata", "labels", key), Value: value, from: has}
	command := shellCommand("kubectl", "label", "node", node.Name, key+"="+value)
	if exists {
		change.Op = report.OpReplace
		command += " --overwrite"
	}
	a := withNode(report.RemedyLabelNode, disturbLabel, node, fmt.Sprintf("label node %s with %s=%s", node.Name, key, value), command,
		[]op{change}, func(n *corev1.Node) {
			if n.Labels == nil {
				n.Labels = map[string]string{}
			}
			n.Labels[key] = value
		})
	a.key = fmt.Sprintf("label %s %s=%s", node.Name, key, value)
	a.what = fmt.Sprintf("%s:%s=%s", node.Name, key, value)
	return a
}

const requiredPath = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"

// termFixes edits a required node affinity so that the node matches: any one term
// that the node meets is enough, so for each term the requirements that fail are
// widened (In, with the node's value) or dropped; a term whose every requirement
// fails is dropped with the whole affinity when it is the only one.
func termFixes(required *corev1.NodeSelector, node *corev1.Node) []fix {
	var fixes []fix
	for t, term := range required.NodeSelectorTerms {
		failing := failingRequirements(term, node)
		if len(failing) == 0 || len(failing) > 2 {
			continue
		}
		if slices.ContainsFunc(failing, func(r requirement) bool { return r.field }) {
			continue // A pod that is made for one node by name (a DaemonSet's) is not to go elsewhere.
		}
		total := len(term.MatchExpressions) + len(term.MatchFields)
		if len(failing) == total && len(required.NodeSelectorTerms) == 1 {
			fixes = append(fixes, fix{dropAffinity(failing)})
			continue
		}
		if len(failing) == total {
			continue // Dropping all of a term would leave an empty one, which matches nothing.
		}
		fixes = append(fixes, fix{dropRequirements(t, failing)})
	}
	return append(fixes, widened(required, node)...)
}

// widened adds the node's value to the only requirement of a term that fails.
func widened(required *corev1.NodeSelector, node *corev1.Node) []fix {
	var fixes []fix
	for t, term := range required.NodeSelectorTerms {
		failing := failingRequirements(term, node)
		if len(failing) != 1 || failing[0].field || failing[0].Operator != corev1.NodeSelectorOpIn {
			continue
		}
		value, ok := node.Labels[failing[0].Key]
		if !ok {
			continue
		}
		path := requiredPath + pointer("nodeSelectorTerms", t, "matchExpressions", failing[0].index, "values", "-")
		fixes = append(fixes, fix{{
			kind: report.RemedyWidenNodeAffinity, key: fmt.Sprintf("widen node affinity %d %s=%s", t, failing[0].Key, value), disturbance: disturbSelector - 1,
			what: fmt.Sprintf("%d:%s=%s", t, failing[0].Key, value),
			text: fmt.Sprintf("allow %s=%s too in the required node affinity (%s)", failing[0].Key, value, failing[0]),
			spec: func(*corev1.PodSpec) []op { return []op{{Op: report.OpAdd, Path: path, Value: value}} },
		}})
	}
	return fixes
}

func dropAffinity(failing []requirement) atom {
	return atom{
		kind: report.RemedyDropNodeAffinity, key: "drop node affinity", what: describeRequirements(failing), disturbance: disturbSelector,
		text: fmt.Sprintf("drop the required node affinity (%s)", describeRequirements(failing)),
		spec: func(*corev1.PodSpec) []op {
			return []op{{Op: report.OpRemove, Path: requiredPath, from: describeRequirements(failing)}}
		},
	}
}

func dropRequirements(term int, failing []requirement) atom {
	return atom{
		kind: report.RemedyDropNodeAffinity, key: fmt.Sprintf("drop node affinity %d %s", term, describeRequirements(failing)),
		disturbance: disturbSelector + len(failing),
		what:        fmt.Sprintf("%d:%s", term, describeRequirements(failing)),
		text:        fmt.Sprintf("drop %s from the required node affinity", describeRequirements(failing)),
		spec: func(*corev1.PodSpec) []op {
			// From the last to the first, so that indices stay valid.
			sorted := slices.Clone(failing)
			slices.SortFunc(sorted, func(a, b requirement) int { return cmp.Compare(b.index, a.index) })
			ops := make([]op, len(sorted))
			for i, r := range sorted {
				ops[i] = op{Op: report.OpRemove, Path: requiredPath + pointer("nodeSelectorTerms", term, r.list(), r.index), from: r.String()}
			}
			return ops
		},
	}
}

// podAffinityFixes drops the pod's own required terms that the node does not meet.
func (x *fixer) podAffinityFixes(node *corev1.Node, f failure) []fix {
	affinity := x.pod.Spec.Affinity
	if affinity == nil {
		return nil
	}
	reasons := strings.Join(f.Status.Reasons(), " ")
	switch {
	case affinity.PodAffinity != nil && strings.Contains(reasons, "match pod affinity"):
		terms := affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		return dropPodTerms(report.RemedyDropPodAffinity, "podAffinity", "pod affinity", terms, func(term corev1.PodAffinityTerm) bool {
			return len(x.inDomain(node, term)) == 0
		})
	case affinity.PodAntiAffinity != nil && strings.Contains(reasons, "match pod anti-affinity"):
		terms := affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
		return dropPodTerms(report.RemedyDropAntiAffinity, "podAntiAffinity", "pod anti-affinity", terms, func(term corev1.PodAffinityTerm) bool {
			return len(x.inDomain(node, term)) > 0
		})
	default:
		return nil
	}
}

// dropPodTerms is one atom that drops the unmet terms, the last first so that
// indices stay valid.
func dropPodTerms(kind report.RemedyKind, field, name string, terms []corev1.PodAffinityTerm, unmet func(corev1.PodAffinityTerm) bool) []fix {
	list := pointer("affinity", field, "requiredDuringSchedulingIgnoredDuringExecution")
	var ops []op
	var texts []string
	for i, term := range slices.Backward(terms) {
		if !unmet(term) {
			continue
		}
		ops = append(ops, op{Op: report.OpRemove, Path: list + pointer(i), from: termText(term)})
		texts = append(texts, fmt.Sprintf("%s by %s", selectorText(term.LabelSelector), term.TopologyKey))
	}
	if len(ops) == 0 {
		return nil
	}
	if len(ops) == len(terms) {
		ops = []op{{Op: report.OpRemove, Path: list, from: strings.Join(texts, "; ")}}
	}
	slices.Reverse(texts)
	return []fix{{{
		kind: kind, key: "drop " + field + " " + strings.Join(texts, "; "), what: strings.Join(texts, "; "), disturbance: disturbAffinity + len(texts) - 1,
		text: fmt.Sprintf("drop the required %s to %s", name, strings.Join(texts, " and to ")),
		spec: func(*corev1.PodSpec) []op { return ops },
	}}}
}

// spreadFixes relaxes the hard constraints that the node violates: all by the
// skew that it needs, or all to preferences.
func (x *fixer) spreadFixes(node *corev1.Node) []fix {
	var raise, prefer fix
	raisable, preferable := true, true
	for i, constraint := range x.pod.Spec.TopologySpreadConstraints {
		violation := x.spreadViolation(node, i)
		if violation == nil {
			continue
		}
		prefer = append(prefer, scheduleAnyway(i, constraint))
		preferable = preferable && !hasPreference(x.pod, constraint.TopologyKey)
		if violation.Domain == "" {
			raisable = false
			continue
		}
		raise = append(raise, raiseSkew(i, constraint, violation, selfMatch(x.pod, constraint)))
	}
	if !raisable {
		raise = nil
	}
	if !preferable {
		prefer = nil
	}
	return alternatives(raise, prefer)
}

// hasPreference says whether the pod prefers a spread by the key already: the API
// allows one preference a key.
func hasPreference(pod *corev1.Pod, topologyKey string) bool {
	return slices.ContainsFunc(pod.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.TopologyKey == topologyKey && c.WhenUnsatisfiable == corev1.ScheduleAnyway
	})
}

func raiseSkew(index int, constraint corev1.TopologySpreadConstraint, violation *report.SpreadViolation, self int32) atom {
	needed := violation.Matching + self - violation.Minimum
	return atom{
		kind: report.RemedyRelaxSpread, key: fmt.Sprintf("raise skew %d", index), disturbance: disturbSpread,
		what: fmt.Sprintf("%s:%d:%d", constraint.TopologyKey, constraint.MaxSkew, needed),
		loss: float64(needed),
		text: fmt.Sprintf("raise maxSkew of the spread by %s from %d to %d", constraint.TopologyKey, constraint.MaxSkew, needed),
		spec: func(*corev1.PodSpec) []op {
			return []op{{Op: report.OpReplace, Path: pointer("topologySpreadConstraints", index, "maxSkew"), Value: needed, from: fmt.Sprint(constraint.MaxSkew)}}
		},
	}
}

func scheduleAnyway(index int, constraint corev1.TopologySpreadConstraint) atom {
	return atom{
		kind: report.RemedyRelaxSpread, key: fmt.Sprintf("schedule anyway %d", index), disturbance: disturbSpread + 1,
		what: constraint.TopologyKey + ":" + string(corev1.ScheduleAnyway),
		text: fmt.Sprintf("make the spread by %s a preference (whenUnsatisfiable: ScheduleAnyway)", constraint.TopologyKey),
		spec: func(*corev1.PodSpec) []op {
			ops := []op{{Op: report.OpReplace, Path: pointer("topologySpreadConstraints", index, "whenUnsatisfiable"), Value: corev1.ScheduleAnyway, from: string(corev1.DoNotSchedule)}}
			if constraint.MinDomains != nil { // Only valid with DoNotSchedule.
				ops = append(ops, op{Op: report.OpRemove, Path: pointer("topologySpreadConstraints", index, "minDomains"), from: fmt.Sprint(*constraint.MinDomains)})
			}
			return ops
		},
	}
}

// portFixes drops the host ports that are taken on the node.
func (x *fixer) portFixes(node *corev1.Node) []fix {
	if x.pod.Spec.HostNetwork {
		return nil // The container ports are the host's; there is nothing to drop.
	}
	used, _ := x.engine.Node(node.Name)
	var ops []op
	var texts []string
	for c, container := range x.pod.Spec.Containers {
		for p, port := range container.Ports {
			if port.HostPort == 0 || !used.Takes(port) {
				continue
			}
			ops = append(ops, op{Op: report.OpRemove, Path: pointer("containers", c, "ports", p, "hostPort"), from: fmt.Sprint(port.HostPort)})
			texts = append(texts, fmt.Sprintf("%d/%s", port.HostPort, port.Protocol))
		}
	}
	if len(ops) == 0 {
		return nil
	}
	text := strings.Join(texts, ", ")
	return []fix{{{
		kind: report.RemedyDropHostPort, key: "drop host port " + text, what: strings.Join(texts, ","), disturbance: disturbPort,
		text: "drop the host port " + text,
		spec: func(*corev1.PodSpec) []op { return ops },
	}}}
}
