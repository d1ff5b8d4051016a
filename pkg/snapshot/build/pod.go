package build

import (
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodBuilder makes a pod.
type PodBuilder struct{ pod *corev1.Pod }

// Pod is a pending pod with one container, with the defaults of the API server.
func Pod(namespace, name string) *PodBuilder {
	return &PodBuilder{&corev1.Pod{
		ObjectMeta: meta(namespace, name),
		Spec:       podSpec(),
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}}
}

func podSpec() corev1.PodSpec {
	var priority int32
	return corev1.PodSpec{
		Containers:                    []corev1.Container{{Name: "main", Image: "example.com/main:1"}},
		RestartPolicy:                 corev1.RestartPolicyAlways,
		SchedulerName:                 corev1.DefaultSchedulerName,
		Priority:                      &priority,
		TerminationGracePeriodSeconds: new(int64(corev1.DefaultTerminationGracePeriodSeconds)),
		PreemptionPolicy:              new(corev1.PreemptLowerPriority),
	}
}

// Request adds requests to the first container: "cpu=500m,memory=1Gi". Extended
// resources are limits as well, as the API server demands.
func (b *PodBuilder) Request(list string) *PodBuilder {
	return b.Container(0, func(c *corev1.Container) { request(c, list) })
}

// Limit adds limits to the first container.
func (b *PodBuilder) Limit(list string) *PodBuilder {
	return b.Container(0, func(c *corev1.Container) {
		c.Resources.Limits = merge(c.Resources.Limits, Resources(list))
	})
}

// Container edits the i-th container, adding containers up to it.
func (b *PodBuilder) Container(i int, edit func(*corev1.Container)) *PodBuilder {
	containers := &b.pod.Spec.Containers
	for len(*containers) <= i {
		*containers = append(*containers, corev1.Container{Name: "c" + strconv.Itoa(len(*containers)), Image: "example.com/main:1"})
	}
	edit(&(*containers)[i])
	return b
}

// Init adds an init container with these requests.
func (b *PodBuilder) Init(list string) *PodBuilder { return b.initContainer(list, nil) }

// Sidecar adds a restartable init container with these requests.
func (b *PodBuilder) Sidecar(list string) *PodBuilder {
	return b.initContainer(list, new(corev1.ContainerRestartPolicyAlways))
}

func (b *PodBuilder) initContainer(list string, policy *corev1.ContainerRestartPolicy) *PodBuilder {
	c := corev1.Container{Name: "init" + strconv.Itoa(len(b.pod.Spec.InitContainers)), Image: "example.com/init:1", RestartPolicy: policy}
	request(&c, list)
	b.pod.Spec.InitContainers = append(b.pod.Spec.InitContainers, c)
	return b
}

// Overhead sets the pod's overhead.
func (b *PodBuilder) Overhead(list string) *PodBuilder {
	b.pod.Spec.Overhead = Resources(list)
	return b
}

// HostPort asks for a host port.
func (b *PodBuilder) HostPort(port int32) *PodBuilder {
	return b.Container(0, func(c *corev1.Container) {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: port, HostPort: port, Protocol: corev1.ProtocolTCP})
	})
}

// Node binds the pod to a node and makes it run there.
func (b *PodBuilder) Node(name string) *PodBuilder {
	b.pod.Spec.NodeName = name
	b.pod.Status.StartTime = &Epoch
	b.pod.Status.Conditions = append(b.pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: Epoch})
	return b.Phase(corev1.PodRunning)
}

// Phase sets the pod's phase.
func (b *PodBuilder) Phase(phase corev1.PodPhase) *PodBuilder {
	b.pod.Status.Phase = phase
	return b
}

// Unschedulable sets the condition with which the scheduler gives up on a pod.
func (b *PodBuilder) Unschedulable(message string) *PodBuilder {
	b.pod.Status.Conditions = append(b.pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message, LastTransitionTime: Epoch,
	})
	return b
}

// Nominated sets the node that preemption has made room on.
func (b *PodBuilder) Nominated(node string) *PodBuilder {
	b.pod.Status.NominatedNodeName = node
	return b
}

// Label adds a label.
func (b *PodBuilder) Label(key, value string) *PodBuilder {
	if b.pod.Labels == nil {
		b.pod.Labels = map[string]string{}
	}
	b.pod.Labels[key] = value
	return b
}

// Priority sets the priority and the name of its class.
func (b *PodBuilder) Priority(class string, value int32) *PodBuilder {
	b.pod.Spec.PriorityClassName, b.pod.Spec.Priority = class, &value
	return b
}

// NodeSelector asks for a node's label.
func (b *PodBuilder) NodeSelector(key, value string) *PodBuilder {
	if b.pod.Spec.NodeSelector == nil {
		b.pod.Spec.NodeSelector = map[string]string{}
	}
	b.pod.Spec.NodeSelector[key] = value
	return b
}

