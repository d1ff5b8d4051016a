package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// Labels and taints of the fleet's machines.
const (
	gpu        = "nvidia.com/gpu"
	gpuProduct = "nvidia.com/gpu.product"
	gpuMemory  = "nvidia.com/gpu.memory"
	pool       = "stowage.example/pool"
	gpuTaint   = "nvidia.com/gpu=present:NoSchedule"
	eciTaint   = "virtual-kubelet.io/provider=alibabacloud:NoSchedule"
	pending    = "" // in the place of a node's name
)

// The fleet's zones: two server rooms and one of a cloud.
const (
	roomA = "idc-a"
	roomB = "idc-b"
	cloud = "cn-hangzhou-h"
)

// fleet gathers the objects of the cluster.
type fleet struct {
	now     time.Time
	objects []snapshot.Object
}

func (f *fleet) add(objects ...snapshot.Object) { f.objects = append(f.objects, objects...) }

// ago is the time d before now, as an object's time.
func (f *fleet) ago(d time.Duration) metav1.Time { return metav1.NewTime(f.now.Add(-d)) }

// template makes the pods of a workload: a new, equal builder at each call.
type template func() *build.PodBuilder

// pods returns a template for pods of a namespace with these requests.
func pods(namespace, app, requests string, edits ...func(*build.PodBuilder)) template {
	return func() *build.PodBuilder {
		b := build.Pod(namespace, app).Label("app", app).Request(requests)
		for _, edit := range edits {
			edit(b)
		}
		return b
	}
}

// onGPU tolerates the taint of the GPU nodes.
func onGPU(b *build.PodBuilder) { b.Toleration(gpuTaint) }

// inPool asks for the nodes of a pool.
func inPool(name string) func(*build.PodBuilder) {
	return func(b *build.PodBuilder) { b.NodeSelector(pool, name) }
}

// deployment adds a Deployment, its ReplicaSet and one pod for each of the nodes,
// of which pending stands for none. Pending pods are as old as age says.
func (f *fleet) deployment(t template, age time.Duration, nodes ...string) {
	namespace, name := t().Obj().Namespace, t().Obj().Name
	set := name + "-" + hash(namespace+name, 9)
	f.add(
		build.Deployment(namespace, name, int32(len(nodes)), t()),
		build.ReplicaSet(namespace, set, name, int32(len(nodes)), t()),
	)
	for i, node := range nodes {
		f.pod(t().Owner("apps/v1", "ReplicaSet", set), fmt.Sprintf("%s-%s", set, hash(fmt.Sprint(set, i), 5)), age, node)
	}
}

// statefulSet adds a StatefulSet and its pods, as deployment does.
func (f *fleet) statefulSet(t template, age time.Duration, nodes ...string) {
	namespace, name := t().Obj().Namespace, t().Obj().Name
	f.add(build.StatefulSet(namespace, name, int32(len(nodes)), t()))
	for i, node := range nodes {
		f.pod(t().Owner("apps/v1", "StatefulSet", name), fmt.Sprintf("%s-%d", name, i), age, node)
	}
}

// job adds a Job whose pods run at the same time, as deployment does.
func (f *fleet) job(t template, age time.Duration, nodes ...string) {
	namespace, name := t().Obj().Namespace, t().Obj().Name
	once := func() *build.PodBuilder {
		return t().With(func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever })
	}
	f.add(build.Job(namespace, name, int32(len(nodes)), int32(len(nodes)), once()))
	for i, node := range nodes {
		f.pod(once().Owner("batch/v1", "Job", name), fmt.Sprintf("%s-%s", name, hash(fmt.Sprint(name, i), 5)), age, node)
	}
}

// pod adds one pod under its own name.
func (f *fleet) pod(b *build.PodBuilder, name string, age time.Duration, node string) {
	pod := b.Obj()
	pod.Name, pod.UID = name, types.UID(pod.Namespace+"-"+name)
	if node == pending {
		pod.CreationTimestamp = f.ago(age)
	} else {
		b.Node(node).With(ready)
	}
	f.add(pod)
}

// startTime is how long the fleet's pods took to be ready.
const startTime = 40 * time.Second

// ready says that a pod is.
func ready(p *corev1.Pod) {
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(build.Epoch.Add(startTime)),
	})
}

// hash is a generated suffix of n letters and digits, in the alphabet of
// Kubernetes' generated names, from the FNV-1a hash of seed.
func hash(seed string, n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	sum := uint64(14695981039346656037)
	for _, b := range []byte(seed) {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	suffix := make([]byte, n)
	for i := range suffix {
		suffix[i] = alphabet[sum%uint64(len(alphabet))]
		sum /= uint64(len(alphabet))
	}
	return string(suffix)
}

// repeat is n times the same node.
func repeat(node string, n int) []string {
	nodes := make([]string, n)
	for i := range nodes {
		nodes[i] = node
	}
	return nodes
}
