package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// course is a planner without an engine, that is told what happens.
type course struct{ *Planner }

func newCourse(objects ...snapshot.Object) course {
	snap := build.Snapshot(objects...)
	p := &Planner{snap: snap, opts: Options{StartTime: DefaultStartTime}, owners: owner.NewIndex(snap, workload.Default())}
	p.begin(nil)
	return course{p}
}

// leave lets the pod go so many seconds after the taints of a wave. What replaces it has
// its name after "new-".
func (c course) leave(name string, wave int, at int64) *move {
	pod := c.snap.Pod("ns", name)
	if pod == nil { // a replacement
		for _, m := range c.moves {
			if m.replacement != nil && m.replacement.Name == name {
				pod = m.replacement
			}
		}
	}
	m := c.move(pod, point{wave, time.Duration(at) * time.Second}, taint.Eviction{Evicted: true}, nil)
	m.replacement = pod.DeepCopy()
	m.replacement.UID += "/replacement"
	m.replacement.Name = "new-" + pod.Name
	c.moves = append(c.moves, m)
	c.replaced[m.replacement.UID] = m
	return m
}

// arrive gives a pod a node.
func (c course) arrive(pod *corev1.Pod, wave int, at int64) {
	if m := c.replaced[pod.UID]; m != nil {
		m.node = "m"
	}
	c.arrivals = append(c.arrivals, &arrival{pod: pod, node: "m", wave: wave, at: time.Duration(at) * time.Second})
}

// pass lets a pod go, and its replacement have a node at once.
func (c course) pass(name string, wave int, at int64) {
	c.arrive(c.leave(name, wave, at).replacement, wave, at)
}

func stateful(name string, grace int64) snapshot.Object {
	return readyPod("db", name, 10).With(func(pod *corev1.Pod) {
		pod.OwnerReferences[0].Kind = "StatefulSet"
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}).Obj()
}

func database(policy appsv1.PodManagementPolicyType) []snapshot.Object {
	set := build.StatefulSet("ns", "db", 3, build.Pod("ns", "").Label("app", "db"))
	set.Spec.PodManagementPolicy = policy
	return []snapshot.Object{set, stateful("db-0", 5), stateful("db-1", 20), stateful("db-2", 5)}
}

