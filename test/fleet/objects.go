package fleet

import (
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// nodePods is how many pods a node takes: the kubelet's default.
const nodePods = 110

// When nodes and, a second apart, pods were created: fixed, as a fleet is the same at every time.
var (
	nodeEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	podEpoch  = nodeEpoch.Add(24 * time.Hour)
)

// newMeta returns an object's metadata as a cluster would store it. The UID follows from kind and name.
func newMeta(kind, namespace, name string, created time.Time, labels map[string]string) metav1.ObjectMeta {
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(strings.Join([]string{kind, namespace, name}, "/")))
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, Labels: labels,
		UID: types.UID(id.String()), CreationTimestamp: metav1.NewTime(created),
	}
}

// resources returns a resource list of milli-cores, MiB, GPUs and pods; the last two only where above 0.
func resources(milliCPU, memoryMiB, gpus, pods int64) corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(milliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memoryMiB<<20, resource.BinarySI),
	}
	if gpus > 0 {
		list[ResourceGPU] = *resource.NewQuantity(gpus, resource.DecimalSI)
	}
	if pods > 0 {
		list[corev1.ResourcePods] = *resource.NewQuantity(pods, resource.DecimalSI)
	}
	return list
}

// modelLabels are the labels that tell a GPU model.
func modelLabels(model string) map[string]string {
	if model == "" {
		return nil
	}
	return map[string]string{LabelGPUProduct: model, LabelGPUName: model}
}

// newNode returns a ready node, all of whose capacity is allocatable. It takes labels over.
func newNode(name string, capacity corev1.ResourceList, labels map[string]string, taints []corev1.Taint) *corev1.Node {
	labels[corev1.LabelHostname] = name
	labels[corev1.LabelOSStable], labels[corev1.LabelArchStable] = "linux", "amd64"
	return &corev1.Node{
		ObjectMeta: newMeta("Node", "", name, nodeEpoch, labels),
		Spec:       corev1.NodeSpec{Taints: taints},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity.DeepCopy(),
			NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "amd64", KubeletVersion: "fake"},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
				LastHeartbeatTime: metav1.NewTime(nodeEpoch), LastTransitionTime: metav1.NewTime(nodeEpoch),
			}},
		},
	}
}

// cordon marks a node unschedulable, with the taint that the node controller adds.
func cordon(node *corev1.Node) {
	node.Spec.Unschedulable = true
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
}

// newContainer returns a container with the API server's defaults. GPUs are limited to the request, as an
// extended resource must be.
func newContainer(requests corev1.ResourceList) corev1.Container {
	limits := corev1.ResourceList{}
	if gpus, ok := requests[ResourceGPU]; ok {
		limits[ResourceGPU] = gpus
	}
	return corev1.Container{
		Name: "main", Image: "registry.example.com/app:1",
		Resources:                corev1.ResourceRequirements{Requests: requests, Limits: limits},
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		ImagePullPolicy:          corev1.PullIfNotPresent,
	}
}

// newPodSpec returns a pod's spec with the API server's defaults, bound to GPU models where some are given.
func newPodSpec(container corev1.Container, tolerations []corev1.Toleration, models []string) corev1.PodSpec {
	spec := corev1.PodSpec{
		Containers:                    []corev1.Container{container},
		RestartPolicy:                 corev1.RestartPolicyAlways,
		TerminationGracePeriodSeconds: ptr.To[int64](corev1.DefaultTerminationGracePeriodSeconds),
		DNSPolicy:                     corev1.DNSClusterFirst,
		SecurityContext:               &corev1.PodSecurityContext{},
		SchedulerName:                 corev1.DefaultSchedulerName,
		EnableServiceLinks:            ptr.To(corev1.DefaultEnableServiceLinks),
		Priority:                      ptr.To[int32](0),
		PreemptionPolicy:              ptr.To(corev1.PreemptLowerPriority),
		Tolerations:                   tolerations,
	}
	if len(models) > 0 {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: LabelGPUProduct, Operator: corev1.NodeSelectorOpIn, Values: models,
				}},
			}}},
		}}
	}
	return spec
}

// templateSpec returns a pod's spec as it stands in a workload's template: without what admission adds to pods.
func templateSpec(spec corev1.PodSpec) corev1.PodSpec {
	spec.Priority, spec.PreemptionPolicy, spec.EnableServiceLinks = nil, nil, nil
	return spec
}

// newPod returns the n-th pod of a fleet, pending, with what admission adds. spec may be a template's.
func newPod(namespace, name string, n int, labels map[string]string, spec corev1.PodSpec) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: newMeta("Pod", namespace, name, podEpoch.Add(time.Duration(n)*time.Second), labels),
		Spec:       admitted(spec),
		Status:     corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable},
	}
}

// admitted returns a copy of spec with what the admission plugins ServiceAccount, Priority and
// DefaultTolerationSeconds set.
func admitted(spec corev1.PodSpec) corev1.PodSpec {
	spec = *spec.DeepCopy()
	spec.ServiceAccountName, spec.DeprecatedServiceAccount = "default", "default"
	spec.EnableServiceLinks = ptr.To(corev1.DefaultEnableServiceLinks)
	spec.PreemptionPolicy = ptr.To(corev1.PreemptLowerPriority)
	spec.Priority = new(priorities()[spec.PriorityClassName]) // 0 without a class
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300),
		})
	}
	return spec
}

// bind puts a pod on a node, where it has run since it was created.
func bind(pod *corev1.Pod, node string) {
	since := pod.CreationTimestamp
	pod.Spec.NodeName = node
	pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, &since
	for _, condition := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: since,
		})
	}
	main := pod.Spec.Containers[0]
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: main.Name, Image: main.Image, Ready: true, Started: new(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
	}}
}
