package storm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// millicores is what so many thousandths of a core in so many pods are.
func millicores(cpu, pods int64) amounts { return amounts{cpu, 0, 0, pods} }

// madeBy is the reference to a controller whose UID is its name.
func madeBy(kind, name string) *metav1.OwnerReference {
	return &metav1.OwnerReference{APIVersion: apiVersions[kind], Kind: kindNames[kind], Name: name, UID: types.UID(name), Controller: new(true)}
}

// TestCheckerOfPods feeds the checker logs of pods by hand.
func TestCheckerOfPods(t *testing.T) {
	put := func(s standing) change { return change{key: s.kind + "/x/" + s.name, standing: &s} }
	gone := func(kind, name string) change { return change{key: kind + "/x/" + name} }
	group := func(used int64, over bool) change {
		return change{key: groupsKey + "a", group: &ledger{hard: millicores(4000, 100), used: millicores(used, 100), over: over}}
	}
	web := func(replicas, surge, cpu int64) change {
		return put(standing{root: "web", kind: statefulSets, name: "web", uid: "web", group: "a", replicas: replicas, surge: surge, template: millicores(cpu, 1)})
	}
	pod := func(name string, cpu int64, changes ...func(*standing)) change {
		s := standing{root: "web", kind: pods, name: name, group: "a", controller: madeBy(statefulSets, "web"), template: millicores(cpu, 1)}
		for _, change := range changes {
			change(&s)
		}
		return put(s)
	}
	dying := func(s *standing) { s.ending = true }
	free := func(s *standing) { s.controller = nil }
	done := func(s *standing) { s.ended = true }
	begin := time.Now()
	leads := func(from, to int) (log []change) {
		for second := from; second <= to; second++ {
			log = append(log, change{key: leaseKey, lease: &lease{holder: "m", renewed: begin.Add(time.Duration(second) * time.Second)}})
		}
		return log
	}
	type counts struct {
		lived, untold int
		excused       string // "reason: n", those that are not 0
	}
	tests := []struct {
		name string
		log  [][]change
		want counts
	}{
		{"within", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000)}}, counts{}},
		{"more than it declares", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000)}}, counts{1, 0, ""}},
		{"surge is forgiven", [][]change{{group(4000, false), web(2, 1, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000)}}, counts{}},
		{"no more than that", [][]change{{group(4000, false), web(2, 1, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000), pod("4", 2000)}}, counts{1, 0, ""}},
		{"nobody lends surge to others", [][]change{{
			group(4000, false), put(standing{root: "idle", kind: deployments, name: "idle", group: "a", replicas: 1, surge: 1, template: millicores(2000, 1)}),
			web(2, 0, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000),
		}}, counts{1, 0, ""}},
		{"surge of a larger rollout", [][]change{{
			group(6000, true), web(2, 1, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000), web(0, 0, 2000),
		}}, counts{0, 0, "surge of before: 1"}},
		{"ended pods are none", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000, done), pod("3", 2000)}}, counts{}},
		{"replaced", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000, dying), pod("3", 2000)}}, counts{0, 0, "pods being deleted: 1"}},
		{"taken out", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000, free), pod("3", 2000)}}, counts{0, 0, "let go by a controller: 1"}},
		{"left by what is gone", [][]change{{group(4000, false), pod("1", 2000), pod("2", 3000)}}, counts{0, 0, "let go by a controller: 1"}},
		{"adopted", [][]change{{
			group(4000, false), web(2, 0, 2000), pod("1", 2000), pod("2", 2000), pod("3", 2000, func(s *standing) { s.bare = true }),
		}}, counts{0, 0, "adopted: 1"}},
		{"of an older template", [][]change{{group(100, false), web(10, 0, 10), pod("1", 4000), pod("2", 4000)}}, counts{0, 0, "of an older template: 1"}},
		{"a forged owner takes nothing out", [][]change{{
			group(4000, false), pod("own", 5000, func(s *standing) { s.root = "own" }),
		}}, counts{1, 0, ""}},
		{"a pod is its root's group's", [][]change{{group(4000, false), web(2, 0, 2000), pod("1", 5000, func(s *standing) { s.group = "b" })}}, counts{0, 0, "of an older template: 1"}},
		{"gone", [][]change{{group(4000, false), web(1, 0, 2000), pod("1", 2000), gone(pods, "1"), pod("2", 2000), gone(statefulSets, "web"), pod("3", 2000)}}, counts{}},

		{"older, and the ledger is silent", [][]change{{group(100, false), web(10, 0, 10), pod("1", 4000), pod("2", 4000)}, leads(0, 12)}, counts{0, 1, "of an older template: 14"}},
		{"the ledger tells in time", [][]change{{group(100, false), web(10, 0, 10), pod("1", 4000), pod("2", 4000)}, leads(0, 9), {group(8000, true)}, leads(10, 20)}, counts{0, 0, "of an older template: 23"}},
		{"used, and no condition", [][]change{{group(8000, false), web(10, 0, 10), pod("1", 4000), pod("2", 4000)}, leads(0, 12)}, counts{0, 1, "of an older template: 14"}},
		{"within hard, and not in the ledger", [][]change{{group(1000, false), web(1, 0, 2000), pod("1", 2000)}, leads(0, 12)}, counts{0, 1, ""}},
		{"nobody leads", [][]change{{group(1000, false), web(1, 0, 2000), pod("1", 2000)}, leads(0, 6), leads(30, 36), leads(60, 66)}, counts{0, 0, ""}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newChecker()
			for _, log := range tc.log {
				for _, change := range log {
					c.apply(change)
				}
			}
			var excused []string
			for r, n := range c.excused {
				if n > 0 {
					excused = append(excused, fmt.Sprintf("%s: %d", reason(r), n))
				}
			}
			if got := (counts{c.lived, c.untold, strings.Join(excused, ", ")}); got != tc.want {
				t.Errorf("%+v, want %+v:\n%s", got, tc.want, strings.Join(c.findings, "\n"))
			}
		})
	}
}

