package predicate

import (
	corev1 "k8s.io/api/core/v1"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
)

// The names of the plugins whose rejections are explained in detail.
const (
	DynamicResources   = names.DynamicResources
	InterPodAffinity   = names.InterPodAffinity
	NodeAffinity       = names.NodeAffinity
	NodeName           = names.NodeName
	NodePorts          = names.NodePorts
	NodeResourcesFit   = names.NodeResourcesFit
	NodeUnschedulable  = names.NodeUnschedulable
	NodeVolumeLimits   = names.NodeVolumeLimits
	PodTopologySpread  = names.PodTopologySpread
	SchedulingGates    = names.SchedulingGates
	TaintToleration    = names.TaintToleration
	VolumeBinding      = names.VolumeBinding
	VolumeRestrictions = names.VolumeRestrictions
	VolumeZone         = names.VolumeZone
)

// SetDefaults gives a pod the API server's defaults, as if it had been created:
// a pod spec from a file lacks what the plugins rely on.
func SetDefaults(pod *corev1.Pod) { corev1defaults.SetObjectDefaults_Pod(pod) }
