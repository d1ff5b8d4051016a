package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// maintenance is the key of the taint that clears a node.
const maintenance = "maintenance"

// patience is for how long batch pods stay on a node that is to be cleared.
const patience = 5 * time.Minute

// disruptions adds what a change of taints meets, beside the pods that bear with
// maintenance for a while.
func (f *fleet) disruptions() {
	// Two of the one and one of the other may be away.
	f.add(budget("vision", "segmenter", 6, 8), budget("web", "api", 7, 8))
	// On every machine, whatever keeps others away, but not under maintenance.
	f.daemonSet(pods("infra", "node-agent", "", func(b *build.PodBuilder) {
		b.Priority("system-node-critical", 2000001000).With(func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
		})
	}))
	// Nobody's, with its work on the node's disk.
	f.pod(build.Pod("nlp", "notebook-ana").Label("app", "notebook").Toleration(gpuTaint).With(onDisk), "notebook-ana", 0, "t4-02")
}

// patient tolerates maintenance for a while.
func patient(b *build.PodBuilder) {
	seconds := int64(patience / time.Second)
	b.With(func(p *corev1.Pod) {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{
			Key: maintenance, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	})
}

// onDisk keeps data in an emptyDir.
func onDisk(p *corev1.Pod) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
}

// budget is that of an app, all of whose pods are healthy.
func budget(namespace, app string, desired, pods int32) *policyv1.PodDisruptionBudget {
	pdb := build.PDB(namespace, app, fmt.Sprint(desired), "app="+app, pods-desired)
	pdb.Generation, pdb.Status.ObservedGeneration = 1, 1
	pdb.Status.DesiredHealthy, pdb.Status.CurrentHealthy, pdb.Status.ExpectedPods = desired, pods, pods
	return pdb
}

// daemonSet adds a DaemonSet and its pod on each node.
func (f *fleet) daemonSet(t template) {
	namespace, name := t().Obj().Namespace, t().Obj().Name
	f.add(build.DaemonSet(namespace, name, t()))
	for _, node := range f.nodes() {
		f.pod(t().Owner("apps/v1", "DaemonSet", name), name+"-"+hash(name+node, 5), 0, node)
	}
}

// nodes names the machines.
func (f *fleet) nodes() []string {
	var names []string
	for _, object := range f.objects {
		if node, ok := object.(*corev1.Node); ok {
			names = append(names, node.Name)
		}
	}
	return names
}
