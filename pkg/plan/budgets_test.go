package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// readyPod is a pod of a ReplicaSet, ready so many seconds after it got its node.
func readyPod(set, name string, after int64) *build.PodBuilder {
	return build.Pod("ns", name).Label("app", set).Owner("apps/v1", "ReplicaSet", set).Node("n").With(func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions,
			condition(corev1.PodScheduled, corev1.ConditionTrue, 0), condition(corev1.PodReady, corev1.ConditionTrue, after))
	})
}

// condition is one since so many seconds after the epoch.
func condition(of corev1.PodConditionType, status corev1.ConditionStatus, after int64) corev1.PodCondition {
	return corev1.PodCondition{Type: of, Status: status, LastTransitionTime: metav1.NewTime(build.Epoch.Add(time.Duration(after) * time.Second))}
}

func notReady(pod *corev1.Pod) {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			pod.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
}

func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = &build.Epoch }

// readyPods are name-0, name-1, ... of a ReplicaSet.
func readyPods(set string, n int) []snapshot.Object {
	pods := make([]snapshot.Object, n)
	for i := range pods {
		pods[i] = readyPod(set, fmt.Sprintf("%s-%d", set, i), 10).Obj()
	}
	return pods
}

func replicas(set string, n int32) snapshot.Object {
	return build.ReplicaSet("ns", set, "", n, build.Pod("ns", "").Label("app", set))
}

// pdb asks for a number or share of the pods with the label app.
func pdb(name, app string, spec policyv1.PodDisruptionBudgetSpec) *policyv1.PodDisruptionBudget {
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	return &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: spec}
}

func minAvailable(amount string) policyv1.PodDisruptionBudgetSpec {
	return policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.Parse(amount))}
}

func maxUnavailable(amount string) policyv1.PodDisruptionBudgetSpec {
	return policyv1.PodDisruptionBudgetSpec{MaxUnavailable: new(intstr.Parse(amount))}
}

// counts are how many healthy pods each budget of a pod wants and has.
func counts(b *budgets, pod *corev1.Pod) []string {
	var texts []string
	for _, budget := range b.of(pod) {
		texts = append(texts, fmt.Sprintf("%s %d/%d", budget.Name, budget.healthy, budget.desired))
	}
	return texts
}

func TestBudgetsCountAsTheDisruptionController(t *testing.T) {
	web := readyPods("web", 5)
	deployment := func() []snapshot.Object {
		return []snapshot.Object{
			build.Deployment("ns", "top", 6, build.Pod("ns", "").Label("app", "web")),
			build.ReplicaSet("ns", "web", "top", 5, build.Pod("ns", "").Label("app", "web")),
			build.ReplicaSet("ns", "old", "top", 1, build.Pod("ns", "").Label("app", "web")),
			readyPod("old", "old-0", 1).Label("app", "web").Obj(),
		}
	}
	status := func(pdb *policyv1.PodDisruptionBudget, generation, observed int64, desired int32) *policyv1.PodDisruptionBudget {
		pdb.Generation, pdb.Status = generation, policyv1.PodDisruptionBudgetStatus{ObservedGeneration: observed, DesiredHealthy: desired}
		return pdb
	}
	every := pdb("any", "", minAvailable("2"))
	every.Spec.Selector = &metav1.LabelSelector{}
	none := pdb("none", "", minAvailable("2"))
	none.Spec.Selector = nil
	expressed := pdb("expressed", "", minAvailable("2"))
	expressed.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"web"}}}}
	cases := []struct {
		name    string
		objects []snapshot.Object
		want    []string
	}{
		{"none", nil, nil},
		{"a number", []snapshot.Object{pdb("b", "web", minAvailable("2"))}, []string{"b 5/2"}},
		{"more than there are", []snapshot.Object{pdb("b", "web", minAvailable("9"))}, []string{"b 5/9"}},
		{"a share, rounded up", []snapshot.Object{replicas("web", 5), pdb("b", "web", minAvailable("50%"))}, []string{"b 5/3"}},
		{"of what is wanted, not of what is there", []snapshot.Object{replicas("web", 10), pdb("b", "web", minAvailable("50%"))}, []string{"b 5/5"}},
		{"so many may be missing", []snapshot.Object{replicas("web", 5), pdb("b", "web", maxUnavailable("1"))}, []string{"b 5/4"}},
		{"a share may be, rounded up", []snapshot.Object{replicas("web", 5), pdb("b", "web", maxUnavailable("30%"))}, []string{"b 5/3"}},
		{"all may be", []snapshot.Object{replicas("web", 5), pdb("b", "web", maxUnavailable("9"))}, []string{"b 5/0"}},
		{"of a Deployment, once for its ReplicaSets", append(deployment(), pdb("b", "web", maxUnavailable("1"))), []string{"b 6/5"}},
		{"of two controllers", []snapshot.Object{replicas("web", 5), replicas("more", 4), readyPod("more", "more-0", 1).Label("app", "web").Obj(), pdb("b", "web", maxUnavailable("1"))}, []string{"b 6/8"}},
		{"bare pods are not expected", []snapshot.Object{replicas("web", 5), build.Pod("ns", "bare").Label("app", "web").Obj(), pdb("b", "web", maxUnavailable("1"))}, []string{"b 5/4"}},
		{"not ready, and being deleted", []snapshot.Object{
			readyPod("web", "x", 1).With(notReady).Obj(), readyPod("web", "y", 1).With(terminating).Obj(), pdb("b", "web", minAvailable("2"))}, []string{"b 5/2"}},
		{"what the controller says", []snapshot.Object{replicas("web", 5), status(pdb("b", "web", maxUnavailable("1")), 3, 3, 2)}, []string{"b 5/2"}},
		{"what it said of an earlier spec", []snapshot.Object{replicas("web", 5), status(pdb("b", "web", maxUnavailable("1")), 3, 2, 2)}, []string{"b 5/4"}},
		{"what it said, where nobody knows the scale", []snapshot.Object{status(pdb("b", "web", maxUnavailable("1")), 3, 2, 2)}, []string{"b 5/2"}},
		{"several, by name", []snapshot.Object{pdb("b", "web", minAvailable("2")), every, none, expressed, pdb("other", "db", minAvailable("2"))}, []string{"any 5/2", "b 5/2", "expressed 5/2"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := budgetsOf(build.Snapshot(append(c.objects, web...)...))
			if diff := cmp.Diff(c.want, counts(b, web[0].(*corev1.Pod))); diff != "" {
				t.Errorf("healthy/desired (-want +got):\n%s", diff)
			}
		})
	}
}

