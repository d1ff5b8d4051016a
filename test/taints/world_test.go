package taints

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// Labels and annotations of a world's objects.
const (
	worldLabel = "example.com/world"
	halfLabel  = "example.com/half"
	loadLabel  = "example.com/load"
	// endsAnnotation is the phase in which the kubelet ends a pod.
	endsAnnotation = "example.com/ends"
	// heldAnnotation keeps the kubelet from ending a pod that is deleted.
	heldAnnotation = "example.com/held"
)

// world is one fleet and one change of its nodes' taints.
type world struct {
	// Seed and Number say how it was generated.
	Seed   uint64     `json:"seed"`
	Number int        `json:"number"`
	Nodes  []node     `json:"nodes"`
	Loads  []workload `json:"loads"`
	// Change are the arguments of kubectl taint after the nodes' names.
	Change []string `json:"change"`
}

// node is a node of a world.
type node struct {
	Name string `json:"name"`
	CPU  string `json:"cpu"`
	// Half is one of two labels that pods may select.
	Half string `json:"half"`
	// Taints are there from the beginning; Late ones come with their time when all
	// pods run, so that those that tolerate them for a time are being counted down.
	Taints []string `json:"taints,omitempty"`
	Late   []string `json:"late,omitempty"`
	// Changed says that the node is one of those whose taints are changed.
	Changed bool `json:"changed,omitempty"`
}

// workload is a workload of a world, or some pods without one.
type workload struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Replicas int32  `json:"replicas"`
	CPU      string `json:"cpu,omitempty"`
	Priority int    `json:"priority"`
	// Half is which nodes it selects; empty for all.
	Half        string              `json:"half,omitempty"`
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Apart keeps its pods on different nodes.
	Apart bool `json:"apart,omitempty"`
	// MinAvailable and MaxUnavailable are its PodDisruptionBudget's.
	MinAvailable   string `json:"minAvailable,omitempty"`
	MaxUnavailable string `json:"maxUnavailable,omitempty"`
	// Ordered is a StatefulSet's OrderedReady.
	Ordered bool `json:"ordered,omitempty"`
	// BackoffLimit is a Job's; Ignores says that disruptions do not count.
	BackoffLimit int32 `json:"backoffLimit,omitempty"`
	Ignores      bool  `json:"ignores,omitempty"`
	// Ends is the phase that its pods end in before the change; empty when they run.
	Ends corev1.PodPhase `json:"ends,omitempty"`
	// Held pods are being deleted when the change comes.
	Held bool `json:"held,omitempty"`
	// Late pods are made after the late taints.
	Late bool `json:"late,omitempty"`
	// Node is where a mirror pod is, or the local volume.
	Node string `json:"node,omitempty"`
	// Local mounts a local volume, EmptyDir an empty one.
	Local    bool `json:"local,omitempty"`
	EmptyDir bool `json:"emptyDir,omitempty"`
}

// Kinds of loads that are no kinds of the API.
const (
	bare   = "Pod"
	mirror = "mirror"
)

// String is the world as YAML, for a report.
func (w *world) String() string {
	text, err := yaml.Marshal(w)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// nodeName is what a node is called in the cluster.
func nodeName(namespace, name string) string { return namespace + "-" + name }

// changed are the names of the nodes to change.
func (w *world) changed(namespace string) []string {
	var names []string
	for _, n := range w.Nodes {
		if n.Changed {
			names = append(names, nodeName(namespace, n.Name))
		}
	}
	return names
}

// nodes are the nodes as they are made.
func (w *world) nodes(namespace string) []runtime.Object {
	var objects []runtime.Object
	for _, n := range w.Nodes {
		b := build.Node(nodeName(namespace, n.Name)).Capacity("cpu="+n.CPU+",memory=1Ti").Label(worldLabel, namespace).Label(halfLabel, n.Half)
		for _, taint := range n.Taints {
			b.Taint(taint)
		}
		objects = append(objects, ready(b.Obj()))
	}
	return objects
}

// ready makes a node one whose kubelet has just spoken.
func ready(node *corev1.Node) *corev1.Node {
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].LastHeartbeatTime = metav1.Now()
		node.Status.Conditions[i].LastTransitionTime = metav1.Now()
	}
	return node
}

// workloads are the objects of the loads, late or not, neighbours of one kind.
func (w *world) workloads(namespace string, late bool) []runtime.Object {
	var volumes, claims, budgets, rest []runtime.Object
	for i := range w.Loads {
		l := &w.Loads[i]
		if l.Late != late {
			continue
		}
		if l.Local {
			volumes = append(volumes, l.volume(namespace))
			claims = append(claims, l.claim(namespace))
		}
		if budget := l.budget(namespace); budget != nil {
			budgets = append(budgets, budget)
		}
		rest = append(rest, l.objects(namespace)...)
	}
	slices.SortStableFunc(rest, func(a, b runtime.Object) int { return cmp.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)) })
	return slices.Concat(volumes, claims, budgets, rest)
}

