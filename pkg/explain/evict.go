package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// maxVictims bounds an eviction worth proposing.
const maxVictims = 10

// maxEvictions is how many nodes' evictions are proposed.
const maxEvictions = 2

// evictions proposes pods to evict, on the nodes that lack least, at most
// e.evictNodes of them.
func (d *detailer) evictions(ctx context.Context, verdict *predicate.Verdict) ([]verified, error) {
	var found []verified
	for _, name := range d.evictableNodes(verdict) {
		node, _ := d.engine.Node(name)
		victims, err := d.victims(ctx, d.pod, node)
		if err != nil {
			return nil, err
		}
		if len(victims) == 0 || len(victims) > maxVictims {
			continue
		}
		c := candidate{atoms: []atom{evict(name, victims)}, nodes: []string{name}}
		fits, err := d.verify(ctx, d.pod, c)
		if err != nil {
			return nil, err
		}
		found = append(found, verified{c, fits})
	}
	slices.SortStableFunc(found, func(a, b verified) int { return cmp.Compare(a.disturbance(), b.disturbance()) })
	return found[:min(len(found), maxEvictions)], nil
}

// evictableNodes are those whose every failure another pod's going may lift,
// those that lack least first.
func (d *detailer) evictableNodes(verdict *predicate.Verdict) []string {
	lacks := map[string]float64{}
	for i, name := range verdict.Nodes {
		failures := verdict.Failures[i]
		if len(failures) == 0 || !allResolvable(failures) {
			continue
		}
		node, _ := d.engine.Node(name)
		lacks[name] = d.lack(node, failures)
	}
	names := sortedKeys(lacks)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(lacks[a], lacks[b]) })
	return names[:min(len(names), d.evictNodes)]
}

func allResolvable(failures []predicate.Failure) bool {
	return !slices.ContainsFunc(failures, func(f predicate.Failure) bool { return !f.Resolvable() })
}

// lack is how much a node is short of, as a share of its capacity summed over the
// resources; another failure counts as one pod's worth, a tenth of a node.
func (d *detailer) lack(node predicate.Node, failures []predicate.Failure) float64 {
	var sum float64
	for _, failure := range failures {
		if failure.Plugin != predicate.NodeResourcesFit {
			sum += 0.1
			continue
		}
		for _, short := range d.shortages(node, failure) {
			sum += float64(short.requested-short.free()) / float64(max(short.capacity, 1))
		}
	}
	return sum
}

// victims finds the pods to evict from a node as the scheduler's preemption does,
// but for any priority: all are taken off, and put back one by one, the most
// important first, as long as the pod still fits. What cannot be put back is a
// smallest set.
func (e *Explainer) victims(ctx context.Context, pod *corev1.Pod, node predicate.Node) ([]*corev1.Pod, error) {
	var removable []*corev1.Pod
	workload := e.world.owners.Top(pod)
	for other := range node.Pods() {
		// A pod of the same workload would only take the other's place in the queue.
		sibling := workload.Kind != "" && e.world.owners.Top(other) == workload
		if evictable(other) && !sibling && !comesFirst(other, pod) {
			removable = append(removable, other)
		}
	}
	slices.SortStableFunc(removable, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(corev1helpers.PodPriority(b), corev1helpers.PodPriority(a)), cmp.Compare(e.share(a, node), e.share(b, node)), cmp.Compare(a.Name, b.Name))
	})
	name := node.Name
	if fits, err := e.fitsWithout(ctx, pod, name, removable); err != nil || !fits {
		return nil, err
	}
	evicted := removable
	for _, keep := range slices.Clone(removable) {
		fewer := slices.DeleteFunc(slices.Clone(evicted), func(p *corev1.Pod) bool { return p == keep })
		fits, err := e.fitsWithout(ctx, pod, name, fewer)
		if err != nil {
			return nil, err
		}
		if fits {
			evicted = fewer
		}
	}
	return evicted, nil
}

func (e *Explainer) fitsWithout(ctx context.Context, pod *corev1.Pod, node string, without []*corev1.Pod) (bool, error) {
	if len(without) == 0 {
		return false, nil
	}
	edits := make([]predicate.Edit, len(without))
	for i, victim := range without {
		edits[i].Evict = victim
	}
	undo, err := e.engine.Apply(edits...)
	if err != nil {
		return false, err
	}
	defer undo()
	fits, err := e.engine.FitsOn(ctx, pod, []string{node})
	return len(fits) > 0, err
}

// share is the largest part of the node that a pod takes, over all resources.
func (e *Explainer) share(pod *corev1.Pod, node predicate.Node) float64 {
	var largest float64
	for name, quantity := range node.Status.Allocatable {
		if whole := quantity.AsApproximateFloat64(); whole > 0 {
			part := float64(podAmount(pod, name))
			if name == corev1.ResourceCPU {
				part /= 1000
			}
			largest = max(largest, part/whole)
		}
	}
	return largest
}

// comesFirst: a controller's pod of higher priority is made again at once and goes
// ahead in the queue.
func comesFirst(victim, pod *corev1.Pod) bool {
	return corev1helpers.PodPriority(victim) > corev1helpers.PodPriority(pod) && metav1.GetControllerOfNoCopy(victim) != nil
}

// evictable leaves out what comes back at once: pods of a DaemonSet, and mirrors
// of static pods.
func evictable(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	return !snapshot.Mirror(pod) && (owner == nil || owner.Kind != "DaemonSet") && pod.DeletionTimestamp == nil
}

func evict(node string, victims []*corev1.Pod) atom {
	a := atom{kind: report.RemedyEvictPods, key: "evict from " + node, disturbance: disturbEvict + len(victims)}
	var names, commands []string
	for _, victim := range victims {
		names = append(names, victim.Namespace+"/"+victim.Name)
		commands = append(commands, shellCommand("kubectl", "-n", victim.Namespace, "delete", "pod", victim.Name))
		a.edits = append(a.edits, predicate.Edit{Evict: victim})
		a.changes = append(a.changes, report.Change{Object: podObject(victim), Op: report.OpDelete})
	}
	a.what = node + ":" + strings.Join(names, ",")
	a.text = fmt.Sprintf("evict %s from node %s", countedList(names, "pod"), node)
	a.command = strings.Join(commands, " && ")
	return a
}
