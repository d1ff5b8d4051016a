package bench

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/fleet"
)

// Tainted is how many nodes of the fleet of Services are to be tainted.
const Tainted = 500

// Services draws 5,000 nodes with 50,000 pods of Deployments and StatefulSets, every
// workload with its PodDisruptionBudget, that leave enough room for those of every
// tenth node. It returns the names of these, Tainted of them.
func Services() (*snapshot.Snapshot, []string, error) {
	f, err := fleet.Generate(fleet.Options{
		Seed: 3, Nodes: 10 * Tainted, Pods: 50_000, Bound: 1, NodeShapes: roomyShapes(), PodShapes: serviceShapes(),
	})
	if err != nil {
		return nil, nil, err
	}
	snap, err := Snapshot(f)
	if err != nil {
		return nil, nil, err
	}
	for _, pod := range snap.Pods {
		if pod.Spec.NodeName == "" {
			return nil, nil, fmt.Errorf("the generated fleet has no room for pod %s/%s: expected one, make its nodes larger", pod.Namespace, pod.Name)
		}
	}
	if err := own(snap); err != nil {
		return nil, nil, err
	}
	var tainted []string
	for i := 0; i < len(snap.Nodes); i += len(snap.Nodes) / Tainted {
		tainted = append(tainted, snap.Nodes[i].Name)
	}
	return snap, tainted, nil
}

func roomyShapes() []fleet.NodeShape {
	return []fleet.NodeShape{
		{Name: "idc-cpu", Weight: 60, Tier: fleet.IDC, CPU: 48, MemoryGiB: 192},
		{Name: "ecs-cpu", Weight: 25, Tier: fleet.ECS, CPU: 32, MemoryGiB: 128},
		{Name: "idc-t4", Weight: 15, Tier: fleet.IDC, CPU: 48, MemoryGiB: 192, GPUs: 8, Model: "T4"},
	}
}

func serviceShapes() []fleet.PodShape {
	return []fleet.PodShape{
		{Name: "web", Weight: 40, MilliCPU: 500, MemoryMiB: 1 << 10, Priority: "online", MaxReplicas: 20},
		{Name: "api", Weight: 30, MilliCPU: 2000, MemoryMiB: 4 << 10, Priority: "online", MaxReplicas: 12},
		{Name: "store", Weight: 20, MilliCPU: 4000, MemoryMiB: 16 << 10, MaxReplicas: 5},
		{Name: "infer", Weight: 10, MilliCPU: 4000, MemoryMiB: 16 << 10, GPUs: 1, Models: []string{"T4"}, Priority: "online", MaxReplicas: 6},
	}
}

// own gives every ReplicaSet a Deployment, makes every fifth a StatefulSet instead,
// and gives each a budget of which one pod may be missing.
func own(snap *snapshot.Snapshot) error {
	sets := snap.ReplicaSets
	snap.ReplicaSets = nil
	stateful := map[string]*appsv1.StatefulSet{}
	for i, rs := range sets {
		var workload snapshot.Object
		if i%5 == 0 {
			set := statefulSet(rs)
			stateful[rs.Namespace+"/"+rs.Name] = set
			workload = set
		} else {
			deployment := deploymentOf(rs)
			rs.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
			snap.ReplicaSets = append(snap.ReplicaSets, rs)
			workload = deployment
		}
		for _, object := range []snapshot.Object{workload, budgetOf(rs)} {
			if err := snap.Add(object); err != nil {
				return err
			}
		}
	}
	for _, pod := range snap.Pods {
		if set, ok := stateful[pod.Namespace+"/"+metav1.GetControllerOf(pod).Name]; ok {
			pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
		}
	}
	snap.Sort()
	return nil
}

// owned is the metadata of an object of the kind that goes with a ReplicaSet.
func owned(kind string, rs *appsv1.ReplicaSet) metav1.ObjectMeta {
	meta := *rs.ObjectMeta.DeepCopy()
	meta.UID, meta.Generation = types.UID(kind)+"-"+rs.UID, 1
	return meta
}

func deploymentOf(rs *appsv1.ReplicaSet) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: owned("Deployment", rs),
		Spec:       appsv1.DeploymentSpec{Replicas: rs.Spec.Replicas, Selector: rs.Spec.Selector, Template: rs.Spec.Template},
		Status:     appsv1.DeploymentStatus{Replicas: *rs.Spec.Replicas, ReadyReplicas: *rs.Spec.Replicas},
	}
}

func statefulSet(rs *appsv1.ReplicaSet) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: owned("StatefulSet", rs),
		Spec:       appsv1.StatefulSetSpec{Replicas: rs.Spec.Replicas, Selector: rs.Spec.Selector, Template: rs.Spec.Template},
		Status:     appsv1.StatefulSetStatus{Replicas: *rs.Spec.Replicas, ReadyReplicas: *rs.Spec.Replicas},
	}
}

func budgetOf(rs *appsv1.ReplicaSet) *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	replicas := *rs.Spec.Replicas
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: owned("PodDisruptionBudget", rs),
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: rs.Spec.Selector},
		Status: policyv1.PodDisruptionBudgetStatus{
			ObservedGeneration: 1, ExpectedPods: replicas, CurrentHealthy: replicas, DesiredHealthy: replicas - 1, DisruptionsAllowed: 1,
		},
	}
}
