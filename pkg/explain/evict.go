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
// evictNodes of them.
func (s *search) evictions(ctx context.Context, nodes []judged) ([]verified, error) {
	var found []verified
	for _, node := range s.evictableNodes(nodes) {
		victims, err := s.victims(ctx, node.Node)
		if err != nil {
			return nil, err
		}
		if len(victims) == 0 || len(victims) > maxVictims {
			continue
		}
		c := candidate{atoms: []atom{evict(node.Name, victims)}, nodes: []string{node.Name}}
		fits, err := s.verify(ctx, c)
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
func (s *search) evictableNodes(nodes []judged) []judged {
	lacks := map[string]float64{}
	var evictable []judged
	for _, node := range nodes {
		if len(node.failures) > 0 && allResolvable(node.failures) {
			lacks[node.Name] = lack(node.failures)
			evictable = append(evictable, node)
		}
	}
	slices.SortFunc(evictable, func(a, b judged) int {
		return cmp.Or(cmp.Compare(lacks[a.Name], lacks[b.Name]), cmp.Compare(a.Name, b.Name))
	})
	return evictable[:min(len(evictable), s.evictNodes)]
}

func allResolvable(failures []failure) bool {
	return !slices.ContainsFunc(failures, func(f failure) bool { return !f.Resolvable() })
}

// lack is how much a node is short of, as a share of its capacity summed over the
// resources; another failure counts as one pod's worth, a tenth of a node.
func lack(failures []failure) float64 {
	var sum float64
	for _, f := range failures {
		if f.Plugin != predicate.NodeResourcesFit {
			sum += 0.1
			continue
		}
		for _, short := range f.short {
			sum += float64(short.requested-short.free()) / float64(max(short.capacity, 1))
		}
	}
	return sum
}

// victims finds the pods to evict from a node as the scheduler's preemption does,
// but for any priority: all are taken off, and put back one by one, the most
// important first, as long as the pod still fits. What cannot be put back is a
// smallest set.
func (s *search) victims(ctx context.Context, node predicate.Node) ([]*corev1.Pod, error) {
	var removable []*corev1.Pod
	workload := s.world.owners.Top(s.pod)
	for other := range node.Pods() {
		// A pod of the same workload would only take the other's place in the queue.
		sibling := workload.Kind != "" && s.world.owners.Top(other) == workload
		if evictable(other) && !sibling && !comesFirst(other, s.pod) {
			removable = append(removable, other)
		}
	}
	slices.SortStableFunc(removable, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(corev1helpers.PodPriority(b), corev1helpers.PodPriority(a)), cmp.Compare(share(a, node.Node), share(b, node.Node)), cmp.Compare(a.Name, b.Name))
	})
	name := node.Name
	if fits, err := s.fitsWithout(ctx, name, removable); err != nil || !fits {
		return nil, err
	}
	evicted := removable
	for _, keep := range slices.Clone(removable) {
		fewer := slices.DeleteFunc(slices.Clone(evicted), func(p *corev1.Pod) bool { return p == keep })
		fits, err := s.fitsWithout(ctx, name, fewer)
		if err != nil {
			return nil, err
		}
		if fits {
			evicted = fewer
		}
	}
	return evicted, nil
}

func (s *search) fitsWithout(ctx context.Context, node string, without []*corev1.Pod) (bool, error) {
	if len(without) == 0 {
		return false, nil
	}
	edits := make([]predicate.Edit, len(without))
	for i, victim := range without {
		edits[i].Evict = victim
	}
	undo, err := s.engine.Apply(edits...)
	if err != nil {
		return false, err
	}
	defer undo()
	fits, err := s.engine.FitsOn(ctx, s.pod, []string{node})
	return len(fits) > 0, err
}

// share is the largest part of the node that a pod takes, over all resources.
func share(pod *corev1.Pod, node *corev1.Node) float64 {
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
