package bench

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/fleet"
)

// Pending is how many pods of the generated fleet have no node.
const Pending = 1000

// Generated draws a nearly full fleet of 5,000 nodes and 50,000 pods, the last
// Pending of which fit nowhere.
func Generated() (*fleet.Fleet, error) {
	f, err := fleet.Generate(fleet.Options{
		Seed: 1, Nodes: 5000, Pods: 50_000 - Pending, Bound: 1, Cordoned: 0.02, NodeShapes: nodeShapes(), PodShapes: boundShapes(),
	})
	if err != nil {
		return nil, err
	}
	for _, pod := range f.Pods {
		if pod.Spec.NodeName == "" {
			return nil, fmt.Errorf("the generated fleet has no room for pod %s/%s: expected one, make its nodes larger", pod.Namespace, pod.Name)
		}
	}
	more, err := fleet.Generate(fleet.Options{Seed: 2, Pods: Pending, PodShapes: pendingShapes()})
	if err != nil {
		return nil, err
	}
	f.Pods = append(f.Pods, more.Pods...)
	f.ReplicaSets = append(f.ReplicaSets, more.ReplicaSets...)
	return f, nil
}

// nodeShapes are of a size that ten pods nearly fill.
func nodeShapes() []fleet.NodeShape {
	return []fleet.NodeShape{
		{Name: "idc-cpu", Weight: 50, Tier: fleet.IDC, CPU: 32, MemoryGiB: 128},
		{Name: "ecs-cpu", Weight: 15, Tier: fleet.ECS, CPU: 24, MemoryGiB: 96},
		{Name: "idc-t4", Weight: 15, Tier: fleet.IDC, CPU: 32, MemoryGiB: 128, GPUs: 6, Model: "T4", Tainted: true},
		{Name: "idc-v100", Weight: 9, Tier: fleet.IDC, CPU: 48, MemoryGiB: 384, GPUs: 8, Model: "V100", Tainted: true},
		{Name: "idc-a100", Weight: 9, Tier: fleet.IDC, CPU: 64, MemoryGiB: 512, GPUs: 8, Model: "A100", Tainted: true},
		{Name: "eci", Weight: 2, Tier: fleet.ECI, CPU: 64, MemoryGiB: 256},
	}
}

// boundShapes are the default ones that find room.
func boundShapes() []fleet.PodShape {
	var shapes []fleet.PodShape
	for _, shape := range fleet.DefaultPodShapes() {
		if shape.MilliCPU <= 12000 {
			shapes = append(shapes, shape)
		}
	}
	return shapes
}

// pendingShapes are five reasons to have no node, each in ten sizes, so that few
// pods are alike: cpu that is in use, the same with the right to preempt, GPUs
// that are in use, more than any node has, and a GPU model that no node has.
func pendingShapes() []fleet.PodShape {
	var shapes []fleet.PodShape
	for i := range int64(10) {
		for _, shape := range []fleet.PodShape{
			{Name: "in-use", MilliCPU: 23000 + 50*i, MemoryMiB: 8 << 10, Priority: "batch"},
			{Name: "urgent", MilliCPU: 23000 + 50*i, MemoryMiB: 8 << 10, Priority: "critical"},
			{Name: "train", MilliCPU: 44000 + 50*i, MemoryMiB: 64 << 10, GPUs: 8, Models: []string{"A100", "V100"}},
			{Name: "too-large", MilliCPU: 80000 + 1000*i, MemoryMiB: 16 << 10},
			{Name: "no-model", MilliCPU: 8000 + 1000*i, MemoryMiB: 64 << 10, GPUs: 1, Models: []string{"H100"}},
		} {
			shape.Name, shape.Weight, shape.MaxReplicas = fmt.Sprintf("pending-%s-%d", shape.Name, i), 1, 10
			shapes = append(shapes, shape)
		}
	}
	return shapes
}

// OpenB reads the openb trace beside the repository at root and places its tasks
// as the scheduler would, one after another; about one in eight finds no node.
// The error is fleet.ErrNoTrace when the trace is not there.
func OpenB(ctx context.Context, root string) (*fleet.Fleet, error) {
	f, err := fleet.OpenB(fleet.OpenBDir(root), fleet.OpenBDefault)
	if err != nil {
		return nil, err
	}
	snap, err := Snapshot(f)
	if err != nil {
		return nil, err
	}
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		return nil, err
	}
	engine, err := predicate.New(ctx, snap, config)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	simulation := simulate.New(engine)
	hopeless := map[string]bool{}
	for _, pod := range f.Pods {
		spec := pod.Spec.String()
		if hopeless[spec] {
			continue // The cluster only fills up.
		}
		node, err := simulation.Place(ctx, pod)
		if err != nil {
			return nil, err
		}
		if hopeless[spec] = node == ""; node != "" {
			pod.Spec.NodeName, pod.Status.Phase = node, corev1.PodRunning
		}
	}
	return f, nil
}

// Snapshot is a fleet as a load would return it.
func Snapshot(f *fleet.Fleet) (*snapshot.Snapshot, error) {
	snap := &snapshot.Snapshot{Source: "fleet", TakenAt: metav1.NewTime(f.Pods[len(f.Pods)-1].CreationTimestamp.Add(time.Hour))}
	for _, o := range f.Objects() {
		object, ok := o.(snapshot.Object)
		if !ok {
			return nil, fmt.Errorf("%T in the fleet: expected an object with metadata", o)
		}
		if err := snap.Add(object.DeepCopyObject().(snapshot.Object)); err != nil {
			return nil, err
		}
	}
	snap.Sort()
	return snap, nil
}
