package fleet

import corev1 "k8s.io/api/core/v1"

// Tier is where a node runs, after ACK One's registered clusters.
type Tier string

// The tiers: on premises, cloud nodes, serverless virtual nodes.
const (
	IDC Tier = "idc"
	ECS Tier = "ecs"
	ECI Tier = "eci"
)

// NodeShape is a kind of node.
type NodeShape struct {
	Name      string // prefix of the nodes' names
	Weight    int    // share of the fleet's nodes
	Tier      Tier
	CPU       int64 // cores
	MemoryGiB int64
	GPUs      int64
	Model     string // GPU model; "" without GPUs
	Tainted   bool   // nodes with GPUs only: kept for pods that tolerate nvidia.com/gpu
}

// PodShape is a kind of pod. Pods come in workloads: 1 to MaxReplicas of a shape.
type PodShape struct {
	Name         string // prefix of the workloads' names
	Weight       int    // share of the fleet's workloads
	MilliCPU     int64
	MemoryMiB    int64
	GPUs         int64
	Models       []string // GPU models allowed; empty means any
	Priority     string   // name of one of PriorityClasses; "" means none
	ToleratesECI bool
	MaxReplicas  int
}

// DefaultNodeShapes are an on-premises GPU cluster that grows into the cloud.
func DefaultNodeShapes() []NodeShape {
	return []NodeShape{
		{Name: "idc-cpu", Weight: 30, Tier: IDC, CPU: 64, MemoryGiB: 256},
		{Name: "idc-t4", Weight: 15, Tier: IDC, CPU: 96, MemoryGiB: 384, GPUs: 2, Model: "T4"},
		{Name: "idc-v100", Weight: 10, Tier: IDC, CPU: 64, MemoryGiB: 512, GPUs: 8, Model: "V100", Tainted: true},
		{Name: "idc-a100", Weight: 10, Tier: IDC, CPU: 128, MemoryGiB: 1024, GPUs: 8, Model: "A100", Tainted: true},
		{Name: "ecs-cpu", Weight: 20, Tier: ECS, CPU: 32, MemoryGiB: 128},
		{Name: "ecs-a30", Weight: 10, Tier: ECS, CPU: 32, MemoryGiB: 188, GPUs: 4, Model: "A30", Tainted: true},
		{Name: "eci", Weight: 5, Tier: ECI, CPU: 1000, MemoryGiB: 4096},
	}
}

// DefaultPodShapes are services, batch jobs, inference and training; the largest find room rarely or never.
func DefaultPodShapes() []PodShape {
	return []PodShape{
		{Name: "web", Weight: 30, MilliCPU: 500, MemoryMiB: 1 << 10, Priority: "online", MaxReplicas: 20},
		{Name: "api", Weight: 20, MilliCPU: 2000, MemoryMiB: 4 << 10, Priority: "online", MaxReplicas: 12},
		{Name: "burst", Weight: 10, MilliCPU: 1000, MemoryMiB: 2 << 10, ToleratesECI: true, MaxReplicas: 30},
		{Name: "etl", Weight: 15, MilliCPU: 8000, MemoryMiB: 32 << 10, Priority: "batch", MaxReplicas: 8},
		{Name: "infer-t4", Weight: 10, MilliCPU: 4000, MemoryMiB: 16 << 10, GPUs: 1, Models: []string{"T4", "A30"}, Priority: "online", MaxReplicas: 6},
		{Name: "train", Weight: 8, MilliCPU: 12000, MemoryMiB: 96 << 10, GPUs: 4, Models: []string{"A100", "V100"}, MaxReplicas: 4},
		{Name: "train-large", Weight: 4, MilliCPU: 96000, MemoryMiB: 768 << 10, GPUs: 8, Models: []string{"A100"}, Priority: "critical", MaxReplicas: 2},
		{Name: "in-memory", Weight: 3, MilliCPU: 120000, MemoryMiB: 900 << 10, MaxReplicas: 2},
	}
}

// priorities are the fleet's priority classes and their values.
func priorities() map[string]int32 {
	return map[string]int32{"batch": -100, "online": 1000, "critical": 100000}
}

// taints of a node of this shape.
func (s NodeShape) taints() []corev1.Taint {
	var taints []corev1.Taint
	if s.GPUs > 0 && s.Tainted {
		taints = append(taints, corev1.Taint{Key: TaintGPU, Effect: corev1.TaintEffectNoSchedule})
	}
	if s.Tier == ECI {
		taints = append(taints, corev1.Taint{Key: TaintVirtual, Value: "alibabacloud", Effect: corev1.TaintEffectNoSchedule})
	}
	return taints
}

// tolerations of a pod of this shape, before the API server adds its own.
func (s PodShape) tolerations() []corev1.Toleration {
	var tolerations []corev1.Toleration
	if s.GPUs > 0 {
		tolerations = append(tolerations, corev1.Toleration{Key: TaintGPU, Operator: corev1.TolerationOpExists})
	}
	if s.ToleratesECI {
		tolerations = append(tolerations, corev1.Toleration{Key: TaintVirtual, Operator: corev1.TolerationOpExists})
	}
	return tolerations
}
