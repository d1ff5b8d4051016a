package quota_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// object is a workload of one-core pods with an owner, "KIND.group/uid", or none.
func object(t testing.TB, resource, uid, group, owner string, replicas int64) *workload.Workload {
	t.Helper()
	w := &workload.Workload{
		Kind: kindOf(t, resource), Namespace: "default", Name: uid, UID: types.UID(uid), ResourceVersion: "1", Group: group,
		PodSets: []workload.PodSet{{Replicas: replicas, Template: oneCore(), IsPod: resource == "pods"}},
	}
	if kind, ownerUID, ok := strings.Cut(owner, "/"); ok {
		gvk := kindOf(t, kind).GroupVersionKind()
		w.Owner = &metav1.OwnerReference{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: ownerUID, UID: types.UID(ownerUID), Controller: new(true)}
	}
	return w
}

func cores(ix *quota.Index, group string) string {
	quantity := ix.SelfUsed(newGroup(group, "", list("limits.cpu", "100")))["limits.cpu"]
	return quantity.String()
}

func TestIndexCountsTheTopmost(t *testing.T) {
	deployment := object(t, "deployments.apps", "d", "nlp", "", 3)
	replicaSet := object(t, "replicasets.apps", "rs", "nlp", "deployments.apps/d", 3)
	one := object(t, "pods", "p", "nlp", "replicasets.apps/rs", 1)
	bare := func(w *workload.Workload) *workload.Workload {
		return with(w, func(w *workload.Workload) { w.Group = "" })
	}
	tests := map[string]struct {
		objects []*workload.Workload
		want    string
	}{
		"none":                              {want: "0"},
		"the topmost of a chain":            {objects: []*workload.Workload{deployment, replicaSet, one}, want: "3"},
		"in any order":                      {objects: []*workload.Workload{one, deployment, replicaSet}, want: "3"},
		"a chain whose middle has no group": {objects: []*workload.Workload{deployment, bare(replicaSet), one}, want: "3"},
		"the topmost that has a group":      {objects: []*workload.Workload{bare(deployment), replicaSet, one}, want: "3"},
		"a pod, when no other has a group":  {objects: []*workload.Workload{bare(deployment), bare(replicaSet), one}, want: "1"},
		"a pod whose owner is gone":         {objects: []*workload.Workload{deployment, one}, want: "4"},
		"an owner that makes no such thing": {objects: []*workload.Workload{deployment, object(t, "pods", "p", "nlp", "deployments.apps/d", 1)}, want: "4"},
		"another's group": {objects: []*workload.Workload{
			with(deployment, func(w *workload.Workload) { w.Group = "vision" }), replicaSet, one,
		}, want: "0"},
		"a bare pod's pods, each by itself": {objects: []*workload.Workload{
			object(t, "pods", "p", "nlp", "", 1), object(t, "pods", "q", "nlp", "pods/p", 1), object(t, "pods", "r", "nlp", "pods/p", 1),
		}, want: "3"},
		"those of a pod whose maker has no group": {objects: []*workload.Workload{
			bare(deployment), bare(replicaSet), one, object(t, "pods", "q", "nlp", "pods/p", 1),
		}, want: "2"},
		"pods that made each other": {objects: []*workload.Workload{
			object(t, "pods", "p", "nlp", "pods/q", 1), object(t, "pods", "q", "nlp", "pods/p", 1),
		}, want: "2"},
		"a CronJob's Jobs": {objects: []*workload.Workload{
			with(object(t, "cronjobs.batch", "c", "nlp", "", 0), func(w *workload.Workload) { w.PodSets = nil }),
			object(t, "jobs.batch", "j", "nlp", "cronjobs.batch/c", 2), object(t, "jobs.batch", "k", "nlp", "cronjobs.batch/c", 1),
		}, want: "3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ix := quota.NewIndex(table)
			for _, w := range test.objects {
				ix.Put(w)
			}
			if got := cores(ix, "nlp"); got != test.want {
				t.Errorf("counted %s, want %s", got, test.want)
			}
		})
	}
}

// An owner reference to an object of a kind that makes nothing excuses nothing.
func TestIndexOwnersThatMakeNothing(t *testing.T) {
	ix := quota.NewIndex(table)
	forged := object(t, "pods", "p", "nlp", "", 1)
	forged.Owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "n", UID: "n"}
	ix.Put(forged)
	if got := cores(ix, "nlp"); got != "1" {
		t.Errorf("counted %s, want 1", got)
	}
	if charger, broken := ix.Charger(forged); charger != forged || broken {
		t.Errorf("charged as %v, broken %t", charger, broken)
	}
}

func TestIndexOwnersInACircle(t *testing.T) {
	ix := quota.NewIndex(table)
	a := object(t, "leaderworkersets.leaderworkerset.x-k8s.io", "a", "nlp", "statefulsets.apps/b", 1)
	b := object(t, "statefulsets.apps", "b", "nlp", "leaderworkersets.leaderworkerset.x-k8s.io/a", 1)
	ix.Put(a)
	ix.Put(b)
	ix.SelfUsed(newGroup("nlp", "", list("limits.cpu", "1"))) // comes to an end
}

