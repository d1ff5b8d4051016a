package fleet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Options says what fleet to draw. The zero value is an empty one.
type Options struct {
	Seed     uint64
	Nodes    int
	Pods     int
	Bound    float64 // share of the pods, from the first on, that are put on a node with room, 0 to 1
	Cordoned float64 // share of the nodes that are cordoned, about, 0 to 1

	NodeShapes []NodeShape // default: DefaultNodeShapes
	PodShapes  []PodShape  // default: DefaultPodShapes
	Zones      []string    // default: zone-a, zone-b, zone-c
	Namespaces []string    // default: nlp, vision, search
}

// Example is the fleet of "make lab": small, with every tier, and pods that pend for several reasons.
func Example() (*Fleet, error) {
	return Generate(Options{Seed: 1, Nodes: 40, Pods: 300, Cordoned: 0.05})
}

// Generate draws a fleet. Equal options give equal fleets. A pod that finds no room on a node it could use is
// left unbound, so fewer than Bound of them may have a node.
func Generate(opts Options) (*Fleet, error) {
	opts = withDefaults(opts)
	if err := opts.validate(); err != nil {
		return nil, err
	}
	f := &Fleet{Namespaces: newNamespaces(opts.Namespaces), PriorityClasses: newPriorityClasses()}
	// One stream each, so that more nodes do not change the pods.
	p := newPlacer()
	f.drawNodes(opts, rand.New(rand.NewPCG(opts.Seed, 1)), p)
	f.drawPods(opts, rand.New(rand.NewPCG(opts.Seed, 2)), p)
	return f, nil
}

func withDefaults(opts Options) Options {
	if opts.NodeShapes == nil {
		opts.NodeShapes = DefaultNodeShapes()
	}
	if opts.PodShapes == nil {
		opts.PodShapes = DefaultPodShapes()
	}
	if opts.Zones == nil {
		opts.Zones = []string{"zone-a", "zone-b", "zone-c"}
	}
	if opts.Namespaces == nil {
		opts.Namespaces = []string{"nlp", "vision", "search"}
	}
	return opts
}

func (o Options) validate() error {
	switch {
	case o.Nodes < 0 || o.Pods < 0:
		return fmt.Errorf("fleet: Nodes is %d and Pods is %d: expected 0 or more", o.Nodes, o.Pods)
	case o.Bound < 0 || o.Bound > 1 || o.Cordoned < 0 || o.Cordoned > 1:
		return fmt.Errorf("fleet: Bound is %v and Cordoned is %v: expected shares from 0 to 1", o.Bound, o.Cordoned)
	case len(o.Zones) == 0 || len(o.Namespaces) == 0:
		return fmt.Errorf("fleet: Zones and Namespaces: expected one at least, or nil for the default")
	}
	for _, s := range o.NodeShapes {
		if s.Weight < 0 {
			return fmt.Errorf("fleet: node shape %q has weight %d: expected 0 or more", s.Name, s.Weight)
		}
	}
	for _, s := range o.PodShapes {
		if _, known := priorities()[s.Priority]; s.Priority != "" && !known {
			return fmt.Errorf("fleet: pod shape %q has priority %q: expected one of %v", s.Name, s.Priority, slices.Sorted(maps.Keys(priorities())))
		}
		if s.Weight < 0 || s.MaxReplicas < 1 {
			return fmt.Errorf("fleet: pod shape %q has weight %d and MaxReplicas %d: expected 0 or more, 1 or more", s.Name, s.Weight, s.MaxReplicas)
		}
	}
	if o.Nodes > 0 && totalWeight(o.NodeShapes, NodeShape.weight) == 0 || o.Pods > 0 && totalWeight(o.PodShapes, PodShape.weight) == 0 {
		return fmt.Errorf("fleet: the weights of NodeShapes and of PodShapes: expected one above 0 in each")
	}
	return nil
}

func (s NodeShape) weight() int { return s.Weight }
func (s PodShape) weight() int  { return s.Weight }

// pick draws a shape by weight and returns its index.
func pick[S any](rng *rand.Rand, shapes []S, weight func(S) int) int {
	n := rng.IntN(totalWeight(shapes, weight))
	for i, s := range shapes {
		if n -= weight(s); n < 0 {
			return i
		}
	}
	return len(shapes) - 1 // not reached: n is below the sum
}

func totalWeight[S any](shapes []S, weight func(S) int) (sum int) {
	for _, s := range shapes {
		sum += weight(s)
	}
	return sum
}

