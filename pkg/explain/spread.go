package explain

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// selfMatch is 1 when the pod counts itself.
func selfMatch(pod *corev1.Pod, constraint corev1.TopologySpreadConstraint) int32 {
	if selector, err := spreadSelector(pod, constraint); err == nil && selector.Matches(labels.Set(pod.Labels)) {
		return 1
	}
	return 0
}

// spreadCounts is the number of matching pods in each domain that counts.
func spreadCounts(nodes iter.Seq[predicate.Node], pod *corev1.Pod, constraint corev1.TopologySpreadConstraint) map[string]int32 {
	counts := map[string]int32{}
	selector, err := spreadSelector(pod, constraint)
	if err != nil {
		return counts
	}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	for node := range nodes {
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
