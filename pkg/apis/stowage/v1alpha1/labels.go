package v1alpha1

// The labels that tie a workload to a group and to hardware models.
const (
	// GroupLabel names the workload's group.
	GroupLabel = "biz.group.resource.quota"
	// CPUTypeLabel, GPUTypeLabel and MemoryTypeLabel name the models that the
	// workload runs on: of its CPU, of its extended resources, of its memory.
	CPUTypeLabel    = GroupLabel + "/cpu-type"
	GPUTypeLabel    = GroupLabel + "/gpu-type"
	MemoryTypeLabel = GroupLabel + "/memory-type"
)

const (
	// QuotaLabel is QuotaEnabled on a namespace that takes part: whose workloads may
	// charge groups.
	QuotaLabel = GroupName + "/quota"
	// QuotaEnabled is QuotaLabel's value.
	QuotaEnabled = "enabled"
	// RequireGroupLabel is "true" on a namespace in which every workload needs a group.
	// It takes part by that too.
	RequireGroupLabel = GroupName + "/require-biz-group"
	// DeleteWithWorkloadsAnnotation is "true" on a group that may be deleted while
	// workloads charge it.
	DeleteWithWorkloadsAnnotation = GroupName + "/delete-with-workloads"
	// DisplayNameAnnotation is what people call a group, in any script.
	DisplayNameAnnotation = GroupName + "/display-name"
)
