package storm

import (
	"fmt"
	"maps"
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// namespace is where all of the storm's workloads are.
const namespace = "storm"

// mostReplicas bounds what a workload asks for.
const mostReplicas = 5

// labels tie a workload to a group, and every third one to a model.
func labels(rng *rand.Rand, group string) map[string]string {
	labels := map[string]string{groupLabel: group}
	if rng.IntN(3) == 0 {
		labels[cpuTypeLabel] = model
	}
	return labels
}

// template has one or two containers, and maybe an init container that needs more than they do. It names the group
// too, as the namespace demands, and every other one of a model names that.
func template(rng *rand.Rand, app string, labels map[string]string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app, rootLabel: app}}, Spec: podSpec(rng)}
	maps.Copy(t.Labels, labels)
	if rng.IntN(2) == 0 {
		delete(t.Labels, cpuTypeLabel)
	}
	return t
}

func podSpec(rng *rand.Rand) corev1.PodSpec {
	spec := corev1.PodSpec{Containers: []corev1.Container{container(rng, "main")}, TerminationGracePeriodSeconds: ptr.To[int64](0)}
	if rng.IntN(4) == 0 {
		spec.Containers = append(spec.Containers, container(rng, "sidecar"))
	}
	if rng.IntN(4) == 0 {
		spec.InitContainers = []corev1.Container{container(rng, "init")}
	}
	return spec
}

func container(rng *rand.Rand, name string) corev1.Container {
	return corev1.Container{Name: name, Image: "registry.example.com/" + name, Resources: resources(rng)}
}

// resources are limits and equal requests: from a twentieth to half a core, from 32 to 256 MiB.
func resources(rng *rand.Rand) corev1.ResourceRequirements {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(50*(1+rng.Int64N(10)), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(32<<20*(1+rng.Int64N(8)), resource.BinarySI),
	}
	return corev1.ResourceRequirements{Limits: list, Requests: list}
}

// least is what the smallest containers have.
func least() corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	return corev1.ResourceRequirements{Limits: list, Requests: list}
}

func objectMeta(name string, labels map[string]string) metav1.ObjectMeta {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[rootLabel] = name
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
}

func newDeployment(rng *rand.Rand, name string, labels map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: objectMeta(name, labels), Spec: appsv1.DeploymentSpec{
		Replicas: new(rng.Int32N(mostReplicas)),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		Template: template(rng, name, labels),
	}}
}

func newStatefulSet(rng *rand.Rand, name string, labels map[string]string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: objectMeta(name, labels), Spec: appsv1.StatefulSetSpec{
		Replicas: new(rng.Int32N(mostReplicas)), ServiceName: name,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		Template: template(rng, name, labels),
	}}
}

func newReplicaSet(rng *rand.Rand, name string, labels map[string]string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: objectMeta(name, labels), Spec: appsv1.ReplicaSetSpec{
		Replicas: new(rng.Int32N(mostReplicas)),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		Template: template(rng, name, labels),
	}}
}

func newJob(rng *rand.Rand, name string, labels map[string]string) *batchv1.Job {
	job := &batchv1.Job{ObjectMeta: objectMeta(name, labels), Spec: batchv1.JobSpec{
		Parallelism: new(rng.Int32N(mostReplicas)), Completions: new(1 + rng.Int32N(mostReplicas)),
		Suspend: new(rng.IntN(4) == 0), Template: template(rng, name, labels),
	}}
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return job
}

func newPod(rng *rand.Rand, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: objectMeta(name, labels), Spec: podSpec(rng)}
}

// bare is a pod for a workload of the name of root to adopt.
func bare(rng *rand.Rand, name, root string, labels map[string]string) *corev1.Pod {
	pod := newPod(rng, name, labels)
	pod.Labels[rootLabel], pod.Labels[bareLabel], pod.Labels["app"] = root, "true", root
	return pod
}

// base is a group of the tree that the storm begins with.
type base struct {
	name, parent string
	cores        int64
}

// tree has too little of everything for 64 clients.
var tree = []base{
	{"storm", "", 100},
	{"left", "storm", 40}, {"right", "storm", 30},
	{"left-1", "left", 12}, {"left-2", "left", 12}, {"right-1", "right", 14},
}

// kids are the groups that come and go.
const kids = 4

func kidName(i int) string { return fmt.Sprintf("kid-%d", i) }

// hardOf is a group's hard for so many cores: memory, pods and the model's cores are as scarce.
func hardOf(cores int64) map[string]any {
	return map[string]any{
		"limits.cpu":          fmt.Sprint(cores),
		"limits.cpu." + model: fmt.Sprint(cores / 3),
		"limits.memory":       fmt.Sprintf("%dMi", cores*500),
		"pods":                fmt.Sprint(3 * cores),
	}
}