// TestChargeOf: what is being deleted and waits for its finalizers makes no pods; a pod runs until it is gone.
func TestChargeOf(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	set := newReplicaSet(rng, "web", map[string]string{groupLabel: "a"})
	set.Spec.Replicas = ptr.To[int32](2)
	pod := newPod(rng, "one", map[string]string{groupLabel: "a"})
	for name, tc := range map[string]struct {
		object         runtime.Object
		meta           *metav1.ObjectMeta
		before, during int64
	}{
		"ReplicaSet": {set, &set.ObjectMeta, 2, 0},
		"Pod":        {pod, &pod.ObjectMeta, 1, 1},
	} {
		for _, want := range []int64{tc.before, tc.during} {
			c, err := chargeOf(tc.object)
			if err != nil || c.group != "a" || c.amounts[3] != want {
				t.Errorf("%s, being deleted %t: %+v, %v; want %d pods", name, tc.meta.DeletionTimestamp != nil, c, err, want)
			}
			tc.meta.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
	}
}

func with(s standing, change func(*standing)) standing {
	change(&s)
	return s
}

// TestCharged: what a ledger is to say is the larger of what is declared, at the price of what lives, and what lives.
func TestCharged(t *testing.T) {
	web := standing{root: "web", kind: deployments, name: "web", uid: "web", group: "a", replicas: 3, surge: 1, template: millicores(10, 1)}
	set := standing{root: "web", kind: replicaSets, name: "web-1", uid: "web-1", group: "a", controller: madeBy(deployments, "web"), replicas: 1, template: millicores(400, 1)}
	idle := set
	idle.replicas = 0
	pod := func(name string, controller *metav1.OwnerReference) standing {
		return standing{root: "web", kind: pods, name: name, group: "b", controller: controller, template: millicores(400, 1)}
	}
	of := func(change func(*metav1.OwnerReference)) *metav1.OwnerReference {
		ref := madeBy(replicaSets, "web-1")
		change(ref)
		return ref
	}
	right := madeBy(replicaSets, "web-1")
	tests := []struct {
		name    string
		objects []standing
		a, b    amounts
	}{
		{"declared", []standing{web}, millicores(30, 3), amounts{}},
		{"an older template that makes pods", []standing{web, set}, millicores(1200, 3), amounts{}},
		{"one that is yet to be scaled down", []standing{with(web, func(s *standing) { s.replicas, s.surge = 0, 0 }), with(set, func(s *standing) { s.replicas = 2 }), pod("1", right)}, millicores(800, 2), amounts{}},
		{"one that makes none", []standing{web, idle}, millicores(30, 3), amounts{}},
		{"a pod of it", []standing{web, idle, pod("1", right)}, millicores(1200, 3), amounts{}},
		{"let go", []standing{web, idle, pod("1", nil)}, millicores(30, 3), millicores(400, 1)},
		{"more than declared", []standing{web, idle, pod("1", right), pod("2", right), pod("3", right), pod("4", right), pod("5", right)}, millicores(1600, 4), amounts{}},
		{"an orphaned ReplicaSet", []standing{set, pod("1", right)}, millicores(400, 1), amounts{}},
		{"orphaned pods", []standing{pod("1", right), pod("2", nil)}, amounts{}, millicores(800, 2)},
		{"another version", []standing{web, idle, pod("1", of(func(r *metav1.OwnerReference) { r.APIVersion = "apps/v9" }))}, millicores(1200, 3), amounts{}},
		{"another API group", []standing{web, idle, pod("1", of(func(r *metav1.OwnerReference) { r.APIVersion = "v9" }))}, millicores(30, 3), millicores(400, 1)},
		{"another kind", []standing{web, idle, pod("1", of(func(r *metav1.OwnerReference) { r.Kind = "Deployment" }))}, millicores(30, 3), millicores(400, 1)},
		{"another name", []standing{web, idle, pod("1", of(func(r *metav1.OwnerReference) { r.Name = "nobody" }))}, millicores(30, 3), millicores(400, 1)},
		{"another UID", []standing{web, idle, pod("1", of(func(r *metav1.OwnerReference) { r.UID = "web-2" }))}, millicores(30, 3), millicores(400, 1)},
		{"what makes no pods", []standing{web, idle, pod("1", madeBy(deployments, "web"))}, millicores(30, 3), millicores(400, 1)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newChecker()
			for _, s := range tc.objects {
				c.apply(change{key: s.kind + "/x/" + s.name, standing: &s})
			}
			if a, b := c.group("a").living.charge, c.group("b").living.charge; a != tc.a || b != tc.b {
				t.Errorf("a is charged %v, b %v, want %v, %v", a, b, tc.a, tc.b)
			}
		})
	}
}
