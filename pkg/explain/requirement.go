package explain

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/stowage-dev/stowage/pkg/taint"
)

// requirement is one expression of a term, with its place.
type requirement struct {
	corev1.NodeSelectorRequirement
	field bool
	index int
}

// String is "key Operator values".
func (r requirement) String() string {
	text := r.Key + " " + string(r.Operator)
	if len(r.Values) > 0 {
		text += " " + strings.Join(r.Values, ",")
	}
	return text
}

func (r requirement) list() string {
	if r.field {
		return "matchFields"
	}
	return "matchExpressions"
}

// failingRequirements are those that the node does not meet, each tried by
// upstream's own matcher in a term of its own.
func failingRequirements(term corev1.NodeSelectorTerm, node *corev1.Node) []requirement {
	var failing []requirement
	try := func(single corev1.NodeSelectorTerm, r requirement) {
		selector := nodeaffinity.NewLazyErrorNodeSelector(&corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{single}})
		if ok, err := selector.Match(node); err != nil || !ok {
			failing = append(failing, r)
		}
	}
	for i, expression := range term.MatchExpressions {
		try(corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{expression}}, requirement{expression, false, i})
	}
	for i, field := range term.MatchFields {
		try(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{field}}, requirement{field, true, i})
	}
	return failing
}

func describeRequirements(failing []requirement) string {
	texts := make([]string, len(failing))
	for i, r := range failing {
		texts[i] = r.String()
	}
	return strings.Join(texts, " and ")
}

func requiredNodeAffinity(pod *corev1.Pod) *corev1.NodeSelector {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

// matchesAffinity leaves the node selector aside.
func matchesAffinity(pod *corev1.Pod, node *corev1.Node) bool {
	ok, err := nodeaffinity.NewRequiredNodeAffinity(nil, pod.Spec.Affinity).Match(node)
	return err == nil && ok
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

// untolerated are the node's taints that keep the pod off it.
func untolerated(pod *corev1.Pod, node *corev1.Node) []corev1.Taint {
	var taints []corev1.Taint
	for i := range node.Spec.Taints {
		if t := node.Spec.Taints[i]; taint.KeepsOff(pod.Spec.Tolerations, &t) {
			t.TimeAdded = nil
			taints = append(taints, t)
		}
	}
	return taints
}

// controllerTaint says whether the node lifecycle controller or the kubelet sets
// and removes a taint by itself: neither a toleration nor an untaint is advice.
func controllerTaint(key string) bool {
	return strings.HasPrefix(key, "node.kubernetes.io/") || strings.HasPrefix(key, "node.cloudprovider.kubernetes.io/")
}
