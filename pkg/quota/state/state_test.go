package state_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// newState is the state of a cluster of these objects, an hour after they were made.
func newState(objects ...snapshot.Object) *state.State {
	snap := build.Snapshot(objects...)
	snap.TakenAt = metav1.NewTime(build.Epoch.Add(time.Hour))
	return state.New(snap, workload.Default())
}

// tie labels an object with its group.
func tie[T metav1.Object](object T, group string) T {
	object.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: group})
	return object
}

// pod is a pod that may use so much.
func pod(name, limits string) *build.PodBuilder { return build.Pod("ns", name).Limit(limits) }

// text is a list as strings, to be compared and read.
func text(list corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for key, quantity := range list {
		out[string(key)] = quantity.String()
	}
	return out
}

// equal compares a value with the one wanted.
func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// web is a Deployment with its ReplicaSet and a pod, all tied to group a.
func web() []snapshot.Object {
	made := pod("web-1-x", "cpu=1").Owner("apps/v1", "ReplicaSet", "web-1").Node("node0").Obj()
	return []snapshot.Object{
		tie(build.Deployment("ns", "web", 3, pod("web", "cpu=1")), "a"),
		tie(build.ReplicaSet("ns", "web-1", "web", 3, pod("web", "cpu=1")), "a"),
		tie(made, "a"),
	}
}

func TestWhatIsMadeIsChargedOnce(t *testing.T) {
	group := build.BizGroup("a", "").Hard("limits.cpu=10,pods=10").Obj()
	s := newState(append(web(), group)...)
	equal(t, "a's own use", map[string]string{"limits.cpu": "3", "pods": "3", "requests.cpu": "3"}, text(s.Workloads.SelfUsed(group)))
}

func TestDaemonSetsAreChargedByNodes(t *testing.T) {
	group := build.BizGroup("a", "").Hard("pods=10").Obj()
	nodes := build.Nodes(4, "node", func(*build.NodeBuilder) {})
	s := newState(append(nodes, tie(build.DaemonSet("ns", "log", pod("log", "cpu=1")), "a"), group)...)
	equal(t, "a's pods", "4", text(s.Workloads.SelfUsed(group))["pods"])
}

func TestHandWrittenWorkloadsWithoutUID(t *testing.T) {
	group := build.BizGroup("a", "").Hard("pods=10").Obj()
	deployment, job := tie(build.Deployment("ns", "x", 1, pod("x", "cpu=1")), "a"), tie(build.Job("ns", "x", 2, 2, pod("x", "cpu=1")), "a")
	deployment.UID, job.UID = "", ""
	s := newState(deployment, job, group)
	equal(t, "a's pods", "3", text(s.Workloads.SelfUsed(group))["pods"])
}

// TestUnread keeps what cannot be read apart, as a value.
func TestUnread(t *testing.T) {
	broken := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
		"metadata": map[string]any{"namespace": "ns", "name": "ocr"},
		"spec":     map[string]any{"replicas": "many"},
	}}
	s := newState(tie(broken, "a"), build.BizGroup("a", "").Hard("pods=10").Obj())
	if len(s.Unread) != 1 {
		t.Fatalf("expected one workload that cannot be read, found %v", s.Unread)
	}
	equal(t, "the workload", "rollout.argoproj.io/ocr", s.Unread[0].Workload.String())
	if err := s.Unread[0].Err; err == nil || strings.Contains(err.Error(), "ocr") {
		t.Errorf("expected an error that does not name the workload, found %v", err)
	}
	equal(t, "the workloads counted", 0, len(s.Workloads.Groups()))
}

func TestResources(t *testing.T) {
	known, further := state.Resources(workload.Default())
	for _, want := range []string{"bizgroupresourcequotas", "pods", "deployments", "cronjobs"} {
		if !slices.Contains(known, want) {
			t.Errorf("expected %s among %v", want, known)
		}
	}
	labels := map[string]string{}
	for _, kind := range further {
		labels[kind.GroupResource()] = kind.Label
	}
	equal(t, "the label of rollouts", stowagev1alpha1.GroupLabel, labels["rollouts.argoproj.io"])
	if _, ok := labels["deployments.apps"]; ok {
		t.Error("deployments are known, and need no further kind")
	}
}

func TestGroupNotFound(t *testing.T) {
	for name, test := range map[string]struct {
		state *state.State
		want  string
	}{
		"a slip":    {newState(build.BizGroup("vision", "").Obj()), `bizgroupresourcequotas.stowage.dev "visoin" not found; did you mean "vision"?`},
		"no groups": {newState(), `bizgroupresourcequotas.stowage.dev "visoin" not found: test has no business groups`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.state.Group("visoin")
			if err == nil {
				t.Fatal("expected an error")
			}
			equal(t, "the error", test.want, err.Error())
		})
	}
}

func TestUncounted(t *testing.T) {
	counted := func(group *stowagev1alpha1.BizGroupResourceQuota) {
		group.Status.LastReconcileTime = &metav1.MicroTime{Time: build.Epoch.Time}
	}
	changed := func(group *stowagev1alpha1.BizGroupResourceQuota) { counted(group); group.Generation = 2 }
	s := newState(build.BizGroup("counted", "").With(counted).Obj(), build.BizGroup("changed", "").With(changed).Obj(), build.BizGroup("new", "").Obj())
	var names []string
	for _, group := range s.Uncounted() {
		names = append(names, group.Name)
	}
	equal(t, "the groups", []string{"changed", "new"}, names)
}

func TestKnowsPods(t *testing.T) {
	for name, test := range map[string]struct {
		snap *snapshot.Snapshot
		want bool
	}{
		"a dump with pods":            {build.Snapshot(pod("p", "cpu=1").Obj()), true},
		"a dump without pods":         {build.Snapshot(), false},
		"a cluster without pods":      {&snapshot.Snapshot{ServerVersion: "v1.37.1"}, true},
		"a cluster that forbids pods": {&snapshot.Snapshot{ServerVersion: "v1.37.1", Missing: []snapshot.Missing{{Resource: "pods", Reason: "forbidden"}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "known", test.want, state.New(test.snap, workload.Default()).KnowsPods())
		})
	}
}

// amountsOf is what each workload charges, by name.
func amountsOf(charged []quota.Charged) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, c := range charged {
		out[c.Namespace+"/"+c.String()] = text(c.Charge)
	}
	return out
}
