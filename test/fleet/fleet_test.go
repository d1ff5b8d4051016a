package fleet_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/test/fleet"
)

func TestGenerateIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := fleet.Options{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Nodes:    rapid.IntRange(0, 50).Draw(t, "nodes"),
			Pods:     rapid.IntRange(0, 200).Draw(t, "pods"),
			Bound:    rapid.Float64Range(0, 1).Draw(t, "bound"),
			Cordoned: rapid.Float64Range(0, 1).Draw(t, "cordoned"),
		}
		a, b := generate(t, opts), generate(t, opts)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("two fleets of %+v differ (-first +second):\n%s", opts, diff)
		}
		if len(a.Nodes) != opts.Nodes || len(a.Pods) != opts.Pods {
			t.Fatalf("%d nodes and %d pods, want %d and %d", len(a.Nodes), len(a.Pods), opts.Nodes, opts.Pods)
		}
	})
}

func TestSeedsDiffer(t *testing.T) {
	a := generate(t, fleet.Options{Seed: 1, Nodes: 20, Pods: 50})
	b := generate(t, fleet.Options{Seed: 2, Nodes: 20, Pods: 50})
	if cmp.Equal(a, b) {
		t.Error("seeds 1 and 2 give the same fleet")
	}
}

func TestMoreNodesLeaveUnboundPodsAlone(t *testing.T) {
	a := generate(t, fleet.Options{Seed: 1, Nodes: 20, Pods: 50})
	b := generate(t, fleet.Options{Seed: 1, Nodes: 40, Pods: 50})
	if diff := cmp.Diff(a.Pods, b.Pods); diff != "" {
		t.Errorf("pods of 20 nodes and of 40 (-20 +40):\n%s", diff)
	}
	if diff := cmp.Diff(a.Nodes, b.Nodes[:20]); diff != "" {
		t.Errorf("the first 20 nodes (-20 +40):\n%s", diff)
	}
}

// Every bound pod is where a kubelet would admit it.
func TestBoundPodsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := generate(t, fleet.Options{
			Seed:  rapid.Uint64().Draw(t, "seed"),
			Nodes: rapid.IntRange(1, 20).Draw(t, "nodes"),
			Pods:  rapid.IntRange(1, 400).Draw(t, "pods"),
			Bound: 1, Cordoned: 0.2,
		})
		free := map[string]corev1.ResourceList{}
		nodes := map[string]*corev1.Node{}
		for _, n := range f.Nodes {
			nodes[n.Name], free[n.Name] = n, n.Status.Allocatable.DeepCopy()
		}
		for _, p := range f.Pods {
			if p.Spec.NodeName != "" {
				checkAdmitted(t, p, nodes[p.Spec.NodeName])
				charge(t, free[p.Spec.NodeName], p)
			}
		}
	})
}

// checkAdmitted fails unless the pod's affinity matches the node, which is not cordoned, and its taints are tolerated.
func checkAdmitted(t *rapid.T, p *corev1.Pod, n *corev1.Node) {
	if match, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(n); err != nil || !match {
		t.Fatalf("pod %s: affinity does not match its node %s: %v", p.Name, n.Name, err)
	}
	for _, taint := range n.Spec.Taints {
		tolerated := false
		for _, toleration := range p.Spec.Tolerations {
			tolerated = tolerated || toleration.Key == taint.Key
		}
		if !tolerated {
			t.Fatalf("pod %s does not tolerate %s of its node %s", p.Name, taint.Key, n.Name)
		}
	}
}

// charge takes the pod's requests from what its node has free.
func charge(t *rapid.T, free corev1.ResourceList, p *corev1.Pod) {
	requests := p.Spec.Containers[0].Resources.Requests.DeepCopy()
	requests[corev1.ResourcePods] = resource.MustParse("1")
	for name, want := range requests {
		left := free[name]
		left.Sub(want)
		if left.Sign() < 0 {
			t.Fatalf("pod %s: node %s has %s less of %s than bound to it", p.Name, p.Spec.NodeName, left.String(), name)
		}
		free[name] = left
	}
}

func TestShapes(t *testing.T) {
	f := generate(t, fleet.Options{Seed: 7, Nodes: 500, Pods: 2000, Cordoned: 0.1})
	seen := map[string]bool{}
	for _, n := range f.Nodes {
		seen["zone "+n.Labels[corev1.LabelTopologyZone]] = true
		seen["model "+n.Labels[fleet.LabelGPUProduct]] = true
		seen["pool "+n.Labels[fleet.LabelNodePool]] = true
		seen["type "+n.Labels[fleet.LabelNodeType]] = true
		if n.Labels[fleet.LabelGPUProduct] != n.Labels[fleet.LabelGPUName] {
			t.Errorf("node %s: model labels disagree", n.Name)
		}
		for _, taint := range n.Spec.Taints {
			seen["taint "+taint.Key] = true
		}
	}
	for _, p := range f.Pods {
		seen["priority "+p.Spec.PriorityClassName] = true
		if owner := metav1.GetControllerOf(p); owner == nil || owner.Kind != "ReplicaSet" {
			t.Errorf("pod %s: owner = %v, want a ReplicaSet", p.Name, owner)
		}
	}
	want := []string{
		"zone zone-a", "zone zone-b", "zone zone-c", "model ", "model T4", "model A30", "model A100", "model V100",
		"pool ", "pool np-ecs-cpu", "type virtual-kubelet", "priority ", "priority batch", "priority online", "priority critical",
		"taint " + fleet.TaintGPU, "taint " + fleet.TaintVirtual, "taint " + corev1.TaintNodeUnschedulable,
	}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("no object of the fleet has %q", w)
		}
	}
}

