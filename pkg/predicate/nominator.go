package predicate

import (
	"maps"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// nominator answers which pending pods hold a nominated node, from their status.
// The scheduler knows only of pods of its own profiles, gated ones included.
type nominator struct {
	byNode map[string][]fwk.PodInfo
	// over are pods whose nomination is over, as they have a node or have lost it to
	// another; forks have their own.
	over map[types.UID]bool
}

func newNominator(pods []*corev1.Pod, config *Config) *nominator {
	n := &nominator{byNode: map[string][]fwk.PodInfo{}, over: map[types.UID]bool{}}
	for _, pod := range pods {
		if pod.Spec.NodeName != "" || pod.Status.NominatedNodeName == "" || snapshot.Finished(pod) || config.profileOf(pod) == nil {
			continue
		}
		if info, err := framework.NewPodInfo(pod); err == nil {
			info.CalculateResource() // Cached in the info, which forks share.
			n.byNode[pod.Status.NominatedNodeName] = append(n.byNode[pod.Status.NominatedNodeName], info)
		}
	}
	for _, infos := range n.byNode {
		sort.Slice(infos, func(i, j int) bool { return strings.Compare(podKey(infos[i].GetPod()), podKey(infos[j].GetPod())) < 0 })
	}
	return n
}

func (n *nominator) NominatedPodsForNode(node string) []fwk.PodInfo {
	infos := n.byNode[node]
	if len(infos) == 0 || len(n.over) == 0 {
		return infos
	}
	return slices.DeleteFunc(slices.Clone(infos), func(info fwk.PodInfo) bool { return n.over[info.GetPod().UID] })
}

// end ends the nominations of pods until undo.
func (n *nominator) end(pods ...*corev1.Pod) (undo func()) {
	var ended []types.UID
	for _, pod := range pods {
		if pod.Status.NominatedNodeName != "" && !n.over[pod.UID] {
			n.over[pod.UID] = true
			ended = append(ended, pod.UID)
		}
	}
	return func() {
		for _, uid := range ended {
			delete(n.over, uid)
		}
	}
}

// EndNominations ends those of pods of lower priority than the pod's to a node, which
// it has been given by preemption, as the scheduler does: they may no longer fit.
func (e *Engine) EndNominations(node string, pod *corev1.Pod) (undo func()) {
	var lower []*corev1.Pod
	for _, info := range e.nominator.NominatedPodsForNode(node) {
		if corev1helpers.PodPriority(info.GetPod()) < corev1helpers.PodPriority(pod) {
			lower = append(lower, info.GetPod())
		}
	}
	return e.nominator.end(lower...)
}

// clone copies what changes.
func (n *nominator) clone() *nominator { return &nominator{byNode: n.byNode, over: maps.Clone(n.over)} }

// The framework changes no nominations: it binds nothing.

func (n *nominator) AddNominatedPod(klog.Logger, fwk.PodInfo, *fwk.NominatingInfo) {}
func (n *nominator) DeleteNominatedPodIfExists(*corev1.Pod)                        {}
func (n *nominator) UpdateNominatedPod(klog.Logger, *corev1.Pod, fwk.PodInfo)      {}
