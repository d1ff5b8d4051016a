package snapshot

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// maxAnnotation is the length in bytes from which on an annotation's value is
// taken for a tool's own state and dropped. Every annotation that a scheduler
// plugin reads is a name, a boolean or a short list.
const maxAnnotation = 4 << 10

// Reduce removes from o, in place, whatever neither a scheduler plugin nor an
// explanation reads, and reports whether anything would read what is left: it is
// false for most events and config maps. Reducing twice equals reducing once.
func (k Kind) Reduce(o Object) bool {
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
	} else {
		o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		o.SetManagedFields(nil)
		o.SetSelfLink("")
	}
	reduceAnnotations(o)
	return k.reduce(o)
}

func reduceAnnotations(o Object) {
	annotations := o.GetAnnotations()
	maps.DeleteFunc(annotations, droppedAnnotation)
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
}

func droppedAnnotation(key, value string) bool {
	return key == corev1.LastAppliedConfigAnnotation || len(value) >= maxAnnotation
}

// reduceNode drops what only ImageLocality's score (images), the kubelet and the
// attach controller read.
func reduceNode(n *corev1.Node) bool {
	n.Status = corev1.NodeStatus{
		Capacity:         n.Status.Capacity,
		Allocatable:      n.Status.Allocatable,
		Conditions:       n.Status.Conditions,
		NodeInfo:         n.Status.NodeInfo,
		DeclaredFeatures: n.Status.DeclaredFeatures,
	}
	n.Status.NodeInfo.MachineID, n.Status.NodeInfo.SystemUUID, n.Status.NodeInfo.BootID = "", "", ""
	for i := range n.Status.Conditions {
		n.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return true
}

func reducePod(p *corev1.Pod) bool {
	reducePodSpec(&p.Spec)
	reducePodStatus(&p.Status)
	return true
}

// reducePodSpec keeps what a plugin reads, and what decides whether and how soon
// a pod can be evicted. NodeDeclaredFeatures infers features from hostUsers,
// restart rules and bind mount options.
func reducePodSpec(s *corev1.PodSpec) {
	*s = corev1.PodSpec{
		Volumes:                       slices.DeleteFunc(s.Volumes, ignoredVolume),
		InitContainers:                s.InitContainers,
		Containers:                    s.Containers,
		RestartPolicy:                 s.RestartPolicy,
		TerminationGracePeriodSeconds: s.TerminationGracePeriodSeconds,
		ActiveDeadlineSeconds:         s.ActiveDeadlineSeconds,
		NodeSelector:                  s.NodeSelector,
		NodeName:                      s.NodeName,
		HostNetwork:                   s.HostNetwork,
		Affinity:                      s.Affinity,
		SchedulerName:                 s.SchedulerName,
		Tolerations:                   s.Tolerations,
		PriorityClassName:             s.PriorityClassName,
		Priority:                      s.Priority,
		RuntimeClassName:              s.RuntimeClassName,
		PreemptionPolicy:              s.PreemptionPolicy,
		Overhead:                      s.Overhead,
		TopologySpreadConstraints:     s.TopologySpreadConstraints,
		OS:                            s.OS,
		HostUsers:                     s.HostUsers,
		SchedulingGates:               s.SchedulingGates,
		ResourceClaims:                s.ResourceClaims,
		Resources:                     s.Resources,
		SchedulingGroup:               s.SchedulingGroup,
	}
	reduceContainers(s.Containers)
	reduceContainers(s.InitContainers)
}

func reduceContainers(containers []corev1.Container) {
	for i := range containers {
		c := &containers[i]
		*c = corev1.Container{
			Name:               c.Name,
			Image:              c.Image,
			Ports:              c.Ports,
			Resources:          c.Resources,
			ResizePolicy:       c.ResizePolicy,
			RestartPolicy:      c.RestartPolicy,
			RestartPolicyRules: c.RestartPolicyRules,
			VolumeMounts:       slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return len(m.BindMountOptions) == 0 }),
		}
	}
}

// ignoredVolume reports a volume that binds a pod to no node and holds no data
// that an eviction would lose.
func ignoredVolume(v corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.DownwardAPI != nil || v.Image != nil
}

// reducePodStatus keeps what the scheduler reads: the nominated node, what an
// in-place resize has allocated, the claims made for the pod; and the conditions
// that tell its state.
func reducePodStatus(s *corev1.PodStatus) {
	*s = corev1.PodStatus{
		Phase:                                s.Phase,
		Conditions:                           slices.DeleteFunc(s.Conditions, ignoredPodCondition),
		Reason:                               s.Reason,
		Message:                              s.Message,
		NominatedNodeName:                    s.NominatedNodeName,
		StartTime:                            s.StartTime,
		InitContainerStatuses:                reduceContainerStatuses(s.InitContainerStatuses),
		ContainerStatuses:                    reduceContainerStatuses(s.ContainerStatuses),
		QOSClass:                             s.QOSClass,
		Resize:                               s.Resize,
		ResourceClaimStatuses:                s.ResourceClaimStatuses,
		ExtendedResourceClaimStatus:          s.ExtendedResourceClaimStatus,
		AllocatedResources:                   s.AllocatedResources,
		Resources:                            s.Resources,
		NodeAllocatableResourceClaimStatuses: s.NodeAllocatableResourceClaimStatuses,
	}
}