func TestManifestsCarryNothingThatAClusterSets(t *testing.T) {
	f := generate(t, fleet.Options{Seed: 1, Nodes: 5, Pods: 20, Bound: 1})
	before := generate(t, fleet.Options{Seed: 1, Nodes: 5, Pods: 20, Bound: 1})
	for _, obj := range f.Manifests() {
		o := obj.(metav1.Object)
		if o.GetUID() != "" || !o.GetCreationTimestamp().Time.IsZero() || len(o.GetOwnerReferences()) > 0 {
			t.Errorf("%T %s: uid, creation time or owners are set", obj, o.GetName())
		}
		if p, ok := obj.(*corev1.Pod); ok && !cmp.Equal(p.Status, corev1.PodStatus{}) {
			t.Errorf("pod %s: status is set", p.Name)
		}
	}
	if diff := cmp.Diff(before, f); diff != "" {
		t.Errorf("Manifests changed the fleet (-before +after):\n%s", diff)
	}
}

func TestGenerateRefusesBadOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		opts fleet.Options
		want string
	}{
		"negative nodes":   {fleet.Options{Nodes: -1}, "Nodes is -1"},
		"share above 1":    {fleet.Options{Bound: 1.5}, "Bound is 1.5"},
		"no zone":          {fleet.Options{Zones: []string{}}, "Zones"},
		"no shape":         {fleet.Options{Nodes: 1, NodeShapes: []fleet.NodeShape{}}, "weights"},
		"negative weight":  {fleet.Options{NodeShapes: []fleet.NodeShape{{Name: "n", Weight: -1}}}, `"n"`},
		"unknown priority": {fleet.Options{PodShapes: []fleet.PodShape{{Name: "p", Weight: 1, MaxReplicas: 1, Priority: "top"}}}, `"top"`},
		"no replicas":      {fleet.Options{PodShapes: []fleet.PodShape{{Name: "p", Weight: 1}}}, `"p"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fleet.Generate(tc.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Generate = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestOpenB(t *testing.T) {
	f := openB(t, fleet.OpenBGPUSpec20)
	if len(f.Nodes) != 1523 || len(f.Pods) != 8152 {
		t.Errorf("%d nodes and %d pods, want 1523 and 8152", len(f.Nodes), len(f.Pods))
	}
	gpus, bound := int64(0), 0
	for _, n := range f.Nodes {
		gpu := n.Status.Allocatable[fleet.ResourceGPU]
		gpus += gpu.Value()
		if gpu.Value() > 0 != (n.Labels[fleet.LabelGPUProduct] != "") {
			t.Errorf("node %s: %d GPUs of model %q", n.Name, gpu.Value(), n.Labels[fleet.LabelGPUProduct])
		}
	}
	if gpus != 6212 {
		t.Errorf("%d GPUs, want 6212", gpus)
	}
	for i, p := range f.Pods {
		if i > 0 && p.CreationTimestamp.Before(&f.Pods[i-1].CreationTimestamp) {
			t.Errorf("pod %s was created before its predecessor", p.Name)
		}
		if p.Spec.Affinity != nil {
			bound++
		}
	}
	if bound != 1444 {
		t.Errorf("%d pods name GPU models, want 1444", bound)
	}
}

func TestOpenBWithoutTrace(t *testing.T) {
	_, err := fleet.OpenB(t.TempDir(), fleet.OpenBDefault)
	if !errors.Is(err, fleet.ErrNoTrace) {
		t.Errorf("OpenB of an empty directory = %v, want ErrNoTrace", err)
	}
}

func TestOpenBNamesTheBadCell(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "openb_node_list_all_node.csv"), "sn,cpu_milli,memory_mib,gpu,model\nn0,1000,1024,0,\nn1,lots,1024,0,\n")
	write(t, filepath.Join(dir, fleet.OpenBDefault), "name\n")
	_, err := fleet.OpenB(dir, fleet.OpenBDefault)
	if err == nil || !strings.Contains(err.Error(), `all_node.csv:3: column cpu_milli: "lots"`) {
		t.Errorf("OpenB = %v, want an error with file, line and column", err)
	}
}

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		if _, err := fleet.Generate(fleet.Options{Seed: 1, Nodes: 5000, Pods: 50000, Bound: 0.9}); err != nil {
			b.Fatal(err)
		}
	}
}

// openB reads the trace, or skips the test where there is none.
func openB(t *testing.T, podList string) *fleet.Fleet {
	t.Helper()
	f, err := fleet.OpenB(fleet.OpenBDir(filepath.Join("..", "..")), podList)
	if errors.Is(err, fleet.ErrNoTrace) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func generate(t interface{ Fatal(...any) }, opts fleet.Options) *fleet.Fleet {
	f, err := fleet.Generate(opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
