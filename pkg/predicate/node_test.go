package predicate_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/usage"
)

// TestNodeUsage: a node of a what-if is used as the same node with the same pods is.
func TestNodeUsage(t *testing.T) {
	n := build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10,nvidia.com/gpu=2").Obj()
	before := build.Pod("a", "before").Request("cpu=1,nvidia.com/gpu=1").Node("n").Obj()
	placed := build.Pod("a", "placed").Request("cpu=500m,memory=1Gi").Init("cpu=3").Overhead("cpu=250m").Node("n").Obj()
	e := engine(t, build.Snapshot(n, before))
	undo, err := e.Apply(predicate.Edit{Place: placed})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, pods ...*corev1.Pod) {
		t.Helper()
		node, ok := e.Node("n")
		if !ok || !slices.Equal(slices.Collect(node.Pods()), pods) {
			t.Fatalf("%s: node is there: %v, pods %v", when, ok, slices.Collect(node.Pods()))
		}
		got, want := node.Usage(), usage.Of(n, pods)
		for _, name := range []corev1.ResourceName{"cpu", "memory", "ephemeral-storage", "pods", "nvidia.com/gpu"} {
			if got.Free(name) != want.Free(name) || got.Requested.Of(name) != want.Requested.Of(name) {
				t.Errorf("%s: %s: %d free, %d requested, want %d and %d", when, name,
					got.Free(name), got.Requested.Of(name), want.Free(name), want.Requested.Of(name))
			}
		}
		for pod, requests := range node.Requests() {
			if want := usage.Requests(pod); requests.MilliCPU != want.MilliCPU || requests.Pods != want.Pods {
				t.Errorf("%s: pod %s requests %+v, want %+v", when, pod.Name, requests, want)
			}
		}
	}
	check("with a pod placed", before, placed)
	undo()
	check("without", before)
}

func TestNodeRepelsAndTakes(t *testing.T) {
	guard := build.Pod("a", "guard").Label("app", "db").PodAntiAffinity("app=web", corev1.LabelTopologyZone).HostPort(80).Node("n").Obj()
	e := engine(t, build.Snapshot(build.Node("n").Obj(), guard))
	node, _ := e.Node("n")
	for app, want := range map[string]int{"web": 1, "other": 0} {
		found := 0
		for other, key := range node.Repelling(build.Pod("a", "p").Label("app", app).Obj(), labels.Set{}) {
			if found++; other != guard || key != corev1.LabelTopologyZone {
				t.Errorf("repelled by %s by %s, want guard by zone", other.Name, key)
			}
		}
		if found != want {
			t.Errorf("app=%s: repelled by %d terms, want %d", app, found, want)
		}
	}
	for port, want := range map[int32]bool{80: true, 81: false} {
		asked := corev1.ContainerPort{HostPort: port, Protocol: corev1.ProtocolTCP}
		if node.Takes(asked) != want || predicate.Conflict(guard.Spec.Containers[0].Ports, asked) != want {
			t.Errorf("port %d: taken is %v, want %v", port, node.Takes(asked), want)
		}
	}
}
