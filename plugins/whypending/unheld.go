package whypending

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// furtherKinds are the targets' kinds that a snapshot holds for whom asks only.
func furtherKinds(targets []cli.Target) []snapshot.Kind {
	var kinds []snapshot.Kind
	for _, target := range targets {
		kind := target.Kind
		same := func(other snapshot.Kind) bool { return other.GroupVersionKind == kind.GroupVersionKind }
		if kind.Typed() || slices.ContainsFunc(kinds, same) {
			continue
		}
		kind.Label = "" // not only those of a business group
		kinds = append(kinds, kind)
	}
	return kinds
}

// addUnheld takes the pods of workloads that the snapshot does not hold, as a dump
// seldom does those of custom kinds: the pods' owners name them. notFound is what is
// said of a named one that is not held; without pods, too, it is the answer.
func (o *Options) addUnheld(q *question, snap *snapshot.Snapshot, target cli.Target, notFound error) error {
	pods := unheld(snap, q.namespace, target)
	if notFound != nil && len(pods) == 0 {
		hint := "are there any? kubectl get %s -A"
		if o.Source.Offline() {
			hint = "dump them too: kubectl get %s -A -o yaml"
		}
		return fmt.Errorf("%w, and no pod is owned by one of that name; "+hint, notFound, target.Kind.GroupResource())
	}
	pending := slices.DeleteFunc(pods, func(pod *corev1.Pod) bool { return !snapshot.Pending(pod) })
	if notFound != nil && len(pending) == 0 {
		q.notes = append(q.notes, noPending(target.Kind.Kind, target.Name, q.namespace))
	}
	q.addPending(pending, o.matches)
	return nil
}

// unheld are the pods in a namespace (all, when empty) whose top owner is one of the
// target's that the snapshot does not hold.
func unheld(snap *snapshot.Snapshot, namespace string, target cli.Target) []*corev1.Pod {
	held := map[string]bool{}
	for _, object := range target.Kind.Objects(snap) {
		held[object.GetNamespace()+"/"+object.GetName()] = true
	}
	index := owner.NewIndex(snap, workload.Default())
	var pods []*corev1.Pod
	for _, pod := range snap.Pods {
		top := index.Top(pod)
		if (namespace == "" || pod.Namespace == namespace) && top.Kind == target.Kind.Kind && !held[pod.Namespace+"/"+top.Name] &&
			(target.Name == "" || target.Name == top.Name) {
			pods = append(pods, pod)
		}
	}
	return pods
}
