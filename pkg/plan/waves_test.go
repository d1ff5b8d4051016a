package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// budget lets so many pods of the app be unavailable.
func budget(app string, maxUnavailable int) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: app},
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			MaxUnavailable: new(intstr.FromInt(maxUnavailable)),
		},
	}
}

// onePerNode is a ReplicaSet with a pod on each of the first nodes.
func onePerNode(count int) []snapshot.Object {
	objects := []snapshot.Object{replicaSet(int32(count))}
	for i := range count {
		objects = append(objects, running(fmt.Sprintf("web-%d", i), fmt.Sprintf("n%d", i), owner("ReplicaSet", "web")))
	}
	return objects
}

func TestWaves(t *testing.T) {
	auto := plan.Options{AutoWaves: true}
	tests := map[string]struct {
		opts    plan.Options
		nodes   string
		objects []snapshot.Object
		want    [][]string
		short   []string
	}{
		"without waves all is one, and nothing is short": {
			nodes: "n1 n0", objects: append(nodes(2), onePerNode(2)...), want: [][]string{{"n1", "n0"}},
		},
		"evenly, in order": {
			opts: plan.Options{Waves: 2}, nodes: "n2 n1 n0", objects: nodes(4), want: [][]string{{"n2"}, {"n1", "n0"}},
		},
		"no more waves than nodes": {
			opts: plan.Options{Waves: 9}, nodes: "n0 n1", objects: nodes(4), want: [][]string{{"n0"}, {"n1"}},
		},
		"as they are given": {
			opts: plan.Options{Split: [][]string{{"n1", "n3"}, {"n7"}, {"n0"}}, Waves: 9}, nodes: "n0 n1 n3", objects: nodes(4), want: [][]string{{"n1", "n3"}, {"n0"}},
		},
		"one when all fits": {
			opts: auto, nodes: "n0 n1", objects: append(nodes(3), onePerNode(2)...), want: [][]string{{"n0", "n1"}},
		},
		"as many as a budget asks for": {
			opts: auto, nodes: "n0 n1 n2", objects: append(nodes(6), append(onePerNode(3), budget("web", 1))...), want: [][]string{{"n0"}, {"n1"}, {"n2"}},
		},
		"a node without pods joins the first": {
			opts: auto, nodes: "n0 n1 n4", objects: append(nodes(6), append(onePerNode(2), budget("web", 1))...), want: [][]string{{"n0", "n4"}, {"n1"}},
		},
		"what has no home comes last": {
			opts: auto, nodes: "n0 n1", objects: append(nodes(2), onePerNode(2)...), want: [][]string{{"n0"}, {"n1"}},
			short: []string{"2 n1: pod ns/web-0, ns/web-1 would have no node: 0/2 nodes are available: 2 node(s) had untolerated taint(s)"},
		},
		"a budget that allows none cannot be kept": {
			opts: auto, nodes: "n0 n1", objects: append(nodes(4), append(onePerNode(2), budget("web", 0))...), want: [][]string{{"n0", "n1"}},
			short: []string{"1 : PodDisruptionBudget ns/web wants 2 healthy pods and would have 0 of 2"},
		},
		"waves that were asked for may be too few": {
			opts: plan.Options{Waves: 1}, nodes: "n0 n1", objects: append(nodes(4), append(onePerNode(2), budget("web", 1))...), want: [][]string{{"n0", "n1"}},
			short: []string{"1 : PodDisruptionBudget ns/web wants 1 healthy pods and would have 0 of 2"},
		},
		"a node for which others would be lost comes last": {
			opts: auto, nodes: "n2 n0", objects: append(nodes(3), running("a", "n1"), running("b", "n1"), running("vip", "n0", owner("PyTorchJob", "vip"), priority(10), cpu("2"))),
			want:  [][]string{{"n2"}, {"n0"}},
			short: []string{"2 : pod ns/a, ns/b would be lost: nothing replaces what has no controller"},
		},
		"a bare pod is lost in whatever wave": {
			opts: auto, nodes: "n0 n1", objects: append(nodes(3), running("a", "n1")), want: [][]string{{"n0", "n1"}},
			short: []string{"1 n1: pod ns/a would be lost: nothing replaces what has no controller"},
		},
		"a bare pod that has run to its end is not lost": {
			opts: auto, nodes: "n0 n1", objects: append(nodes(3), running("a", "n1", func(b *build.PodBuilder) { b.Phase(corev1.PodSucceeded) })), want: [][]string{{"n0", "n1"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := planned(t, test.opts, test.nodes, "k=v:NoExecute", test.objects...)
			if diff := cmp.Diff(test.want, p.Waves); diff != "" {
				t.Error("waves (-want +got):\n" + diff)
			}
			var short []string
			for _, s := range p.Short {
				short = append(short, fmt.Sprintf("%d %s: %s", s.Wave, s.Node, s.Reason))
			}
			if diff := cmp.Diff(test.short, short, cmpopts.EquateEmpty()); diff != "" {
				t.Error("short (-want +got):\n" + diff)
			}
			for _, node := range p.Nodes {
				if !slices.Contains(p.Waves[node.Wave-1], node.Name) {
					t.Errorf("node %s is said to be in wave %d of %v", node.Name, node.Wave, p.Waves)
				}
			}
		})
	}
}

func TestAgain(t *testing.T) {
	objects := append(nodes(3), replicaSet(1), running("a", "n0", owner("ReplicaSet", "web")))
	objects = append(objects, running("full", "n2"), running("fuller", "n2"))
	p := planned(t, plan.Options{Waves: 2}, "n0 n1", "k=v:NoExecute", objects...)
	want := []string{"a n0 -> n1", "a n1 again -> pending"}
	if diff := cmp.Diff(want, briefly(p)); diff != "" {
		t.Error("evictions (-want +got):\n" + diff)
	}
	if p.Evictions[0].UID == "" || p.Evictions[1].UID != "" || p.Evictions[1].Wave != 2 {
		t.Errorf("the second eviction is of a pod that does not exist yet, in wave 2; got %+v", p.Evictions)
	}
}

// fleet is a generated cluster, as far as the checker counts: cpus, one app's pods, and
// who tolerates the taint.
type fleet struct {
	room      map[string]int
	on        map[string]string // a pod's node
	apps      map[string]*app
	objects   []snapshot.Object
	named     []string
	toTaint   []string
	tainted   map[string]bool
	podsOfApp map[string][]string
}

// app is a ReplicaSet of pods of so many cpus. They bear the taint for the seconds given:
// not at all at 0, for ever at -1.
type app struct {
	name                          string
	cpu, replicas, maxUnavailable int
	bears                         int64
	budgeted                      bool
}

func drawFleet(t *rapid.T) *fleet {
	f := &fleet{room: map[string]int{}, on: map[string]string{}, apps: map[string]*app{}, tainted: map[string]bool{}, podsOfApp: map[string][]string{}}
	for i := range rapid.IntRange(2, 7).Draw(t, "nodes") {
		name := fmt.Sprintf("n%d", i)
		f.named = append(f.named, name)
		f.room[name] = rapid.IntRange(1, 5).Draw(t, "cpus of "+name)
		f.objects = append(f.objects, build.Node(name).Capacity(fmt.Sprintf("cpu=%d", f.room[name])).Obj())
		if rapid.Bool().Draw(t, "taint "+name) {
			f.toTaint = append(f.toTaint, name)
		}
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "apps") {
		f.drawApp(t, fmt.Sprintf("app%d", i))
	}
	return f
}

func (f *fleet) drawApp(t *rapid.T, name string) {
	a := &app{
		name: name, cpu: rapid.IntRange(1, 2).Draw(t, "cpus of "+name), bears: rapid.SampledFrom([]int64{0, 0, 0, 5, -1}).Draw(t, name+" bears"),
		budgeted: rapid.Bool().Draw(t, name+" has a budget"), maxUnavailable: rapid.IntRange(0, 2).Draw(t, name+" may lack"),
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "pods of "+name) {
		node := rapid.SampledFrom(f.named).Draw(t, "node")
		if f.room[node] < a.cpu {
			continue
		}
		pod := fmt.Sprintf("%s-%d", name, i)
		f.room[node] -= a.cpu
		f.on[pod] = node
		f.podsOfApp[name] = append(f.podsOfApp[name], pod)
		a.replicas++
		f.objects = append(f.objects, running(pod, node, owner("ReplicaSet", name), func(b *build.PodBuilder) {
			b.Request(fmt.Sprintf("cpu=%d", a.cpu)).Label("app", name)
			if a.bears != 0 {
				tolerating(a.bears)(b)
			}
		}))
	}
	f.apps[name] = a
	f.objects = append(f.objects, build.ReplicaSet("ns", name, "", int32(a.replicas), build.Pod("ns", "").Request(fmt.Sprintf("cpu=%d", a.cpu)).Label("app", name)))
	if a.budgeted {
		f.objects = append(f.objects, budget(name, a.maxUnavailable))
	}
}

// replay follows one wave of a plan by the counts alone, and returns what is not sound
// about it. What the plan says that cannot be is an error.
func (f *fleet) replay(wave []string, evictions []report.Eviction) (unsound []string, err error) {
	for _, node := range wave {
		f.tainted[node] = true
	}
	gone := map[string]int{}
	for name, a := range f.apps {
		for _, pod := range f.podsOfApp[name] {
			evicted := slices.ContainsFunc(evictions, func(e report.Eviction) bool { return e.Name == pod })
			if leaves := slices.Contains(wave, f.on[pod]) && a.bears >= 0; leaves != evicted {
				return nil, fmt.Errorf("pod %s on node %s: evicted is %t, want %t", pod, f.on[pod], evicted, leaves)
			}
			if evicted {
				gone[name]++
				f.room[f.on[pod]] += a.cpu
			}
		}
		left := 0
		for _, pod := range f.podsOfApp[name] {
			if f.on[pod] != "" {
				left++
			}
		}
		if a.budgeted && gone[name] > 0 && left-gone[name] < a.replicas-a.maxUnavailable {
			unsound = append(unsound, "PodDisruptionBudget ns/"+name)
		}
	}
	for _, e := range evictions {
		a := f.apps[e.Workload[len("ReplicaSet/"):]]
		f.on[e.Name] = e.NewNode
		if e.NewNode == "" {
			unsound = append(unsound, "ns/"+e.Name)
			continue
		}
		f.room[e.NewNode] -= a.cpu
		if f.tainted[e.NewNode] && a.bears == 0 {
			return nil, fmt.Errorf("pod %s is to go to node %s, whose taint it does not tolerate", e.Name, e.NewNode)
		}
		if f.tainted[e.NewNode] && a.bears > 0 {
			unsound = append(unsound, "ns/"+e.Name)
		}
	}
	for node, room := range f.room {
		if room < 0 {
			return nil, fmt.Errorf("node %s has %d cpus too few", node, -room)
		}
	}
	return unsound, nil
}

// In every wave all displaced pods have homes and no budget goes below what it asks
// for, or the plan says what is short.
func TestAutoWavesAreSoundOrSayWhyNot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := drawFleet(rt)
		if len(f.toTaint) == 0 {
			rt.Skip("nothing to taint")
		}
		p := planned(t, plan.Options{AutoWaves: true}, strings.Join(f.toTaint, " "), "k=v:NoExecute", f.objects...)
		if diff := cmp.Diff(f.toTaint, slices.Sorted(slices.Values(slices.Concat(p.Waves...)))); diff != "" {
			rt.Fatal("every node is in one wave (-want +got):\n" + diff)
		}
		if diff := cmp.Diff(p, planned(t, plan.Options{Split: p.Waves}, strings.Join(f.toTaint, " "), "k=v:NoExecute", f.objects...)); diff != "" {
			rt.Fatal("what was tried has left traces (-auto +the same waves):\n" + diff)
		}
		for i, wave := range p.Waves {
			var evictions []report.Eviction
			for _, e := range p.Evictions {
				if int(e.Wave) == i+1 {
					evictions = append(evictions, e)
				}
			}
			unsound, err := f.replay(wave, evictions)
			if err != nil {
				rt.Fatalf("wave %d of %v: %v", i+1, p.Waves, err)
			}
			said := ""
			for _, s := range p.Short {
				if int(s.Wave) == i+1 {
					said += s.Reason + "\n"
				}
			}
			if (len(unsound) == 0) != (said == "") {
				rt.Fatalf("wave %d of %v is not sound for %v; the plan says %q", i+1, p.Waves, unsound, said)
			}
			if i < len(p.Waves)-1 && len(unsound) > 0 {
				rt.Fatalf("wave %d of %v is not the last, and not sound for %v", i+1, p.Waves, unsound)
			}
		}
	})
}