func TestWorkloadVerdicts(t *testing.T) {
	web := func(objects ...snapshot.Object) course {
		return newCourse(append(append(readyPods("web", 5), replicas("web", 5)), objects...)...)
	}
	verdict := func(v report.WorkloadVerdict) []report.WorkloadVerdict {
		v.Namespace = "ns"
		if v.Workload == "" {
			v.Workload, v.ReadyBefore, v.StartSeconds = "ReplicaSet/web", 5, 10
		}
		return []report.WorkloadVerdict{v}
	}
	cases := []struct {
		name   string
		course func() course
		want   []report.WorkloadVerdict
	}{
		{"nothing", func() course { return web() }, []report.WorkloadVerdict{}},
		{"one and back", func() course {
			c := web()
			c.pass("web-0", 1, 7)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 5, Lowest: 4, LowestAtSeconds: 7, LowestWave: 1})},
		{"one after another", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.pass("web-1", 1, 11)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 5, Lowest: 4, LowestWave: 1})},
		{"one before another is ready", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.pass("web-1", 1, 10)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 5, Lowest: 3, LowestAtSeconds: 10, LowestWave: 1})},
		{"two waves, the second the worse", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.pass("web-1", 2, 5)
			c.pass("web-2", 2, 5)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 3, ReadyAfter: 5, Lowest: 3, LowestAtSeconds: 5, LowestWave: 2})},
		{"again in the next wave", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.pass("new-web-0", 2, 0)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 5, Lowest: 4, LowestWave: 1})},
		{"again before it is ready", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.pass("new-web-0", 1, 5)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 5, Lowest: 4, LowestWave: 1})},
		{"one that never gets a home", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			c.leave("web-1", 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 4, Lowest: 3, LowestWave: 1, Pending: 1})},
		{"one that gets it when the next wave frees it", func() course {
			c := web()
			m := c.leave("web-0", 1, 0)
			c.pass("web-1", 2, 3)
			c.arrive(m.replacement, 2, 3)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 2, ReadyAfter: 5, Lowest: 3, LowestAtSeconds: 3, LowestWave: 2})},
		{"one that is not replaced", func() course {
			c := web()
			c.leave("web-0", 1, 0).replacement = nil
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 4, Lowest: 4, LowestWave: 1})},
		{"one that was not ready", func() course {
			c := web(readyPod("web", "lame", 1).With(notReady).Obj())
			c.pass("lame", 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 5, Lowest: 5})},
		{"one that waited for a node", func() course {
			c := web(build.Pod("ns", "waits").Owner("apps/v1", "ReplicaSet", "web").Obj())
			c.pass("web-0", 1, 0)
			c.arrive(c.snap.Pod("ns", "waits"), 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 6, Lowest: 4, LowestWave: 1})},
		{"one that the scheduler was about to place", func() course {
			c := web(build.Pod("ns", "waits").Owner("apps/v1", "ReplicaSet", "web").Obj())
			c.arrive(c.snap.Pod("ns", "waits"), 0, 0)
			c.pass("web-0", 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 6, Lowest: 5})},
		{"what happens before any change", func() course {
			c := web()
			c.pass("web-0", 0, 0)
			return c
		}, []report.WorkloadVerdict{}},
		{"what a failed Job deletes is not evicted", func() course {
			c := web()
			c.pass("web-0", 1, 0)
			m := c.leave("web-1", 1, 0)
			m.eviction, m.replacement = taint.Eviction{}, nil
			return c
		}, verdict(report.WorkloadVerdict{Evicted: 1, ReadyAfter: 4, Lowest: 3, LowestWave: 1})},
		{"bare", func() course {
			c := newCourse(build.Pod("ns", "bare").Node("n").Obj())
			c.leave("bare", 1, 0)
			return c
		}, []report.WorkloadVerdict{}},
		{"a static pod stays", func() course {
			c := newCourse(readyPod("n", "etcd", 1).With(func(pod *corev1.Pod) {
				pod.OwnerReferences[0].Kind = "Node"
				pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
			}).Obj())
			c.leave("etcd", 1, 0)
			return c
		}, []report.WorkloadVerdict{}},
		{"its start is not known", func() course {
			c := newCourse(readyPod("web", "web-0", -5).Obj())
			c.pass("web-0", 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Workload: "ReplicaSet/web", ReadyBefore: 1, StartSeconds: 30, Evicted: 1, ReadyAfter: 1, LowestWave: 1})},
		{"the median of its starts", func() course {
			c := newCourse(readyPod("web", "a", 300).Obj(), readyPod("web", "b", 4).Obj(), readyPod("web", "c", 6).Obj(), readyPod("web", "d", 1).With(notReady).Obj())
			c.leave("a", 1, 0)
			return c
		}, verdict(report.WorkloadVerdict{Workload: "ReplicaSet/web", ReadyBefore: 3, StartSeconds: 6, Evicted: 1, ReadyAfter: 2, Lowest: 2, LowestWave: 1, Pending: 1})},
		{"a StatefulSet's that waits for a lower one", func() course {
			c := newCourse(database(appsv1.OrderedReadyPodManagement)...)
			c.leave("db-0", 1, 0)
			m := c.leave("db-1", 1, 0)
			m.replacement, m.marks = nil, []report.Mark{report.MarkWaits}
			return c
		}, verdict(report.WorkloadVerdict{Workload: "StatefulSet/db", ReadyBefore: 3, StartSeconds: 10, Evicted: 2, ReadyAfter: 1, Lowest: 1, LowestWave: 1, Pending: 2})},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.course().verdicts().Workloads); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBudgetVerdicts is about seconds: those of the pods here are all ready 10 after
