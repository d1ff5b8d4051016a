package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// namespaces adds one for each team, and the priorities that they share.
func (f *fleet) namespaces() {
	for _, team := range []string{"ads", "data", "infra", "nlp", "online", "recsys", "rl", "search", "vision", "web"} {
		f.add(build.Namespace(team, "team="+team))
	}
	f.add(
		build.PriorityClass("batch-low", -100),
		build.PriorityClass("online-high", 100000),
	)
}

// machines adds the nodes.
func (f *fleet) machines() {
	for i := 1; i <= 6; i++ {
		node := gpuNode(fmt.Sprintf("t4-%02d", i), roomA, "Tesla-T4", "15360", "cpu=32,memory=128Gi,nvidia.com/gpu=4")
		if i == 6 {
			node.Cordon()
		}
		f.add(node.Obj())
	}
	for i := 1; i <= 4; i++ {
		f.add(gpuNode(fmt.Sprintf("a30-%02d", i), roomA, "NVIDIA-A30", "24576", "cpu=64,memory=256Gi,nvidia.com/gpu=4").Obj())
		f.add(gpuNode(fmt.Sprintf("a100-%02d", i), roomB, "NVIDIA-A100-SXM4-40GB", "40960", "cpu=96,memory=1Ti,nvidia.com/gpu=8").Obj())
		zone := roomA
		if i > 2 {
			zone = roomB
		}
		f.add(build.Node(fmt.Sprintf("cpu-%02d", i)).Zone(zone).Label(pool, "cpu").Capacity("cpu=64,memory=256Gi").Obj())
		f.add(build.Node(fmt.Sprintf("ecs-%02d", i)).Zone(cloud).Label(pool, "ecs").Capacity("cpu=16,memory=64Gi").Obj())
	}
	for i := 1; i <= 2; i++ {
		f.add(build.Node(fmt.Sprintf("virtual-node-%d", i)).Zone(cloud).Label(pool, "eci").Label("type", "virtual-kubelet").
			Taint(eciTaint).Capacity("cpu=1000,memory=4Ti,pods=1000").Obj())
	}
}

func gpuNode(name, zone, product, memory, capacity string) *build.NodeBuilder {
	return build.Node(name).Zone(zone).Label(pool, "gpu").Label(gpuProduct, product).Label(gpuMemory, memory).
		Taint(gpuTaint).Capacity(capacity)
}

// services adds what runs: it fills the machines, but never one of them whole.
func (f *fleet) services() {
	const old = 30 * 24 * time.Hour
	speech := slices.Concat(repeat("t4-01", 4), repeat("t4-02", 4), repeat("t4-03", 4), repeat("t4-04", 4), repeat("t4-05", 3))
	f.deployment(pods("nlp", "speech-batch", "cpu=4,memory=16Gi,nvidia.com/gpu=1", onGPU, lowPriority, patient), old, speech...)

	segmenter := slices.Concat(repeat("a30-01", 2), repeat("a30-02", 2), repeat("a30-03", 2), repeat("a30-04", 2))
	f.statefulSet(pods("vision", "segmenter", "cpu=16,memory=64Gi,nvidia.com/gpu=2", onGPU), old, segmenter...)

	tuning := slices.Concat(repeat("a100-01", 6), repeat("a100-02", 3), repeat("a100-03", 6), repeat("a100-04", 5))
	f.deployment(pods("nlp", "llm-tune", "cpu=10,memory=96Gi,nvidia.com/gpu=1", onGPU), old, tuning...)

	f.statefulSet(pods("online", "feature-store", "cpu=20,memory=96Gi", inPool("cpu")), old, "cpu-01", "cpu-02", "cpu-03", "cpu-04")
	f.deployment(pods("web", "api", "cpu=6,memory=20Gi", inPool("ecs")), old, slices.Concat(repeat("ecs-01", 2), repeat("ecs-02", 2), repeat("ecs-03", 2), repeat("ecs-04", 2))...)
	f.deployment(pods("web", "burst-render", "cpu=16,memory=32Gi", func(b *build.PodBuilder) { b.Toleration(eciTaint) }), old, "virtual-node-1", "virtual-node-1", "virtual-node-2")
}

func lowPriority(b *build.PodBuilder) { b.Priority("batch-low", -100) }
