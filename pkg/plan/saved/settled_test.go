package saved_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// webPod is a pod of the Deployment web, on a node.
func webPod(name, node string, edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := build.Pod("nlp", name).Node(node).Owner("apps/v1", "ReplicaSet", "web-1").Obj()
	readyIs(corev1.ConditionTrue)(pod)
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

func readyIs(status corev1.ConditionStatus) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	}
}

func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = &build.Epoch }

// tolerates lets a pod stay for 300 seconds.
func tolerates(pod *corev1.Pod) {
	pod.Spec.Tolerations = []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(300))}}
}

// younger makes a pod one that has come after the taint.
func younger(pod *corev1.Pod) {
	pod.CreationTimestamp = metav1.NewTime(build.Epoch.Add(time.Hour))
}

// twoWaves taints n1, then n2. Deployment web has three pods, of which each wave
// evicts one: the second finds no node again.
func twoWaves() *report.TaintPlan {
	after := taints("a=1:NoExecute")
	return &report.TaintPlan{
		TakenAt: build.Epoch,
		Nodes:   []report.TaintedNode{{Name: "n1", Wave: 1, After: after}, {Name: "n2", Wave: 2, After: after}},
		Evictions: []report.Eviction{
			{Namespace: "nlp", Name: "bare", Node: "n1", Wave: 1, Marks: []report.Mark{report.MarkBare}},
			{Namespace: "nlp", Name: "web-a", Node: "n1", Wave: 1, Workload: "Deployment/web", NewNode: "n3", Fate: report.FateRePlaced},
			{Namespace: "nlp", Name: "web-b", Node: "n2", Wave: 2, Workload: "Deployment/web", PendingReason: "no room", Fate: report.FatePending},
		},
		Workloads: []report.WorkloadVerdict{{Namespace: "nlp", Workload: "Deployment/web", ReadyBefore: 3}},
		Waves:     [][]string{{"n1"}, {"n2"}},
	}
}