// NodeAffinity requires one more match expression of the node, in the one term
// that it builds.
func (b *PodBuilder) NodeAffinity(key string, op corev1.NodeSelectorOperator, values ...string) *PodBuilder {
	a := b.affinity()
	if a.NodeAffinity == nil {
		a.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: make([]corev1.NodeSelectorTerm, 1),
		}}
	}
	term := &a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0]
	term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{Key: key, Operator: op, Values: values})
	return b
}

// PodAffinity requires a pod with these labels ("app=web") in the same domain of
// topologyKey.
func (b *PodBuilder) PodAffinity(labels, topologyKey string) *PodBuilder {
	a := b.affinity()
	if a.PodAffinity == nil {
		a.PodAffinity = &corev1.PodAffinity{}
	}
	terms := &a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*terms = append(*terms, affinityTerm(labels, topologyKey))
	return b
}

// PodAntiAffinity requires that no pod with these labels is in the same domain
// of topologyKey.
func (b *PodBuilder) PodAntiAffinity(labels, topologyKey string) *PodBuilder {
	a := b.affinity()
	if a.PodAntiAffinity == nil {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
	}
	terms := &a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	*terms = append(*terms, affinityTerm(labels, topologyKey))
	return b
}

func (b *PodBuilder) affinity() *corev1.Affinity {
	if b.pod.Spec.Affinity == nil {
		b.pod.Spec.Affinity = &corev1.Affinity{}
	}
	return b.pod.Spec.Affinity
}

func affinityTerm(labels, topologyKey string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{LabelSelector: selector(labels), TopologyKey: topologyKey}
}

func selector(labels string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: Labels(labels)}
}

// Spread adds a hard spread constraint over the pods with these labels.
func (b *PodBuilder) Spread(maxSkew int32, topologyKey, labels string) *PodBuilder {
	b.pod.Spec.TopologySpreadConstraints = append(b.pod.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
		MaxSkew: maxSkew, TopologyKey: topologyKey, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector(labels),
	})
	return b
}

// Toleration tolerates "key=value:Effect"; without a value any value is.
func (b *PodBuilder) Toleration(taint string) *PodBuilder {
	t := Taint(taint)
	toleration := corev1.Toleration{Key: t.Key, Operator: corev1.TolerationOpEqual, Value: t.Value, Effect: t.Effect}
	if t.Value == "" {
		toleration.Operator = corev1.TolerationOpExists
	}
	b.pod.Spec.Tolerations = append(b.pod.Spec.Tolerations, toleration)
	return b
}

// Gate adds a scheduling gate.
func (b *PodBuilder) Gate(name string) *PodBuilder {
	b.pod.Spec.SchedulingGates = append(b.pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: name})
	return b
}

// PVC mounts a claim.
func (b *PodBuilder) PVC(claim string) *PodBuilder {
	b.pod.Spec.Volumes = append(b.pod.Spec.Volumes, corev1.Volume{
		Name:         claim,
		VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}},
	})
	return b
}

// ResourceClaim uses a device claim in the first container.
func (b *PodBuilder) ResourceClaim(claim string) *PodBuilder {
	b.pod.Spec.ResourceClaims = append(b.pod.Spec.ResourceClaims, corev1.PodResourceClaim{Name: claim, ResourceClaimName: &claim})
	return b.Container(0, func(c *corev1.Container) {
		c.Resources.Claims = append(c.Resources.Claims, corev1.ResourceClaim{Name: claim})
	})
}

// Owner makes a controller own the pod.
func (b *PodBuilder) Owner(apiVersion, kind, name string) *PodBuilder {
	b.pod.OwnerReferences = append(b.pod.OwnerReferences, owner(apiVersion, kind, b.pod.Namespace, name))
	return b
}

func owner(apiVersion, kind, namespace, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: meta(namespace, name).UID, Controller: new(true)}
}

// With changes the pod in any other way.
func (b *PodBuilder) With(edit func(*corev1.Pod)) *PodBuilder {
	edit(b.pod)
	return b
}

// Obj is the pod.
func (b *PodBuilder) Obj() *corev1.Pod { return b.pod }

func request(c *corev1.Container, list string) {
	resources := Resources(list)
	c.Resources.Requests = merge(c.Resources.Requests, resources)
	for name, quantity := range resources {
		if isExtended(name) {
			c.Resources.Limits = merge(c.Resources.Limits, corev1.ResourceList{name: quantity})
		}
	}
}

func isExtended(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return false
	}
	return true
}

func merge(into, from corev1.ResourceList) corev1.ResourceList {
	if into == nil {
		into = corev1.ResourceList{}
	}
	maps.Copy(into, from)
	return into
}
