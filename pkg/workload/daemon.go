package workload

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/stowage-dev/stowage/pkg/taint"
)

// Eligible says whether the DaemonSet controller would start a pod of template on
// node: by the node's name, the required node affinity and node selector, and the
// taints that keep pods away. As that controller does, it counts in the
// tolerations that every daemon pod has and takes no affinity that cannot be
// parsed. See NodeShouldRunDaemonPod in k8s.io/kubernetes/pkg/controller/daemon.
func Eligible(template *corev1.PodTemplateSpec, node *corev1.Node) bool {
	spec := &template.Spec
	if spec.NodeName != "" && spec.NodeName != node.Name {
		return false
	}
	affinity := nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity)
	if fits, _ := affinity.Match(node); !fits {
		return false
	}
	return taint.Tolerates(DaemonTolerations(spec), node.Spec.Taints)
}

// DaemonTolerations are the tolerations of spec, a DaemonSet's template, and those that
// the controller adds to the pods that it makes (AddOrUpdateDaemonPodTolerations in
// k8s.io/kubernetes/pkg/controller/daemon/util).
func DaemonTolerations(spec *corev1.PodSpec) []corev1.Toleration {
	tolerations := append(slices.Clone(spec.Tolerations),
		tolerate(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute),
		tolerate(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute),
		tolerate(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule),
		tolerate(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule))
	if spec.HostNetwork {
		tolerations = append(tolerations, tolerate(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule))
	}
	return tolerations
}

func tolerate(key string, effect corev1.TaintEffect) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
}