func TestUnsettled(t *testing.T) {
	template := build.Pod("nlp", "web").Label("app", "web")
	b, c, replacement := webPod("web-b", "n2"), webPod("web-c", "n3"), webPod("web-d", "n3")
	for name, test := range map[string]struct {
		wave     int32
		replicas int32
		pods     []*corev1.Pod
		want     []string
	}{
		"nothing has happened": {1, 3, []*corev1.Pod{webPod("web-a", "n1"), b, c}, []string{"pod nlp/web-a on node n1 is not evicted yet"}},
		"it is being deleted": {1, 3, []*corev1.Pod{webPod("web-a", "n1", terminating), b, c}, []string{
			"pod nlp/web-a on node n1 is being deleted", "deployment nlp/web has 2 of 3 pods ready",
		}},
		"it is gone, and not replaced yet": {1, 3, []*corev1.Pod{b, c}, []string{"deployment nlp/web has 2 of 3 pods ready"}},
		"its replacement starts": {1, 3, []*corev1.Pod{b, c, webPod("web-d", "n3", readyIs(corev1.ConditionFalse))}, []string{
			"deployment nlp/web has 2 of 3 pods ready",
		}},
		"its replacement is ready":         {1, 3, []*corev1.Pod{b, c, replacement}, nil},
		"the Deployment wants fewer":       {1, 2, []*corev1.Pod{b, c}, nil},
		"the Deployment wants more":        {1, 5, []*corev1.Pod{b, c, replacement}, nil},
		"the second wave":                  {2, 3, []*corev1.Pod{b, c, replacement}, []string{"pod nlp/web-b on node n2 is not evicted yet"}},
		"the planned number is there":      {2, 3, []*corev1.Pod{c, replacement}, nil},
		"fewer than planned are there":     {2, 3, []*corev1.Pod{c}, []string{"deployment nlp/web has 1 of 2 pods ready"}},
		"it tolerates the taint for long":  {1, 3, []*corev1.Pod{webPod("web-a", "n1", tolerates), b, c, replacement}, []string{"pod nlp/web-a on node n1 is not evicted yet"}},
		"one that tolerates it has come":   {1, 3, []*corev1.Pod{webPod("web-e", "n1", tolerates, younger), b, c}, nil},
		"one that does not has slipped in": {1, 3, []*corev1.Pod{webPod("web-e", "n1", younger), b, c, replacement}, []string{"pod nlp/web-e on node n1 is not evicted yet"}},
		"a mirror pod is made again": {1, 3, []*corev1.Pod{b, c, replacement, webPod("static", "n1", func(pod *corev1.Pod) {
			pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		})}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			second := build.Node("n2")
			if test.wave == 2 {
				second.Taint("a=1:NoExecute")
			}
			objects := []snapshot.Object{
				build.Node("n1").Taint("a=1:NoExecute").Obj(), second.Obj(), build.Node("n3").Obj(),
				build.Deployment("nlp", "web", test.replicas, template), build.ReplicaSet("nlp", "web-1", "web", test.replicas, template),
			}
			for _, pod := range test.pods {
				objects = append(objects, pod)
			}
			if diff := cmp.Diff(test.want, saved.Unsettled(twoWaves(), test.wave, build.Snapshot(objects...))); diff != "" {
				t.Errorf("unsettled (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNodesWithoutTheirTaintAreSettled: neither a node that is still to be changed nor
// one that others have put back to work evicts anything.
func TestNodesWithoutTheirTaintAreSettled(t *testing.T) {
	pod := webPod("web-a", "n1", younger)
	for _, node := range []*corev1.Node{build.Node("n1").Obj(), build.Node("n1").Taint("x:NoExecute").Obj()} {
		if got := saved.Unsettled(twoWaves(), 2, build.Snapshot(node, build.Node("n2").Taint("a=1:NoExecute").Obj(), pod)); len(got) > 0 {
			t.Errorf("node n1 with %s: unsettled: %v", saved.Taints(node.Spec.Taints), got)
		}
	}
}

func TestBegun(t *testing.T) {
	for name, test := range map[string]struct {
		tainted, gone string
		begun         int32
		half          bool
	}{
		"nothing":                         {},
		"half of the first":               {tainted: "n1", begun: 1, half: true},
		"the first":                       {tainted: "n1 n2", begun: 1},
		"half of the second":              {tainted: "n1 n2 n4", begun: 2, half: true},
		"all":                             {tainted: "n1 n2 n3 n4", begun: 2},
		"another has tainted a later one": {tainted: "n3"},
		"one of the first is gone":        {tainted: "n2", gone: "n1", begun: 1},
		"the first are gone":              {tainted: "n3", gone: "n1 n2", begun: 2, half: true},
		"those that were left are gone":   {tainted: "n1 n2 n3", gone: "n4", begun: 2},
		"all are gone":                    {gone: "n1 n2 n3 n4"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &report.TaintPlan{Waves: [][]string{{"n1", "n2"}, {"n3", "n4"}}}
			var nodes []snapshot.Object
			for _, name := range []string{"n1", "n2", "n3", "n4"} {
				p.Nodes = append(p.Nodes, report.TaintedNode{Name: name, After: taints("a=1:NoExecute")})
				node := build.Node(name)
				if strings.Contains(test.tainted, name) {
					node.Taint("a=1:NoExecute")
				}
				if !strings.Contains(test.gone, name) {
					nodes = append(nodes, node.Obj())
				}
			}
			if begun, half := saved.Begun(p, build.Snapshot(nodes...)); begun != test.begun || half != test.half {
				t.Errorf("begun %d, half %t; want %d, %t", begun, half, test.begun, test.half)
			}
		})
	}
}

// TestUnsettledWithoutScale: what the controllers of a Job's pods want becomes less as
// they complete.
func TestUnsettledWithoutScale(t *testing.T) {
	p := twoWaves()
	for i := range p.Evictions[1:] {
		p.Evictions[i+1].Workload = "CronJob/nightly"
	}
	p.Workloads[0].Workload = "CronJob/nightly"
	job := build.Job("nlp", "nightly-1", 3, 3, build.Pod("nlp", "nightly"))
	job.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", Controller: new(true)}}
	pod := func(name string, status corev1.ConditionStatus, phase corev1.PodPhase) *corev1.Pod {
		pod := build.Pod("nlp", name).Node("n3").Phase(phase).Owner("batch/v1", "Job", "nightly-1").Obj()
		readyIs(status)(pod)
		return pod
	}
	for name, test := range map[string]struct {
		last *corev1.Pod
		want []string
	}{
		"one is finished": {pod("c", corev1.ConditionFalse, corev1.PodSucceeded), nil},
		"one starts":      {pod("c", corev1.ConditionFalse, corev1.PodRunning), []string{"cronjob nlp/nightly has 2 of 3 pods ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			snap := build.Snapshot(job, build.Node("n1").Obj(), build.Node("n3").Obj(),
				pod("a", corev1.ConditionTrue, corev1.PodRunning), pod("b", corev1.ConditionTrue, corev1.PodRunning), test.last)
			if diff := cmp.Diff(test.want, saved.Unsettled(p, 1, snap)); diff != "" {
				t.Errorf("unsettled (-want +got):\n%s", diff)
			}
		})
	}
}