func ignoredPodCondition(c corev1.PodCondition) bool {
	switch c.Type {
	case corev1.PodScheduled, corev1.PodReady, corev1.DisruptionTarget, corev1.PodResizePending, corev1.PodResizeInProgress:
		return false
	}
	return true
}

// reduceContainerStatuses keeps the statuses that change what a container is
// charged (see PodRequests of component-helpers/resource).
func reduceContainerStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	kept := statuses[:0]
	for _, s := range statuses {
		if len(s.AllocatedResources) > 0 || s.Resources != nil {
			kept = append(kept, corev1.ContainerStatus{Name: s.Name, AllocatedResources: s.AllocatedResources, Resources: s.Resources})
		}
	}
	clear(statuses[len(kept):])
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// reduceService keeps the selector, which the default spread constraints read.
func reduceService(s *corev1.Service) bool {
	s.Spec = corev1.ServiceSpec{Selector: s.Spec.Selector, Type: s.Spec.Type}
	s.Status = corev1.ServiceStatus{}
	return true
}

// reduceWorkload reduces the pods that a workload would make.
func reduceWorkload[P Object](o P) bool {
	t := template(o)
	if t == nil {
		return true
	}
	t.ManagedFields = nil
	maps.DeleteFunc(t.Annotations, droppedAnnotation)
	reducePodSpec(&t.Spec)
	return true
}

// reduceClaim drops the drivers' own data, which only kubelet plugins understand.
func reduceClaim(c *resourcev1.ResourceClaim) bool {
	reduceClaimConfig(c.Spec.Devices.Config)
	if a := c.Status.Allocation; a != nil {
		for i := range a.Devices.Config {
			reduceOpaque(&a.Devices.Config[i].DeviceConfiguration)
		}
	}
	for i := range c.Status.Devices {
		c.Status.Devices[i].Data, c.Status.Devices[i].NetworkData = nil, nil
	}
	return true
}

func reduceClaimTemplate(t *resourcev1.ResourceClaimTemplate) bool {
	t.Spec.ManagedFields = nil
	reduceClaimConfig(t.Spec.Spec.Devices.Config)
	return true
}

func reduceDeviceClass(c *resourcev1.DeviceClass) bool {
	for i := range c.Spec.Config {
		reduceOpaque(&c.Spec.Config[i].DeviceConfiguration)
	}
	return true
}

func reduceClaimConfig(config []resourcev1.DeviceClaimConfiguration) {
	for i := range config {
		reduceOpaque(&config[i].DeviceConfiguration)
	}
}

func reduceOpaque(c *resourcev1.DeviceConfiguration) {
	if c.Opaque != nil {
		c.Opaque.Parameters = runtime.RawExtension{}
	}
}

// EventReasons are the reasons of the events that explain why a pod does not
// exist, has no node, or will get one. Beside them, only what is said of business
// groups is kept.
func EventReasons() []string {
	return []string{
		"FailedScheduling", "Preempted", "SchedulingGated", // kube-scheduler
		"FailedCreate", "FailedDaemonPod", "FailedPlacement", // workload controllers
		"TriggeredScaleUp", "NotTriggerScaleUp", "ScaleUpTimedOut", "FailedScaleUp", // cluster-autoscaler
		"Nominated", "NoCompatibleInstanceTypes", // Karpenter
		"FailedBinding", "ProvisioningFailed", "WaitForFirstConsumer", "WaitForPodScheduled", "ExternalProvisioning", // volumes
		"FailedResourceClaimCreation",          // device claims
		"TaintManagerEviction", "NodeNotReady", // node lifecycle
	}
}

func reduceEvent(e *corev1.Event) bool {
	return slices.Contains(EventReasons(), e.Reason) || e.InvolvedObject.Kind == stowagev1alpha1.BizGroupResourceQuotaKind
}

// AutoscalerStatus names the one config map that is read: cluster-autoscaler's
// own report of its node groups.
const (
	AutoscalerStatusNamespace = metav1.NamespaceSystem
	AutoscalerStatusName      = "cluster-autoscaler-status"
)

func reduceConfigMap(c *corev1.ConfigMap) bool {
	return c.Namespace == AutoscalerStatusNamespace && c.Name == AutoscalerStatusName
}
