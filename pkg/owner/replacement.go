package owner

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Replacement is the pod that the controller of a pod would make now in its stead. It has
// the name of the other, and its UID with a suffix; the time of its creation is the
// snapshot's. The error says why the controller makes none.
func (m *Maker) Replacement(pod *corev1.Pod) (*corev1.Pod, error) {
	made, err := m.successor(pod)
	if err != nil {
		return nil, err
	}
	made.Namespace, made.Name, made.UID = pod.Namespace, pod.Name, pod.UID+"/replacement"
	made.OwnerReferences = pod.OwnerReferences
	made.CreationTimestamp = m.now
	made.Status = corev1.PodStatus{Phase: corev1.PodPending}
	return made, nil
}

func (m *Maker) successor(pod *corev1.Pod) (*corev1.Pod, error) {
	controller := m.index.Controller(pod)
	switch o := controller.(type) {
	case *appsv1.DaemonSet:
		return m.DaemonPod(o, pod.Spec.NodeName)
	case *appsv1.StatefulSet:
		return m.statefulSuccessor(o, pod), nil
	}
	w, ok := m.index.Of(pod)
	if !ok || w.Custom() || w.Template() == nil {
		return copied(pod), nil
	}
	return m.remade(fresh(pod.Namespace, pod.Name, w.Template()), pod), nil
}

// statefulSuccessor is made of the set's template, or of the revision before, which only
// the pods that run show.
func (m *Maker) statefulSuccessor(set *appsv1.StatefulSet, pod *corev1.Pod) *corev1.Pod {
	ordinal, ok := Ordinal(pod)
	if !ok || !ofUpdateRevision(set, ordinal) || len(set.Spec.Template.Spec.Containers) == 0 {
		return copied(pod)
	}
	made := stateful(set, ordinal)
	revision := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	if revision != "" && revision != cmp.Or(set.Status.UpdateRevision, revision) {
		m.admit(made)
		return made
	}
	return m.remade(made, pod)
}

// Ordinals are those of a StatefulSet's pods, from start up to end, which is none of them.
func Ordinals(set *appsv1.StatefulSet) (start, end int) {
	if set.Spec.Ordinals != nil {
		start = int(set.Spec.Ordinals.Start)
	}
	return start, start + int(ptr.Deref(set.Spec.Replicas, 1))
}

// Ordinal is the number at the end of the name of a StatefulSet's pod; false without one.
func Ordinal(pod *corev1.Pod) (int, bool) {
	ordinal, err := strconv.Atoi(pod.Name[strings.LastIndexByte(pod.Name, '-')+1:])
	return ordinal, err == nil
}

// copied is a pod like one that runs: where its template is not known.
func copied(pod *corev1.Pod) *corev1.Pod {
	made := pod.DeepCopy()
	made.DeletionTimestamp, made.DeletionGracePeriodSeconds = nil, nil
	made.Spec.NodeName = ""
	made.Spec.EphemeralContainers = nil
	return made
}

// remade is a pod of the template of one that runs, admitted as that was.
func (m *Maker) remade(made, pod *corev1.Pod) *corev1.Pod {
	m.mutate(made)
	m.injected(made, pod)
	mergeLabelKeys(made)
	return made
}

// injected adds what admission webhooks, and admission plugins that are not on unless
// they are asked for, have put into a pod of the same template: they will again. It goes
// by what was in the pod from the first. What cannot change while a pod is there is what
// the pod has beyond its template; amounts can (amounts.go). Scheduling gates are lifted,
// and are the template's.
func (m *Maker) injected(made, pod *corev1.Pod) {
	made.Labels, made.Annotations = withEntries(pod.Labels, made.Labels), withEntries(pod.Annotations, made.Annotations)
	to, from := &made.Spec, pod.Spec.DeepCopy()
	admitAmounts(made, pod)
	to.InitContainers = withContainers(to.InitContainers, from.InitContainers)
	to.Containers = withContainers(to.Containers, from.Containers)
	for _, volume := range from.Volumes {
		if !slices.ContainsFunc(to.Volumes, func(v corev1.Volume) bool { return v.Name == volume.Name }) {
			to.Volumes = append(to.Volumes, volume)
		}
	}
	if len(from.NodeSelector) > 0 {
		to.NodeSelector = withEntries(from.NodeSelector, to.NodeSelector)
	}
	to.Tolerations = withTolerations(to.Tolerations, from.Tolerations)
	if to.Affinity == nil {
		to.Affinity = from.Affinity
	}
	if len(to.TopologySpreadConstraints) == 0 {
		to.TopologySpreadConstraints = from.TopologySpreadConstraints
	}
	if to.SchedulerName == corev1.DefaultSchedulerName {
		to.SchedulerName = cmp.Or(from.SchedulerName, to.SchedulerName)
	}
	if to.Priority == nil || to.PriorityClassName == "" && from.PriorityClassName != "" {
		to.PriorityClassName, to.Priority, to.PreemptionPolicy = from.PriorityClassName, from.Priority, from.PreemptionPolicy
	}
	if to.RuntimeClassName == nil {
		to.RuntimeClassName = from.RuntimeClassName
	}
	if m.class(made) == nil {
		to.Overhead = from.Overhead
	}
}

// withContainers are a template's containers, and those of the pod that the template does
// not have.
func withContainers(containers, further []corev1.Container) []corev1.Container {
	for _, container := range further {
		if !slices.ContainsFunc(containers, func(c corev1.Container) bool { return c.Name == container.Name }) {
			containers = append(containers, container)
		}
	}
	return containers
}