// they get a node.
func TestBudgetVerdicts(t *testing.T) {
	type outcome struct {
		Lowest, Healthy int32
		Below           int64
		Violated        bool
		By              []string
	}
	cases := []struct {
		name    string
		objects []snapshot.Object
		course  func(c course)
		want    outcome
	}{
		{"kept", nil, func(c course) {
			c.pass("web-0", 1, 0)
			c.pass("web-1", 2, 0)
		}, outcome{Lowest: 4, Healthy: 5}},
		{"two at once", nil, func(c course) {
			c.pass("web-0", 1, 0)
			c.pass("web-1", 1, 0)
			c.pass("web-2", 1, 20)
		}, outcome{Lowest: 3, Healthy: 5, Below: 10, Violated: true, By: []string{"web-1"}}},
		{"for as long as they overlap", nil, func(c course) {
			c.pass("web-0", 1, 0)
			c.pass("web-1", 1, 4)
		}, outcome{Lowest: 3, Healthy: 5, Below: 6, Violated: true, By: []string{"web-1"}}},
		{"in each of two waves", nil, func(c course) {
			for wave, names := range [][]string{{"web-0", "web-1"}, {"web-2", "web-3"}} {
				c.pass(names[0], wave+1, 0)
				c.pass(names[1], wave+1, 3)
			}
		}, outcome{Lowest: 3, Healthy: 5, Below: 14, Violated: true, By: []string{"web-1", "web-3"}}},
		{"from a wave to the next", nil, func(c course) { // The first is over after 10 s.
			m := c.leave("web-0", 1, 0)
			c.pass("web-1", 1, 0)
			c.pass("web-2", 2, 5)
			c.arrive(m.replacement, 2, 5)
		}, outcome{Lowest: 3, Healthy: 5, Below: 20, Violated: true, By: []string{"web-1", "web-2"}}},
		{"for ever", nil, func(c course) {
			c.leave("web-0", 1, 0)
			c.leave("web-1", 1, 0)
			c.pass("web-2", 1, 0)
		}, outcome{Lowest: 2, Healthy: 5, Below: -1, Violated: true, By: []string{"web-1", "web-2"}}},
		{"for ever, where it was too low before", []snapshot.Object{readyPod("web", "web-2", 1).With(notReady).Obj(), readyPod("web", "web-3", 1).With(notReady).Obj()}, func(c course) {
			c.pass("web-2", 1, 0)
		}, outcome{Lowest: 3, Healthy: 3, Below: -1}},
		{"until the one that it lacked has a node", []snapshot.Object{
			readyPod("web", "web-3", 1).With(notReady).Obj(), readyPod("web", "web-4", 1).With(notReady).Obj(),
			build.Pod("ns", "waits").Label("app", "web").Owner("apps/v1", "ReplicaSet", "web").Obj()},
			func(c course) {
				c.pass("web-3", 1, 0)
				c.arrive(c.snap.Pod("ns", "waits"), 1, 2)
			}, outcome{Lowest: 3, Healthy: 3, Below: 12}},
		{"not by what was not ready", []snapshot.Object{readyPod("web", "web-4", 1).With(notReady).Obj()}, func(c course) {
			c.pass("web-4", 1, 0)
		}, outcome{Lowest: 4, Healthy: 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			course := newCourse(append(append(readyPods("web", 5), replicas("web", 5), pdb("b", "web", minAvailable("4"))), c.objects...)...)
			c.course(course)
			verdicts := course.verdicts()
			want := []report.BudgetVerdict{{Namespace: "ns", Name: "b", Desired: 4, Healthy: c.want.Healthy, Lowest: c.want.Lowest, BelowSeconds: c.want.Below, Violated: c.want.Violated}}
			if diff := cmp.Diff(want, verdicts.Budgets); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			var by []string
			for _, m := range course.moves {
				if verdicts.Violated[m] == "b" {
					by = append(by, m.pod.Name)
				}
			}
			if diff := cmp.Diff(c.want.By, by); diff != "" {
				t.Errorf("the pods that break it (-want +got):\n%s", diff)
			}
			if w := verdicts.Workloads[0]; w.Budget != "b" || w.BelowSeconds != c.want.Below {
				t.Errorf("the workload is below budget %q for %d s", w.Budget, w.BelowSeconds)
			}
		})
	}
}

func TestTheWorstBudgetIsTheWorkloads(t *testing.T) {
	c := newCourse(append(readyPods("web", 3), pdb("a", "web", minAvailable("1")), pdb("b", "web", minAvailable("2")), pdb("c", "web", minAvailable("3")), pdb("other", "db", minAvailable("3")))...)
	c.pass("web-0", 1, 0)
	m := c.leave("web-1", 1, 5)
	verdicts := c.verdicts()
	if w := verdicts.Workloads[0]; w.Budget != "c" || w.BelowSeconds != -1 {
		t.Errorf("budget %q is below for %d s, want c for ever", w.Budget, w.BelowSeconds)
	}
	if got := verdicts.Violated[m]; got != "b" {
		t.Errorf("the second eviction breaks %q, want the first by name, b", got)
	}
	if len(verdicts.Budgets) != 3 {
		t.Errorf("verdicts on %d budgets, want those of the pods: %+v", len(verdicts.Budgets), verdicts.Budgets)
	}
}

// TestStatefulSetTakesItsTime: the pods are gone after their grace periods of 5, 20 and
// 5 s, and ready 10 s after they are made.
func TestStatefulSetTakesItsTime(t *testing.T) {
	for policy, want := range map[appsv1.PodManagementPolicyType][]int64{
		appsv1.OrderedReadyPodManagement: {15, 30, 40},
		appsv1.ParallelPodManagement:     {15, 30, 15},
	} {
		t.Run(string(policy), func(t *testing.T) {
			c := newCourse(database(policy)...)
			for _, name := range []string{"db-2", "db-0", "db-1"} {
				c.pass(name, 1, 0)
			}
			got := map[string]int64{}
			for _, s := range c.timeline(c.workloads()) {
				if s.delta > 0 {
					got[s.pod.Name] = seconds(s.at)
				}
			}
			if diff := cmp.Diff(map[string]int64{"new-db-0": want[0], "new-db-1": want[1], "new-db-2": want[2]}, got); diff != "" {
				t.Errorf("ready after (-want +got):\n%s", diff)
			}
		})
	}
}