// drawNodes draws the nodes and tells the placer of them.
func (f *Fleet) drawNodes(opts Options, rng *rand.Rand, p *placer) {
	f.Nodes = make([]*corev1.Node, 0, opts.Nodes)
	for i := range opts.Nodes {
		shape := opts.NodeShapes[pick(rng, opts.NodeShapes, NodeShape.weight)]
		zone := opts.Zones[rng.IntN(len(opts.Zones))]
		cordoned := rng.Float64() < opts.Cordoned
		node := newNode(fmt.Sprintf("%s-%04d", shape.Name, i), shape.capacity(), shape.labels(zone), shape.taints())
		if cordoned {
			cordon(node)
		} else {
			p.add(i, shape)
		}
		f.Nodes = append(f.Nodes, node)
	}
}

// drawPods draws workloads until there are as many pods as asked for; the last workload may be cut short.
func (f *Fleet) drawPods(opts Options, rng *rand.Rand, p *placer) {
	f.Pods = make([]*corev1.Pod, 0, opts.Pods)
	bound := int(opts.Bound * float64(opts.Pods))
	for len(f.Pods) < opts.Pods {
		index := pick(rng, opts.PodShapes, PodShape.weight)
		shape := opts.PodShapes[index]
		replicas := min(1+rng.IntN(shape.MaxReplicas), opts.Pods-len(f.Pods))
		namespace := opts.Namespaces[rng.IntN(len(opts.Namespaces))]
		rs := newReplicaSet(namespace, fmt.Sprintf("%s-%d", shape.Name, len(f.ReplicaSets)), replicas, shape)
		f.ReplicaSets = append(f.ReplicaSets, rs)
		for i := range replicas {
			pod := newReplica(rs, i, len(f.Pods))
			if len(f.Pods) < bound {
				if node, ok := p.place(index, shape); ok {
					bind(pod, f.Nodes[node].Name)
					rs.Status.ReadyReplicas++
				}
			}
			f.Pods = append(f.Pods, pod)
		}
	}
}

// capacity of a node of this shape.
func (s NodeShape) capacity() corev1.ResourceList {
	return resources(s.CPU*1000, s.MemoryGiB<<10, s.GPUs, nodePods)
}

// labels of a node of this shape.
func (s NodeShape) labels(zone string) map[string]string {
	labels := map[string]string{corev1.LabelTopologyZone: zone, corev1.LabelInstanceTypeStable: "local." + s.Name}
	switch s.Tier {
	case ECS:
		labels[LabelNodePool] = "np-" + s.Name
		labels[corev1.LabelInstanceTypeStable] = "ecs." + strings.TrimPrefix(s.Name, "ecs-")
	case ECI:
		labels[LabelNodeType] = "virtual-kubelet"
		labels[corev1.LabelInstanceTypeStable] = "eci"
	}
	maps.Copy(labels, modelLabels(s.Model))
	return labels
}

// newReplicaSet returns a workload of a shape, ready for none of its replicas.
func newReplicaSet(namespace, name string, replicas int, shape PodShape) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	container := newContainer(resources(shape.MilliCPU, shape.MemoryMiB, shape.GPUs, 0))
	spec := newPodSpec(container, shape.tolerations(), shape.Models)
	if shape.Priority != "" {
		spec.PriorityClassName, spec.Priority = shape.Priority, new(priorities()[shape.Priority])
	}
	return &appsv1.ReplicaSet{
		ObjectMeta: newMeta("ReplicaSet", namespace, name, podEpoch, labels),
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(replicas)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: templateSpec(spec)},
		},
		Status: appsv1.ReplicaSetStatus{Replicas: int32(replicas), FullyLabeledReplicas: int32(replicas)},
	}
}

// newReplica returns the i-th pod of a ReplicaSet, the n-th of the fleet.
func newReplica(rs *appsv1.ReplicaSet, i, n int) *corev1.Pod {
	pod := newPod(rs.Namespace, fmt.Sprintf("%s-%d", rs.Name, i), n, rs.Spec.Template.Labels, rs.Spec.Template.Spec)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	return pod
}

func newNamespaces(names []string) []*corev1.Namespace {
	namespaces := make([]*corev1.Namespace, 0, len(names))
	for _, name := range names {
		namespaces = append(namespaces, &corev1.Namespace{
			ObjectMeta: newMeta("Namespace", "", name, nodeEpoch, map[string]string{corev1.LabelMetadataName: name}),
			Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
			Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		})
	}
	return namespaces
}

func newPriorityClasses() []*schedulingv1.PriorityClass {
	var classes []*schedulingv1.PriorityClass
	values := priorities()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		classes = append(classes, &schedulingv1.PriorityClass{
			ObjectMeta:       newMeta("PriorityClass", "", name, nodeEpoch, nil),
			Value:            values[name],
			PreemptionPolicy: ptr.To(corev1.PreemptLowerPriority),
		})
	}
	return classes
}
