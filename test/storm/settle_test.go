package storm

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// letGo ends what clients hold up: pauses, stuck rollouts, partitions and pods that take long to end.
func (s *storm) letGo() {
	s.t.Helper()
	ctx, client := s.t.Context(), cluster.Client()
	var all metav1.ListOptions
	web, err := client.AppsV1().Deployments(namespace).List(ctx, all)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range web.Items {
		s.lets(deployments, web.Items[i].Name, `{"spec":{"paused":false,"template":{"spec":{"nodeSelector":null}}}}`)
	}
	sets, err := client.AppsV1().StatefulSets(namespace).List(ctx, all)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range sets.Items {
		s.lets(statefulSets, sets.Items[i].Name, `{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}}}`)
	}
	left, err := client.CoreV1().Pods(namespace).List(ctx, all)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range left.Items {
		if pod := &left.Items[i]; pod.DeletionTimestamp != nil {
			// It may be gone by now.
			_ = client.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		}
	}
}

// lets patches a workload. That it is refused, as its group is over, is no fault: then it stays as it is.
func (s *storm) lets(kind, name, change string) {
	apps, how := cluster.Client().AppsV1(), types.StrategicMergePatchType
	var err error
	if kind == deployments {
		_, err = apps.Deployments(namespace).Patch(s.t.Context(), name, how, []byte(change), metav1.PatchOptions{})
	} else {
		_, err = apps.StatefulSets(namespace).Patch(s.t.Context(), name, how, []byte(change), metav1.PatchOptions{})
	}
	if is := outcomeOf(err); is != admitted && is != refused && is != raced {
		s.t.Errorf("%s/%s cannot go on: %v", kind, name, err)
	}
}

// stuck are the ReplicaSets that have not the pods that they want.
func stuck(ctx context.Context) ([]string, error) {
	list, err := cluster.Client().AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var stuck []string
	for i := range list.Items {
		set := &list.Items[i]
		if set.DeletionTimestamp == nil && (set.Status.ObservedGeneration < set.Generation || set.Status.Replicas != ptr.Deref(set.Spec.Replicas, 1)) {
			stuck = append(stuck, fmt.Sprintf("replicaset %s has %d pods, wants %d: %v", set.Name, set.Status.Replicas, ptr.Deref(set.Spec.Replicas, 1), set.Status.Conditions))
		}
	}
	return stuck, nil
}
