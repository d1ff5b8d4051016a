package owner

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Maker makes pods as controllers do, and the API server admits them. It may be used by
// several goroutines at once.
type Maker struct {
	index    *Index
	snap     *snapshot.Snapshot
	now      metav1.Time
	defaults func(*corev1.Pod)
	limits   map[string][]*corev1.LimitRange
	claims   map[types.NamespacedName]bool
}

// NewMaker makes pods for the cluster of a snapshot; defaults gives a pod the API's own
// defaults.
func NewMaker(snap *snapshot.Snapshot, index *Index, defaults func(*corev1.Pod)) *Maker {
	m := &Maker{index: index, snap: snap, now: snap.Now(), defaults: defaults, limits: map[string][]*corev1.LimitRange{}, claims: map[types.NamespacedName]bool{}}
	for _, limits := range snap.LimitRanges {
		m.limits[limits.Namespace] = append(m.limits[limits.Namespace], limits)
	}
	for _, claim := range snap.PersistentVolumeClaims {
		m.claims[types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}] = true
	}
	return m
}

// Index finds the controllers that pods are made for.
func (m *Maker) Index() *Index { return m.index }

// Replica is the i-th pod of one of a workload's sets, from 0, as it would stand in the
// API server; a DaemonSet's is one for any node. A bare pod is itself.
func (m *Maker) Replica(w *Workload, set *workload.PodSet, i int) *corev1.Pod {
	pod := fresh(w.Object.GetNamespace(), replicaName(w, set, i), set.Template)
	switch o := w.Object.(type) {
	case *appsv1.StatefulSet:
		mountClaims(o, pod)
	case *appsv1.DaemonSet:
		pod.Spec.Tolerations = workload.DaemonTolerations(&pod.Spec)
		if node := set.Template.Spec.NodeName; node != "" {
			bindTo(&pod.Spec, node)
		}
	}
	m.admit(pod)
	return pod
}

// replicaName tells the pods of a workload apart; their true names often are random.
func replicaName(w *Workload, set *workload.PodSet, i int) string {
	name := w.Object.GetName()
	if w.Kind.Kind == podKind {
		return name
	}
	if len(w.Sets) > 1 {
		name += "-" + strings.ToLower(set.Name)
	}
	return name + "-" + strconv.Itoa(i)
}

// fresh is a pod of a template that has no node.
func fresh(namespace, name string, template *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = namespace, name
	pod.UID = types.UID("what-if/" + namespace + "/" + name)
	pod.Spec.NodeName = ""
	return pod
}

// DaemonPod is the pod that the DaemonSet controller would make for a node (newPod in
// k8s.io/kubernetes/pkg/controller/daemon). The error says why the set makes none.
func (m *Maker) DaemonPod(set *appsv1.DaemonSet, node string) (*corev1.Pod, error) {
	if err := runs(set, &set.Spec.Template); err != nil {
		return nil, err
	}
	pod := fresh(set.Namespace, set.Name+"-"+node, &set.Spec.Template)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
	pod.Spec.Tolerations = workload.DaemonTolerations(&pod.Spec)
	m.admit(pod)
	bindTo(&pod.Spec, node)
	return pod, nil
}

// bindTo lets a daemon's pod onto one node only (ReplaceDaemonSetPodNodeNameNodeAffinity
// in k8s.io/kubernetes/pkg/controller/daemon/util).
func bindTo(spec *corev1.PodSpec, node string) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	spec.Affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}}}}}
}

// runs says why a workload makes no pods: its template is empty.
func runs(object snapshot.Object, template *corev1.PodTemplateSpec) error {
	if len(template.Spec.Containers) == 0 {
		return fmt.Errorf("%s/%s: the pod spec has no containers", object.GetNamespace(), object.GetName())
	}
	return nil
}

// StatefulPod is the pod that the StatefulSet controller would make of an ordinal by the
// set's template, with those of its claims that there are not yet. The error says why the
// set makes none.
func (m *Maker) StatefulPod(set *appsv1.StatefulSet, ordinal int) (*corev1.Pod, []snapshot.Object, error) {
	if err := runs(set, &set.Spec.Template); err != nil {
		return nil, nil, err
	}
	pod := stateful(set, ordinal)
	m.admit(pod)
	claims := slices.DeleteFunc(m.allClaims(set.Spec.VolumeClaimTemplates, pod), func(object snapshot.Object) bool {
		claim, ok := object.(*corev1.PersistentVolumeClaim)
		return ok && m.claims[types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}]
	})
	return pod, claims, nil
}

// stateful is a set's pod before admission (newStatefulSetPod in
// k8s.io/kubernetes/pkg/controller/statefulset).
func stateful(set *appsv1.StatefulSet, ordinal int) *corev1.Pod {
	pod := fresh(set.Namespace, set.Name+"-"+strconv.Itoa(ordinal), &set.Spec.Template)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	pod.Labels = withEntries(pod.Labels, map[string]string{
		appsv1.StatefulSetPodNameLabel: pod.Name, appsv1.PodIndexLabel: strconv.Itoa(ordinal),
	})
	if revision := set.Status.UpdateRevision; revision != "" {
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	}
	mountClaims(set, pod)
	return pod
}

// withEntries is a map with further entries, which win.
func withEntries[K comparable, V any](m, further map[K]V) map[K]V {
	all := make(map[K]V, len(m)+len(further))
	maps.Copy(all, m)
	maps.Copy(all, further)
	return all
}

// mountClaims gives a set's pod the volumes of its claims, in the stead of those of the
// same name in the template.
func mountClaims(set *appsv1.StatefulSet, pod *corev1.Pod) {
	for _, template := range set.Spec.VolumeClaimTemplates {
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == template.Name })
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: template.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: statefulClaim(&template, pod)}}})
	}
}

// statefulClaim is the name of the claim of a set's pod.
func statefulClaim(template *corev1.PersistentVolumeClaim, pod *corev1.Pod) string {
	return template.Name + "-" + pod.Name
}

// ofUpdateRevision says whether the StatefulSet controller makes an ordinal of the set's
// template as it stands; else of the revision before (newVersionedStatefulSetPod in
// k8s.io/kubernetes/pkg/controller/statefulset).
func ofUpdateRevision(set *appsv1.StatefulSet, ordinal int) bool {
	if set.Status.CurrentRevision == set.Status.UpdateRevision {
		return true
	}
	start, _ := Ordinals(set)
	strategy := set.Spec.UpdateStrategy
	if strategy.RollingUpdate != nil {
		return ordinal >= start+int(ptr.Deref(strategy.RollingUpdate.Partition, 0))
	}
	return strategy.Type != appsv1.RollingUpdateStatefulSetStrategyType || ordinal >= start+int(set.Status.CurrentReplicas)
}