func budgetsOf(snap *snapshot.Snapshot) *budgets {
	return newBudgets(snap, owner.NewIndex(snap, workload.Default()))
}

func TestSoundAndSettle(t *testing.T) {
	lame := readyPod("web", "lame", 1).With(notReady).Obj()
	snap := build.Snapshot(append(readyPods("web", 5), lame, replicas("web", 5), pdb("b", "web", minAvailable("4")), pdb("wide", "web", minAvailable("2")))...)
	leaves := func(name string) *move {
		pod := snap.Pod("ns", name)
		return &move{pod: pod, wave: 1, fit: snapshot.Healthy(pod), replacement: build.Pod("ns", name+"-new").Label("app", "web").Obj()}
	}
	sound := func(b *budgets, want []string, wave ...*move) {
		t.Helper()
		if diff := cmp.Diff(want, b.sound(wave)); diff != "" {
			t.Errorf("what breaks (-want +got):\n%s", diff)
		}
	}
	b := budgetsOf(snap)
	first, second, third, fourth := leaves("web-0"), leaves("web-1"), leaves("web-2"), leaves("web-3")
	idle := leaves("lame")
	sound(b, nil)
	sound(b, nil, first)
	sound(b, nil, first, first, idle)
	sound(b, []string{"PodDisruptionBudget ns/b wants 4 healthy pods and would have 3 of 5"}, first, second)
	sound(b, []string{"PodDisruptionBudget ns/b wants 4 healthy pods and would have 1 of 5", "PodDisruptionBudget ns/wide wants 2 healthy pods and would have 1 of 5"},
		first, second, third, fourth)

	came := func(moves ...*move) (arrivals []*arrival) {
		for _, m := range moves {
			arrivals = append(arrivals, &arrival{pod: m.replacement, wave: 1})
		}
		return arrivals
	}
	b.advance([]*move{first, idle}, came(first, idle)) // The lame one's replacement is not counted on.
	sound(b, nil, second)
	b.advance([]*move{second}, nil)
	sound(b, []string{"PodDisruptionBudget ns/b wants 4 healthy pods and would have 3 of 4"}, third)
	sound(b, []string{"PodDisruptionBudget ns/b wants 4 healthy pods and would have 3 of 4"}, &move{pod: first.replacement})
	sound(b, nil, &move{pod: idle.replacement}, second)
	b.advance(nil, came(second)) // It gets its node in a later wave.
	sound(b, nil, third)
	waited := build.Pod("ns", "waited").Label("app", "web").Obj()
	b.advance(nil, []*arrival{{pod: waited}})
	sound(b, nil, third, &move{pod: waited})
}
