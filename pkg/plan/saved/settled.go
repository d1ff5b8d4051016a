package saved

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Begun is the wave, counted from 1, that a plan has come to: the waves before it have
// been applied, and some of its own nodes, half if others of them have not. 0 if none
// has been. Nodes that are gone do not count.
func Begun(p *report.TaintPlan, snap *snapshot.Snapshot) (begun int32, half bool) {
	here, done := map[string]bool{}, DoneNodes(p, snap)
	for _, node := range snap.Nodes {
		here[node.Name] = true
	}
	for i, wave := range p.Waves {
		left := slices.ContainsFunc(wave, func(name string) bool { return here[name] && !done[name] })
		if slices.ContainsFunc(wave, func(name string) bool { return done[name] }) {
			begun, half = int32(i)+1, left
		}
		if left {
			break
		}
	}
	return begun, half
}

// DoneNodes are the nodes of a plan that have had their change.
func DoneNodes(p *report.TaintPlan, snap *snapshot.Snapshot) map[string]bool {
	taints := make(map[string][]corev1.Taint, len(snap.Nodes))
	for _, node := range snap.Nodes {
		taints[node.Name] = node.Spec.Taints
	}
	done := map[string]bool{}
	for _, node := range p.Nodes {
		if now, ok := taints[node.Name]; ok && Done(node, now) {
			done[node.Name] = true
		}
	}
	return done
}

// Watched are the resources of the kinds that Unsettled looks at.
func Watched() []string {
	return []string{
		"nodes", "pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "replicationcontrollers",
	}
}

// Unsettled says what is not yet as planned for when a wave, counted from 1, and those
// before it have been applied: pods that are still to go from nodes that have had their
// change, and workloads with fewer ready pods than they are to have again. Nothing, if
// what follows may come.
func Unsettled(p *report.TaintPlan, wave int32, snap *snapshot.Snapshot) []string {
	return append(lingering(p, wave, snap), unreplaced(p, wave, snap)...)
}

// lingering are the pods that the taints of the waves, where they are set, evict, and
// that are there. Not those that have come since the taints and tolerate them for a time:
// they are no part of the change. Nor mirror pods, which the kubelet makes again.
func lingering(p *report.TaintPlan, wave int32, snap *snapshot.Snapshot) []string {
	done := DoneNodes(p, snap)
	tainted := map[string]report.TaintedNode{}
	for _, node := range p.Nodes {
		if node.Wave <= wave && done[node.Name] {
			tainted[node.Name] = node
		}
	}
	since := map[string]time.Time{}
	for _, node := range snap.Nodes {
		since[node.Name] = setAt(tainted[node.Name], node.Spec.Taints, p.TakenAt.Time)
	}
	var texts []string
	for _, pod := range snap.Pods {
		node, ok := tainted[pod.Spec.NodeName]
		if !ok || snapshot.Mirror(pod) {
			continue
		}
		stay, evicted := taint.Stays(pod, node.After)
		if !evicted || stay > 0 && pod.CreationTimestamp.After(since[node.Name]) {
			continue
		}
		state := "is not evicted yet"
		if pod.DeletionTimestamp != nil {
			state = "is being deleted"
		}
		texts = append(texts, fmt.Sprintf("pod %s/%s on node %s %s", pod.Namespace, pod.Name, node.Name, state))
	}
	return texts
}

// setAt is when the planned change of a node was made, as far as its taints now say;
// taken when they do not.
func setAt(node report.TaintedNode, now []corev1.Taint, taken time.Time) time.Time {
	at := taken
	for _, t := range now {
		if t.TimeAdded != nil && t.TimeAdded.After(at) && Sets(node, t) {
			at = t.TimeAdded.Time
		}
	}
	return at
}

// unreplaced are the workloads whose displaced pods are not all replaced by ready ones:
// as many as there were before less those that the plan has no node for, or that are
// not wanted any more.
func unreplaced(p *report.TaintPlan, wave int32, snap *snapshot.Snapshot) []string {
	index := owner.NewIndex(snap, workload.Default())
	have, lost := countPods(snap, index), losses(p, wave)
	var texts []string
	for _, w := range p.Workloads {
		key := whose(w.Namespace, w.Workload, "")
		lost, displaced := lost[key]
		if !displaced {
			continue
		}
		kind, name, _ := strings.Cut(w.Workload, "/")
		wanted := have[key].all
		if top, known := index.Workload(owner.Ref{Kind: kind, Namespace: w.Namespace, Name: name}); known && top.Speaks() {
			wanted = top.Wanted // Of a CronJob, its Jobs want the pods.
		}
		if want := min(w.ReadyBefore-lost, wanted); have[key].ready < want {
			texts = append(texts, fmt.Sprintf("%s %s/%s has %d of %d pods ready", strings.ToLower(kind), w.Namespace, name, have[key].ready, want))
		}
	}
	return texts
}

// whose names who a pod belongs to: its workload, Kind/name, or, bare, itself.
func whose(namespace, workload, pod string) string {
	if workload == "" {
		workload = "Pod/" + pod
	}
	kind, name, _ := strings.Cut(workload, "/")
	return strings.ToLower(kind) + "/" + namespace + "/" + name
}

// losses are how many pods the plan has no node for, once the waves up to this one
// are applied, for each workload that has one for others.
func losses(p *report.TaintPlan, wave int32) map[string]int32 {
	lost, displaced := map[string]int32{}, map[string]int32{}
	add := func(key string, at int32, fate report.Fate) {
		switch {
		case at > wave:
		case fate == report.FateRePlaced:
			displaced[key] = 0
		default:
			lost[key]++
		}
	}
	for _, e := range p.Evictions {
		add(whose(e.Namespace, e.Workload, e.Name), e.Wave, e.Fate)
	}
	for _, v := range p.Preempted {
		add(whose(v.Namespace, v.Workload, v.Name), v.Wave, v.Fate)
	}
	for key := range displaced {
		displaced[key] = lost[key]
	}
	return displaced
}

// pods are how many a workload has, without those that are finished or being deleted.
type pods struct{ all, ready int32 }

// countPods counts those of each workload.
func countPods(snap *snapshot.Snapshot, index *owner.Index) map[string]pods {
	have := map[string]pods{}
	for _, pod := range snap.Pods {
		if pod.DeletionTimestamp != nil || snapshot.Finished(pod) {
			continue
		}
		key := whose(pod.Namespace, index.Top(pod).String(), pod.Name)
		found := have[key]
		found.all++
		if snapshot.Healthy(pod) {
			found.ready++
		}
		have[key] = found
	}
	return have
}
