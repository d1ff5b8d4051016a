package predicate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

func node(name, cpu string, taints ...corev1.Taint) *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("10"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
}

func pod(name, cpu string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-" + "x"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "app",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}},
	}
	predicate.SetDefaults(p)
	return p
}

func engine(t *testing.T, snap *snapshot.Snapshot) *predicate.Engine {
	t.Helper()
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := predicate.New(t.Context(), snap, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestEvaluateGivesEveryFailureOfEveryNode(t *testing.T) {
	gpu := corev1.Taint{Key: "gpu", Value: "a100", Effect: corev1.TaintEffectNoSchedule}
	e := engine(t, &snapshot.Snapshot{
		Nodes: []*corev1.Node{node("small", "1"), node("tainted", "1", gpu), node("tainted-big", "8", gpu)},
	})
	v, err := e.Evaluate(t.Context(), pod("p", "4"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for i, name := range v.Nodes {
		for _, failure := range v.Failures[i] {
			got[name] = append(got[name], failure.Plugin+": "+failure.Reasons())
		}
	}
	want := map[string][]string{
		"small":       {"NodeResourcesFit: Insufficient cpu"},
		"tainted":     {"TaintToleration: node(s) had untolerated taint(s)", "NodeResourcesFit: Insufficient cpu"},
		"tainted-big": {"TaintToleration: node(s) had untolerated taint(s)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if want := "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."; v.Message != want {
		t.Errorf("message %q, want %q", v.Message, want)
	}
	preemption, err := e.Preempt(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	if want := "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."; preemption.Message != want {
		t.Errorf("preemption %q, want %q", preemption.Message, want)
	}
}