func TestIndexChargerSaysWhatIsMissing(t *testing.T) {
	ix := quota.NewIndex(table)
	one := object(t, "pods", "p", "", "replicasets.apps/rs", 1)
	ix.Put(one)
	if charger, broken := ix.Charger(one); charger != nil || !broken {
		t.Errorf("without its ReplicaSet: %v, broken %t", charger, broken)
	}
	ix.Put(object(t, "replicasets.apps", "rs", "", "deployments.apps/d", 1))
	if charger, broken := ix.Charger(one); charger != nil || !broken {
		t.Errorf("without its Deployment: %v, broken %t", charger, broken)
	}
	ix.Put(object(t, "deployments.apps", "d", "nlp", "", 1))
	if charger, broken := ix.Charger(one); charger == nil || charger.UID != "d" || broken {
		t.Errorf("with both: %v, broken %t", charger, broken)
	}
}

func TestIndexFollowsChanges(t *testing.T) {
	ix := quota.NewIndex(table)
	ix.Put(object(t, "deployments.apps", "d", "nlp", "", 3))
	if old := ix.Put(object(t, "deployments.apps", "d", "vision", "", 4)); old == nil || old.Group != "nlp" {
		t.Errorf("replaced %v", old)
	}
	if got := cores(ix, "nlp") + " " + cores(ix, "vision"); got != "0 4" {
		t.Errorf("nlp and vision %s, want 0 4", got)
	}
	if diff := cmp.Diff([]string{"vision"}, ix.Groups()); diff != "" {
		t.Errorf("groups: -want +got:\n%s", diff)
	}
	if !ix.Counted("d") || ix.Counted("unknown") || ix.Get("unknown") != nil {
		t.Error("what is counted is not, or what is not is")
	}
	if removed := ix.Remove("d"); removed == nil || ix.Remove("d") != nil || ix.Get("d") != nil || cores(ix, "vision") != "0" {
		t.Errorf("removed %v", removed)
	}
}

func TestIndexCountsSurge(t *testing.T) {
	ix := quota.NewIndex(table)
	w := object(t, "deployments.apps", "d", "nlp", "", 4)
	w.PodSets[0].Surge = 1
	ix.Put(w)
	group := newGroup("nlp", "", list("pods", "10"))
	for policy, want := range map[stowagev1alpha1.SurgePolicy]string{"": "4", stowagev1alpha1.SurgeIgnore: "4", stowagev1alpha1.SurgeCount: "5"} {
		group.Spec.Surge = policy
		if got := ix.SelfUsed(group)["pods"]; got.String() != want {
			t.Errorf("surge %q: %s pods, want %s", policy, &got, want)
		}
	}
}

func TestIndexFollowsNodes(t *testing.T) {
	ix := quota.NewIndex(table)
	node := func(name string, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Taints: taints}}
	}
	if ix.PutNode(node("a")) {
		t.Error("a node changes a charge where there is no workload")
	}
	w := object(t, "daemonsets.apps", "ds", "nlp", "", 0)
	w.PodSets[0].PerNode = true
	ix.Put(w)
	expect := func(what, want string) {
		t.Helper()
		if got := cores(ix, "nlp"); got != want {
			t.Errorf("%s: %s cores, want %s", what, got, want)
		}
	}
	expect("one node", "1")
	if !ix.PutNode(node("b")) {
		t.Error("a node more changes no charge")
	}
	expect("two nodes", "2")
	if ix.PutNode(node("b")) {
		t.Error("a node that did not change changes a charge")
	}
	if !ix.PutNode(node("b", corev1.Taint{Key: "x", Effect: corev1.TaintEffectNoSchedule})) {
		t.Error("a taint changes no charge")
	}
	expect("one of them tainted", "1")
	ix.RemoveNode("a")
	expect("the other one gone", "0")
	if nodes := ix.Nodes(); len(nodes) != 1 || nodes[0].Name != "b" {
		t.Errorf("nodes %v", nodes)
	}
}

func TestIndexLists(t *testing.T) {
	ix := quota.NewIndex(table)
	ix.Put(object(t, "statefulsets.apps", "b", "nlp", "", 1))
	ix.Put(object(t, "deployments.apps", "z", "nlp", "", 2))
	ix.Put(object(t, "deployments.apps", "a", "nlp", "", 3))
	ix.Put(object(t, "replicasets.apps", "rs", "nlp", "deployments.apps/a", 3))
	ix.Put(object(t, "deployments.apps", "other", "vision", "", 3))
	var got []string
	for _, charged := range ix.Workloads(newGroup("nlp", "", list("limits.cpu", "10"))) {
		quantity := charged.Charge["limits.cpu"]
		got = append(got, charged.String()+" "+quantity.String())
	}
	if diff := cmp.Diff([]string{"deployment.apps/a 3", "deployment.apps/z 2", "statefulset.apps/b 1"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if made := ix.Made("a"); len(made) != 1 || made[0].UID != "rs" {
		t.Errorf("made by a: %v", made)
	}
}
