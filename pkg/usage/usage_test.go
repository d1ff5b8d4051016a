package usage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/usage"
)

func TestNode(t *testing.T) {
	n := usage.Of(build.Node("n").Capacity("cpu=4,memory=8Gi,pods=2,nvidia.com/gpu=2").Obj(), []*corev1.Pod{
		build.Pod("a", "one").Request("cpu=1500m,memory=1Gi,nvidia.com/gpu=1").Obj(),
		build.Pod("a", "two").Request("cpu=500m").Init("cpu=3").Obj(),
		build.Pod("a", "done").Request("cpu=2").Phase(corev1.PodSucceeded).Obj(),
	})
	for name, want := range map[corev1.ResourceName][3]int64{
		corev1.ResourceCPU:    {4000, 4500, -500},
		corev1.ResourceMemory: {8 << 30, 1 << 30, 7 << 30},
		corev1.ResourcePods:   {2, 2, 0},
		"nvidia.com/gpu":      {2, 1, 1},
		"example.com/none":    {},
	} {
		if got := [3]int64{n.Allocatable.Of(name), n.Requested.Of(name), n.Free(name)}; got != want {
			t.Errorf("%s: allocatable, requested and free are %v, want %v", name, got, want)
		}
	}
	if diff := cmp.Diff([]corev1.ResourceName{"cpu", "memory", "nvidia.com/gpu", "pods"}, n.Requested.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// names are resources of all sorts, those that the scheduler does not count included.
var names = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourceStorage,
	"nvidia.com/gpu", "example.com/fpga", "kubernetes.io/batch-cpu", "hugepages-2Mi", "attachable-volumes-csi-x",
	"requests.nvidia.com/gpu", "requests.kubernetes.io/x", "odd",
}

func drawList(t *rapid.T, label string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[corev1.ResourceName]).Draw(t, label) {
		list[name] = *resource.NewMilliQuantity(rapid.Int64Range(0, 1<<40).Draw(t, string(name)), resource.DecimalSI)
	}
	return list
}

func drawPod(t *rapid.T) *corev1.Pod {
	pod := build.Pod("a", "p").Obj()
	container := func(label string) corev1.Container {
		return corev1.Container{Name: label, Resources: corev1.ResourceRequirements{Requests: drawList(t, label)}}
	}
	pod.Spec.Containers = []corev1.Container{container("main"), container("second")}
	for range rapid.IntRange(0, 2).Draw(t, "inits") {
		init := container("init")
		if rapid.Bool().Draw(t, "sidecar") {
			always := corev1.ContainerRestartPolicyAlways
			init.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, init)
	}
	if rapid.Bool().Draw(t, "overhead") {
		pod.Spec.Overhead = drawList(t, "overhead")
	}
	if rapid.Bool().Draw(t, "pod level") {
		pod.Spec.Resources = &corev1.ResourceRequirements{Requests: drawList(t, "pod")}
	}
	if rapid.Bool().Draw(t, "resized") {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "main", AllocatedResources: drawList(t, "allocated"), Resources: &corev1.ResourceRequirements{Requests: drawList(t, "actual")},
		}}
		if rapid.Bool().Draw(t, "pod level too") {
			pod.Status.AllocatedResources = drawList(t, "pod allocated")
			pod.Status.Resources = &corev1.ResourceRequirements{Requests: drawList(t, "pod actual")}
		}
	}
	return pod
}

// TestAsTheScheduler compares with the scheduler's own NodeInfo.
func TestAsTheScheduler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := build.Node("n").Obj()
		node.Status.Allocatable = drawList(t, "allocatable")
		node.Status.Allocatable[corev1.ResourcePods] = *resource.NewQuantity(rapid.Int64Range(0, 200).Draw(t, "pods"), resource.DecimalSI)
		pods := rapid.SliceOfN(rapid.Custom(drawPod), 0, 3).Draw(t, "on it")
		info := framework.NewNodeInfo(pods...)
		info.SetNode(node)
		got := usage.Of(node, pods)
		for _, name := range names {
			compare(t, name, got.Allocatable.Of(name), upstream(info.Allocatable, name))
			compare(t, name, got.Requested.Of(name), upstream(info.Requested, name))
		}
		compare(t, corev1.ResourcePods, got.Allocatable.Of(corev1.ResourcePods), int64(info.Allocatable.AllowedPodNumber))
		compare(t, corev1.ResourcePods, got.Requested.Of(corev1.ResourcePods), int64(len(info.Pods)))
	})
}

func compare(t *rapid.T, name corev1.ResourceName, got, want int64) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, the scheduler counts %d", name, got, want)
	}
}

func upstream(r *framework.Resource, name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return r.MilliCPU
	case corev1.ResourceMemory:
		return r.Memory
	case corev1.ResourceEphemeralStorage:
		return r.EphemeralStorage
	}
	return r.ScalarResources[name]
}