// localClass is the class of local volumes; no such object is needed.
const localClass = "local"

func volumeName(namespace, load string) string { return namespace + "-" + load }

// volume is a local volume on the load's node, for its claim.
func (l *workload) volume(namespace string) runtime.Object {
	pv := build.PV(volumeName(namespace, l.Name), localClass, "1Gi", "", "")
	pv.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/data"}}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: namespace, Name: l.Name}
	pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{nodeName(namespace, l.Node)},
		}},
	}}}}
	return pv
}

// claim is the one of the load's volume; the volume controller binds them.
func (l *workload) claim(namespace string) runtime.Object {
	claim := build.PVC(namespace, l.Name, localClass, "1Gi", "")
	claim.Spec.VolumeName = volumeName(namespace, l.Name)
	return claim
}

func (l *workload) budget(namespace string) runtime.Object {
	if l.MinAvailable == "" && l.MaxUnavailable == "" {
		return nil
	}
	budget := build.PDB(namespace, l.Name, "0", loadLabel+"="+l.Name, 0)
	budget.Spec = policyv1.PodDisruptionBudgetSpec{Selector: budget.Spec.Selector}
	if l.MinAvailable != "" {
		budget.Spec.MinAvailable = new(intstr.Parse(l.MinAvailable))
	} else {
		budget.Spec.MaxUnavailable = new(intstr.Parse(l.MaxUnavailable))
	}
	return budget
}

// pod is the load's pod, or the one of its template.
func (l *workload) pod(namespace, name string) *build.PodBuilder {
	b := build.Pod(namespace, name).Label(loadLabel, l.Name).NodeSelector(worldLabel, namespace).Priority(className(l.Priority), 0)
	if l.CPU != "" {
		b.Request("cpu=" + l.CPU)
	}
	if l.Half != "" {
		b.NodeSelector(halfLabel, l.Half)
	}
	if l.Apart {
		b.PodAntiAffinity(loadLabel+"="+l.Name, corev1.LabelHostname)
	}
	if l.Local {
		b.PVC(l.Name)
	}
	return b.With(func(p *corev1.Pod) {
		p.Annotations = map[string]string{}
		p.Spec.Tolerations = slices.Clone(l.Tolerations)
		p.Spec.Priority, p.Spec.PreemptionPolicy = nil, nil // its class says
		if l.EmptyDir {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}
		if l.Ends != "" {
			p.Annotations[endsAnnotation] = string(l.Ends)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
		}
		if l.Held {
			p.Annotations[heldAnnotation] = "true"
		}
	})
}

// objects are the load's workload, or its pods.
func (l *workload) objects(namespace string) []runtime.Object {
	template := l.pod(namespace, l.Name)
	switch l.Kind {
	case "Deployment":
		return []runtime.Object{build.Deployment(namespace, l.Name, l.Replicas, template)}
	case "StatefulSet":
		set := build.StatefulSet(namespace, l.Name, l.Replicas, template)
		set.Spec.ServiceName = l.Name
		if !l.Ordered {
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
		}
		return []runtime.Object{set}
	case "DaemonSet":
		return []runtime.Object{build.DaemonSet(namespace, l.Name, template)}
	case "ReplicationController":
		pod := template.Obj()
		return []runtime.Object{&corev1.ReplicationController{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: l.Name},
			Spec: corev1.ReplicationControllerSpec{Replicas: &l.Replicas, Selector: pod.Labels, Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec,
			}},
		}}
	case "Job":
		return []runtime.Object{l.job(namespace, template)}
	}
	var pods []runtime.Object
	for i := range l.Replicas {
		pod := l.pod(namespace, fmt.Sprintf("%s-%d", l.Name, i)).Obj()
		if l.Kind == mirror {
			pod.Spec.NodeName = nodeName(namespace, l.Node)
			pod.Annotations[corev1.MirrorPodAnnotationKey] = "static"
		}
		pods = append(pods, pod)
	}
	return pods
}

func (l *workload) job(namespace string, template *build.PodBuilder) *batchv1.Job {
	job := build.Job(namespace, l.Name, l.Replicas, l.Replicas, template)
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job.Spec.BackoffLimit = &l.BackoffLimit
	if l.Ignores {
		job.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
			Action:          batchv1.PodFailurePolicyActionIgnore,
			OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
		}}}
	}
	return job
}

// priorities is how many classes of priority there are.
const priorities = 8

func className(priority int) string { return fmt.Sprintf("priority-%d", priority) }

// classes are the classes of priority, for all worlds.
func classes() []runtime.Object {
	var objects []runtime.Object
	for i := range priorities {
		objects = append(objects, build.PriorityClass(className(i), int32(10*i)))
	}
	return objects
}
