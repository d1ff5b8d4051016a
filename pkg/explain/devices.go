package explain

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// deviceLink is one part of what must run before nodes advertise a device.
type deviceLink struct {
	name string
	// podPrefixes are how its pods are called by the vendors' charts.
	podPrefixes []string
}

// deviceChains are, by resource prefix, the links in the order in which each
// needs the one before (the NVIDIA GPU Operator's documentation names them).
var deviceChains = map[string][]deviceLink{
	"nvidia.com/": {
		{"feature discovery", []string{"gpu-feature-discovery", "node-feature-discovery"}},
		{"driver", []string{"nvidia-driver-daemonset"}},
		{"container toolkit", []string{"nvidia-container-toolkit-daemonset"}},
		{"device plugin", []string{"nvidia-device-plugin"}},
	},
	"amd.com/": {
		{"device plugin", []string{"amdgpu-device-plugin", "amd-gpu-device-plugin"}},
	},
	"intel.com/": {
		{"device plugin", []string{"intel-gpu-plugin"}},
	},
}

// brokenDeviceChain says which link of a device's chain is not running, from the
// state of its pods; empty for a resource of no known chain.
func (w *world) brokenDeviceChain(name corev1.ResourceName) string {
	for _, prefix := range sortedKeys(deviceChains) {
		if !strings.HasPrefix(string(name), prefix) {
			continue
		}
		chain := deviceChains[prefix]
		for _, link := range chain {
			if problem := w.linkProblem(link); problem != "" {
				return problem
			}
		}
		last := chain[len(chain)-1]
		if len(w.podsNamed(last.podPrefixes)) == 0 {
			return fmt.Sprintf("no %s runs in the cluster", last.name)
		}
		return fmt.Sprintf("the %s runs but advertises none", last.name)
	}
	return ""
}

// linkProblem names the first pod of a link that is not ready. A link without
// pods is no problem by itself: drivers may come with the machine image.
func (w *world) linkProblem(link deviceLink) string {
	for _, pod := range w.podsNamed(link.podPrefixes) {
		if pod.Status.Phase != corev1.PodRunning || !ready(pod) {
			return fmt.Sprintf("the %s pod %s/%s on node %s is not ready (%s)", link.name, pod.Namespace, pod.Name, pod.Spec.NodeName, pod.Status.Phase)
		}
	}
	return ""
}

func (w *world) podsNamed(prefixes []string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range w.snap.Pods {
		for _, prefix := range prefixes {
			if strings.HasPrefix(pod.Name, prefix) {
				pods = append(pods, pod)
				break
			}
		}
	}
	return pods
}

// ready reads the Ready condition; a dump without conditions says nothing against.
func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return true
}
