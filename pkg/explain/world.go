package explain

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// world is what explanations look up in a snapshot, indexed once.
type world struct {
	snap       *snapshot.Snapshot
	now        time.Time
	namespaces map[string]labels.Set
	owners     *owner.Index
	maker      *owner.Maker
	claims     map[string]*corev1.PersistentVolumeClaim
	volumes    map[string]*corev1.PersistentVolume
	// labelValues holds, for each node label, the values that nodes have.
	labelValues map[string]map[string]int
	// offered sums each resource's allocatable amount over the nodes.
	offered map[corev1.ResourceName]int64
	// antiAffinity is true when pods in the cluster require anti-affinity.
	antiAffinity bool
	// eventsOf holds the events about an object.
	eventsOf map[owner.Ref][]*corev1.Event
}

func newWorld(snap *snapshot.Snapshot, kinds *workload.Kinds) *world {
	w := &world{
		snap:        snap,
		now:         snap.Now().Time,
		namespaces:  map[string]labels.Set{},
		owners:      owner.NewIndex(snap, kinds),
		claims:      map[string]*corev1.PersistentVolumeClaim{},
		volumes:     map[string]*corev1.PersistentVolume{},
		labelValues: map[string]map[string]int{},
		offered:     map[corev1.ResourceName]int64{},
		eventsOf:    map[owner.Ref][]*corev1.Event{},
	}
	w.maker = owner.NewMaker(snap, w.owners, predicate.SetDefaults)
	for _, namespace := range snap.Namespaces {
		w.namespaces[namespace.Name] = namespace.Labels
	}
	for _, claim := range snap.PersistentVolumeClaims {
		w.claims[claim.Namespace+"/"+claim.Name] = claim
	}
	for _, volume := range snap.PersistentVolumes {
		w.volumes[volume.Name] = volume
	}
	for _, node := range snap.Nodes {
		for key, value := range node.Labels {
			if w.labelValues[key] == nil {
				w.labelValues[key] = map[string]int{}
			}
			w.labelValues[key][value]++
		}
		for name, quantity := range node.Status.Allocatable {
			w.offered[name] += quantity.Value()
		}
	}
	for _, pod := range snap.Pods {
		if affinity := pod.Spec.Affinity; affinity != nil && affinity.PodAntiAffinity != nil {
			w.antiAffinity = true
		}
	}
	for _, event := range snap.Events {
		key := owner.Ref{Kind: event.InvolvedObject.Kind, Namespace: event.InvolvedObject.Namespace, Name: event.InvolvedObject.Name}
		w.eventsOf[key] = append(w.eventsOf[key], event)
	}
	return w
}

// user names who a pod belongs to: its top owner, or, bare, itself.
func (w *world) user(pod *corev1.Pod) string {
	if ref := w.owners.Top(pod); ref.Kind != "" {
		return fmt.Sprintf("%s/%s", pod.Namespace, ref)
	}
	return fmt.Sprintf("%s/%s", pod.Namespace, pod.Name)
}

func (w *world) nearestLabelValue(key, value string) string {
	return similar(value, slices.Collect(maps.Keys(w.labelValues[key])))
}

func (w *world) nearestLabelKey(key string) string {
	return similar(key, slices.Collect(maps.Keys(w.labelValues)))
}

func (w *world) nearestResource(name corev1.ResourceName) string {
	names := make([]string, 0, len(w.offered))
	for offered, amount := range w.offered {
		if amount > 0 {
			names = append(names, string(offered))
		}
	}
	return similar(string(name), names)
}
