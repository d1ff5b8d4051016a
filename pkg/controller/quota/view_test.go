package quota

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// table is the default table of kinds, which does not change.
var table = workload.Default()

// noon is when these tests begin.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// head is the newest version when the views of these tests began to watch.
const head = 100

// feed is a view and the doors into it.
type feed struct {
	t       testing.TB
	view    *View
	clock   *clocktesting.FakePassiveClock
	stores  map[string]*store
	version int
}

// newFeed returns a view that has listed every kind it knows, and found nothing.
func newFeed(t testing.TB) *feed {
	f := emptyFeed(t)
	for _, s := range f.stores {
		f.list(s.resource)
	}
	return f
}

// emptyFeed returns a view that has listed nothing yet.
func emptyFeed(t testing.TB) *feed {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(noon)
	view := newView(table, clock, logr.Discard())
	f := &feed{t: t, view: view, clock: clock, version: head, stores: map[string]*store{
		quota.GroupResource: view.groupStore(), "nodes": view.nodeStore(), "limitranges": view.limitsStore(), "runtimeclasses.node.k8s.io": view.classesStore(),
	}}
	for _, kind := range table.All() {
		switch resource := kind.GroupResource().String(); resource {
		case "deployments.apps", "replicasets.apps", "daemonsets.apps", "rollouts.argoproj.io", "pods":
			f.stores[resource] = view.workloadStore(kind)
		}
	}
	for resource := range f.stores {
		view.begin(resource, strconv.Itoa(head))
	}
	return f
}

// storeOf is the door for an object.
func (f *feed) storeOf(obj client.Object) *store {
	f.t.Helper()
	resource := ""
	switch obj := obj.(type) {
	case *quota.Group:
		resource = quota.GroupResource
	case *corev1.Node:
		resource = "nodes"
	case *corev1.Pod:
		resource = "pods"
	case *appsv1.Deployment:
		resource = "deployments.apps"
	case *appsv1.ReplicaSet:
		resource = "replicasets.apps"
	case *appsv1.DaemonSet:
		resource = "daemonsets.apps"
	case *unstructured.Unstructured:
		resource = strings.ToLower(obj.GetKind()) + "s." + obj.GroupVersionKind().Group
	}
	if f.stores[resource] == nil {
		f.t.Fatalf("no store for %T", obj)
	}
	return f.stores[resource]
}

// put lets objects be created or changed, each at a version of its own.
func (f *feed) put(objects ...client.Object) {
	f.t.Helper()
	for _, obj := range objects {
		f.version++
		obj.SetResourceVersion(strconv.Itoa(f.version))
		if err := f.storeOf(obj).Update(obj.DeepCopyObject()); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *feed) remove(objects ...client.Object) {
	f.t.Helper()
	for _, obj := range objects {
		f.version++
		obj.SetResourceVersion(strconv.Itoa(f.version))
		if err := f.storeOf(obj).Delete(obj.DeepCopyObject()); err != nil {
			f.t.Fatal(err)
		}
	}
}

// list lets a kind be listed as of now.
func (f *feed) list(resource string, objects ...client.Object) {
	f.t.Helper()
	items := make([]any, len(objects))
	for i, obj := range objects {
		if obj.GetResourceVersion() == "" {
			obj.SetResourceVersion("50")
		}
		items[i] = obj.DeepCopyObject()
	}
	if err := f.stores[resource].Replace(items, strconv.Itoa(f.version)); err != nil {
		f.t.Fatal(err)
	}
}

// at sets the clock to so long after noon.
func (f *feed) at(after time.Duration) { f.clock.SetTime(noon.Add(after)) }

// count counts a group that must not be behind, and lets the view see that.
func (f *feed) count(group *quota.Group) *quota.Group {
	f.t.Helper()
	counted, _, behind := f.view.Count(group, nil)
	if behind != "" {
		f.t.Fatalf("behind in %s", behind)
	}
	f.put(counted)
	return counted
}

// used is what the group's own objects use: cores, and core-hours.
func used(group *quota.Group) string {
	cores, hours := group.Status.SelfUsed["limits.cpu"], group.Status.SelfUsed["cash/limits.cpu"]
	return fmt.Sprintf("%s cores, %s hours", &cores, &hours)
}

// expect counts the group and compares.
func (f *feed) expect(what string, group *quota.Group, want string) *quota.Group {
	f.t.Helper()
	counted := f.count(group)
	if got := used(counted); got != want {
		f.t.Errorf("%s: group %s: %s, want %s", what, group.Name, got, want)
	}
	return counted
}

func cpus(n string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(n)}
}

// group is one that counts cores and their hours, last counted at noon.
func group(name string) *quota.Group {
	g := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)}}
	g.Spec.Hard = corev1.ResourceList{"limits.cpu": resource.MustParse("100"), "cash/limits.cpu": resource.MustParse("1000")}
	last := metav1.NewMicroTime(noon)
	g.Status.LastReconcileTime = &last
	return g
}

func identity(name, group string, owner client.Object) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}
	if group != "" {
		m.Labels = map[string]string{stowagev1alpha1.GroupLabel: group}
	}
	switch owner.(type) {
	case *appsv1.Deployment:
		m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	case *appsv1.ReplicaSet:
		m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	}
	return m
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Limits: cpus("1")}}}}
}

func newDeployment(name, group string, replicas int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: identity(name, group, nil)}
	d.Spec.Replicas, d.Spec.Template.Spec = new(replicas), podSpec()
	return d
}

func newReplicaSet(name, group string, owner client.Object, replicas int32) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: identity(name, group, owner)}
	rs.Spec.Replicas, rs.Spec.Template.Spec = new(replicas), podSpec()
	return rs
}

// newPod is a pod of one core, bound at so long after noon.
func newPod(name, group string, owner client.Object, bound time.Duration) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: identity(name, group, owner), Spec: podSpec()}
	p.Spec.NodeName = "node"
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(bound)),
	}}
	return p
}

// A Deployment, its ReplicaSet and its pods are counted once, whether they carry the
// label or not, in whatever order they are seen; the hours are the pods'.
func TestCountAChainOnce(t *testing.T) {
	for _, label := range []string{"", "nlp"} {
		deployment := newDeployment("d", "nlp", 3)
		replicaSet := newReplicaSet("rs", label, deployment, 3)
		one, two := newPod("one", label, replicaSet, 0), newPod("two", label, replicaSet, 30*time.Minute)
		for name, order := range map[string][]client.Object{
			"owners first": {deployment, replicaSet, one, two}, "pods first": {one, two, replicaSet, deployment}, "mixed": {one, deployment, two, replicaSet},
		} {
			t.Run(name+", label "+label, func(t *testing.T) {
				f := newFeed(t)
				f.put(group("nlp"))
				f.put(order...)
				f.at(time.Hour)
				f.expect("after an hour", group("nlp"), "3 cores, 1500m hours")
			})
		}
	}
}

func TestCountWhatIsLeftOfAChain(t *testing.T) {
	for label, want := range map[string]string{"": "0 cores, 1 hours", "nlp": "1 cores, 1 hours"} {
		f := newFeed(t)
		deployment := newDeployment("d", "nlp", 1)
		replicaSet := newReplicaSet("rs", "", deployment, 1)
		one := newPod("one", label, replicaSet, 0)
		f.put(group("nlp"), deployment, replicaSet, one)
		f.at(20 * time.Minute)
		f.remove(deployment)
		f.at(40 * time.Minute)
		f.remove(replicaSet)
		f.at(time.Hour)
		counted := f.expect("pod with label "+label+" whose owners are gone", group("nlp"), want)
		f.at(90 * time.Minute)
		f.remove(one)
		f.at(3 * time.Hour)
		f.expect("the pod is gone too", counted, "0 cores, 1500m hours")
	}
}

// A pod with neither label nor owner that has one is nobody's.
func TestCountNothingWithoutAGroup(t *testing.T) {
	f := newFeed(t)
	deployment := newDeployment("d", "", 1)
	f.put(group("nlp"), deployment, newReplicaSet("rs", "", deployment, 1), newPod("one", "", nil, 0))
	f.at(time.Hour)
	f.expect("no label", group("nlp"), "0 cores, 0 hours")
}

// Who has the label pays, from the moment it has it, however long the other group
// was not counted.
func TestCountAMove(t *testing.T) {
	f := newFeed(t)
	nlp, vision := group("nlp"), group("vision")
	deployment := newDeployment("d", "nlp", 1)
	replicaSet := newReplicaSet("rs", "", deployment, 1)
	f.put(nlp, vision, deployment, replicaSet, newPod("one", "", replicaSet, 0))
	f.at(30 * time.Minute)
	nlp = f.expect("before the move", nlp, "1 cores, 500m hours")
	f.at(time.Hour)
	deployment.Labels[stowagev1alpha1.GroupLabel] = "vision"
	f.put(deployment)
	f.at(90 * time.Minute)
	nlp = f.expect("after the move", nlp, "0 cores, 1 hours")
	vision = f.expect("after the move", vision, "1 cores, 500m hours")
	f.at(2 * time.Hour)
	delete(deployment.Labels, stowagev1alpha1.GroupLabel)
	f.put(deployment)
	f.at(4 * time.Hour)
	f.expect("without a group", nlp, "0 cores, 1 hours")
	f.expect("without a group", vision, "0 cores, 1 hours")
}

func TestCountAModelThatChanges(t *testing.T) {
	f := newFeed(t)
	g := group("nlp")
	g.Spec.Hard["limits.cpu.A4"], g.Spec.Hard["cash/limits.cpu.A4"] = resource.MustParse("4"), resource.MustParse("100")
	deployment := newDeployment("d", "nlp", 1)
	replicaSet := newReplicaSet("rs", "", deployment, 1)
	f.put(g, deployment, replicaSet, newPod("one", "", replicaSet, 0))
	f.at(time.Hour)
	g = f.expect("any model", g, "1 cores, 1 hours")
	deployment.Labels[stowagev1alpha1.CPUTypeLabel] = "A4"
	f.put(deployment)
	f.at(2 * time.Hour)
	g = f.expect("A4", g, "1 cores, 2 hours")
	if cores, hours := g.Status.SelfUsed["limits.cpu.A4"], g.Status.SelfUsed["cash/limits.cpu.A4"]; cores.String() != "1" || hours.String() != "1" {
		t.Errorf("on A4: %s cores, %s hours, want 1 and 1", &cores, &hours)
	}
}

// What a new list lacks is gone, as of now.
func TestReplaceWithMissingObjects(t *testing.T) {
	f := newFeed(t)
	one, two := newPod("one", "nlp", nil, 0), newPod("two", "nlp", nil, 0)
	deployment := newDeployment("d", "nlp", 3)
	f.put(group("nlp"), group("vision"), deployment, one, two)
	f.at(time.Hour)
	f.list("pods", one)
	f.list("deployments.apps")
	f.list(quota.GroupResource, group("nlp"))
	f.at(2 * time.Hour)
	f.expect("one pod is left", group("nlp"), "1 cores, 3 hours")
	if f.view.group("vision") != nil || f.view.Lookup("d") != nil || f.view.Lookup("one") == nil {
		t.Error("what is gone is still there, or what is there is gone")
	}
}

func TestReplaceWithObjectsMadeAnew(t *testing.T) {
	f := newFeed(t)
	node := func(uid string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: types.UID(uid)}}
	}
	f.list("nodes", node("a"))
	f.list("nodes", node("b"))
	if nodes := f.view.Nodes(); len(nodes) != 1 {
		t.Errorf("%d nodes, want the one that was made anew", len(nodes))
	}
	f.remove(node("b"))
	if nodes := f.view.Nodes(); len(nodes) != 0 {
		t.Errorf("%d nodes after the deletion of the only one", len(nodes))
	}
	limits := func(uid string) *corev1.LimitRange {
		return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "limits", UID: types.UID(uid)}}
	}
	f.list("limitranges", limits("a"))
	f.list("limitranges", limits("b"))
	class := func(uid string) *nodev1.RuntimeClass {
		return &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "kata", UID: types.UID(uid)}}
	}
	f.list("runtimeclasses.node.k8s.io", class("a"))
	f.list("runtimeclasses.node.k8s.io", class("b"))
	if defaults := f.view.Defaults("default"); len(defaults.Limits) != 1 || len(defaults.Classes) != 1 {
		t.Errorf("defaults %+v, want those of what was made anew", defaults)
	}
	old, anew := group("nlp"), group("nlp")
	anew.UID = "another"
	f.list(quota.GroupResource, old)
	f.list(quota.GroupResource, anew)
	if g := f.view.group("nlp"); g == nil || g.UID != "another" {
		t.Errorf("group %v, want the one that was made anew", g)
	}
}

func TestNodesChangeWhatDaemonSetsCharge(t *testing.T) {
	f := newFeed(t)
	var told []string
	f.view.OnChange(func(groups sets.Set[string]) { told = append(told, strings.Join(sets.List(groups), " ")) })
	ds := &appsv1.DaemonSet{ObjectMeta: identity("ds", "nlp", nil)}
	ds.Spec.Template.Spec = podSpec()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "a"}}
	f.put(group("nlp"), ds, node)
	f.expect("one node", group("nlp"), "1 cores, 0 hours")
	told = nil
	node.Status.Phase = corev1.NodeRunning
	f.put(node)
	if len(told) > 0 {
		t.Errorf("a node's status makes %q be counted", told)
	}
	node.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
	f.put(node)
	if diff := cmp.Diff([]string{"nlp"}, told); diff != "" {
		t.Errorf("told: -want +got:\n%s", diff)
	}
	f.expect("a tainted node", group("nlp"), "0 cores, 0 hours")
}

func TestPodTimes(t *testing.T) {
	const hour = time.Hour
	finish := func(p *corev1.Pod, at ...time.Duration) *corev1.Pod {
		p.Status.Phase = corev1.PodSucceeded
		for _, end := range at {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(noon.Add(end))}},
			})
		}
		return p
	}
	pending := func() *corev1.Pod {
		p := newPod("one", "nlp", nil, 0)
		p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending}
		return p
	}
	tests := map[string]struct {
		happens func(*feed) // until 4 hours after noon
		want    string
	}{
		"never bound": {func(f *feed) { f.put(pending()) }, "0"},
		"bound as it says": {func(f *feed) {
			f.at(2 * hour)
			f.put(newPod("one", "nlp", nil, hour))
		}, "3"},
		"bound when it started": {func(f *feed) {
			p := newPod("one", "nlp", nil, 0)
			p.Status.Conditions, p.Status.StartTime = nil, new(metav1.NewTime(noon.Add(hour)))
			f.put(p)
		}, "3"},
		"bound when it was made": {func(f *feed) {
			p := newPod("one", "nlp", nil, 0)
			p.Status.Conditions, p.CreationTimestamp = nil, metav1.NewTime(noon.Add(3*hour))
			f.put(p)
		}, "1"},
		"bound before our eyes": {func(f *feed) {
			f.put(pending())
			f.at(2 * hour)
			f.put(newPod("one", "nlp", nil, hour)) // its clock is not ours
		}, "2"},
		"finished before our eyes": {func(f *feed) {
			f.put(newPod("one", "nlp", nil, hour))
			f.at(3 * hour)
			f.put(finish(newPod("one", "nlp", nil, hour), 2*hour))
		}, "2"},
		"deleted before our eyes": {func(f *feed) {
			p := newPod("one", "nlp", nil, hour)
			f.put(p)
			f.at(3 * hour)
			f.remove(p)
		}, "2"},
		"deleted after it had finished": {func(f *feed) {
			p := newPod("one", "nlp", nil, hour)
			f.put(p)
			f.at(2 * hour)
			f.put(finish(p))
			f.at(3 * hour)
			f.remove(p)
		}, "1"},
		"finished in the past": {func(f *feed) {
			f.at(4 * hour)
			f.list("pods", finish(newPod("one", "nlp", nil, hour), 2*hour, 3*hour))
		}, "2"},
		"finished in the past, nobody knows when": {func(f *feed) {
			f.at(4 * hour)
			f.list("pods", finish(newPod("one", "nlp", nil, hour)))
		}, "0"},
		"finished in the past, by its conditions": {func(f *feed) {
			p := finish(newPod("one", "nlp", nil, hour))
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(noon.Add(3 * hour))})
			f.at(4 * hour)
			f.list("pods", p)
		}, "2"},
		"finished in the future": {func(f *feed) {
			f.at(3 * hour)
			f.list("pods", finish(newPod("one", "nlp", nil, hour), 9*hour))
		}, "2"},
		"its status changes after it has finished": {func(f *feed) {
			p := newPod("one", "nlp", nil, hour)
			f.put(p)
			f.at(2 * hour)
			f.put(finish(p))
			f.at(3 * hour)
			f.put(p)
		}, "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			f.put(group("nlp"))
			test.happens(f)
			f.at(4 * hour)
			counted := f.count(group("nlp"))
			if got := counted.Status.SelfUsed["cash/limits.cpu"]; got.String() != test.want {
				t.Errorf("%s hours, want %s", &got, test.want)
			}
		})
	}
}

// After a restart the watch tells the past; what happened then happened when the
// objects say.
func TestPastAndLive(t *testing.T) {
	f := emptyFeed(t)
	running := newPod("one", "nlp", nil, -time.Hour)
	f.version = 50 // the list is of the past
	for resource := range f.stores {
		if resource != "pods" {
			f.list(resource)
		}
	}
	f.list("pods", running)
	f.at(3 * time.Hour)
	over := running.DeepCopy()
	over.Status.Phase = corev1.PodFailed
	over.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(noon.Add(time.Hour))}}}}
	f.put(over)
	deleted := newPod("two", "nlp", nil, 0)
	f.put(deleted)
	deleted.DeletionTimestamp = new(metav1.NewTime(noon.Add(2 * time.Hour)))
	f.remove(deleted)
	f.put(group("nlp"))
	f.expect("one pod of one hour, one of two", group("nlp"), "0 cores, 3 hours")
}

// Ended pods are forgotten once they are charged in full, and stay so.
func TestEndedPodsAreChargedOnce(t *testing.T) {
	f := newFeed(t)
	p := newPod("one", "nlp", nil, 0)
	f.put(group("nlp"), p)
	f.at(time.Hour)
	p.Status.Phase = corev1.PodFailed
	f.put(p)
	counted := f.expect("it failed", group("nlp"), "0 cores, 1 hours")
	if n := len(f.view.runs.byPod); n != 0 {
		t.Errorf("%d pods are kept, want 0", n)
	}
	f.at(2 * time.Hour)
	p.Labels["touched"] = "yes"
	f.put(p)
	f.at(3 * time.Hour)
	f.list("pods", p)
	counted = f.expect("it was touched and listed", counted, "0 cores, 1 hours")
	f.remove(p)
	f.expect("it is gone", counted, "0 cores, 1 hours")
}

func TestSweep(t *testing.T) {
	f := newFeed(t)
	p, q := newPod("one", "", nil, 0), newPod("two", "nlp", nil, 0)
	f.put(group("nlp"), p, q)
	f.at(time.Hour)
	f.remove(p, q)
	f.at(time.Hour + 9*time.Minute)
	if f.view.sweep(); len(f.view.runs.byPod) != 2 {
		t.Errorf("%d pods are kept, want both for a while", len(f.view.runs.byPod))
	}
	f.at(time.Hour + 11*time.Minute)
	if f.view.sweep(); f.view.runs.byPod["two"] == nil || len(f.view.runs.byPod) != 1 {
		t.Errorf("kept: %v, want the one that is to be charged", f.view.runs.byPod)
	}
}

func TestSynced(t *testing.T) {
	f := emptyFeed(t)
	if newView(table, f.clock, logr.Discard()).Synced() {
		t.Error("a view of nothing is synced")
	}
	f.version = head - 50
	for resource := range f.stores {
		if f.view.Synced() {
			t.Fatalf("synced before %s was listed", resource)
		}
		f.list(resource)
	}
	for resource := range f.stores {
		if f.view.Synced() {
			t.Fatalf("synced before %s has caught up", resource)
		}
		f.stores[resource].UpdateResourceVersion(strconv.Itoa(head))
	}
	if !f.view.Synced() || f.view.Healthy(nil) != nil {
		t.Error("not synced with everything listed and caught up")
	}
	f.view.begin("jobs.batch", "7")
	if f.view.Synced() || f.view.Healthy(nil) == nil {
		t.Error("synced with a new kind not listed")
	}
}

// Where the newest version was another kind's, nothing comes, and that is all.
func TestSyncedWhenNothingMoreComes(t *testing.T) {
	f := emptyFeed(t)
	f.version = head - 50
	for resource := range f.stores {
		f.list(resource)
	}
	for _, p := range f.view.progress {
		p.news = p.news.Add(-2 * quiet)
	}
	if !f.view.Synced() {
		t.Error("not synced though all has been quiet")
	}
}

// A view that has seen less than the ledger counts does not count.
func TestBehindAnotherView(t *testing.T) {
	ahead, behind := newFeed(t), newFeed(t)
	g := group("nlp")
	deployment := newDeployment("d", "nlp", 3)
	ahead.put(g, deployment)
	counted := ahead.expect("the one", g, "3 cores, 0 hours")
	if _, _, resource := behind.view.Count(counted, nil); resource != quota.GroupResource && resource != "deployments.apps" {
		t.Fatalf("the other is behind in %q, want deployments.apps or the groups", resource)
	}
	behind.put(g)
	if _, _, resource := behind.view.Count(counted, nil); resource != "deployments.apps" {
		t.Fatalf("with the group: behind in %q, want deployments.apps", resource)
	}
	behind.put(deployment)
	behind.expect("the other, with as much", counted, "3 cores, 0 hours")
}

// That nothing has changed up to a version is as good as seeing it.
func TestBookmarksCatchUp(t *testing.T) {
	f := newFeed(t)
	g := group("nlp")
	g.Status.Observed = []stowagev1alpha1.ObservedVersion{{Resource: "deployments.apps", ResourceVersion: "1000"}}
	if _, _, resource := f.view.Count(g, nil); resource != "deployments.apps" {
		t.Fatalf("behind in %q, want deployments.apps", resource)
	}
	f.stores["deployments.apps"].UpdateResourceVersion("999")
	f.stores["deployments.apps"].UpdateResourceVersion("1001")
	f.stores["deployments.apps"].UpdateResourceVersion("500") // late
	if _, _, resource := f.view.Count(g, nil); resource != "" {
		t.Errorf("behind in %s", resource)
	}
}

func TestReservationsEndWhenTheirObjectsAreSeen(t *testing.T) {
	f := newFeed(t)
	g := group("nlp")
	f.put(g)
	reserve := func(request, base string, object stowagev1alpha1.ObjectReference) {
		quota.Reserve(g, stowagev1alpha1.Reservation{
			UID: types.UID(request), Object: object, BaseResourceVersion: base, Amounts: corev1.ResourceList{"limits.cpu": resource.MustParse("2")},
		})
	}
	expect := func(what, want string, reservations int) {
		t.Helper()
		g = f.count(g)
		if got := g.Status.Used["limits.cpu"]; got.String() != want || len(g.Status.Reservations) != reservations {
			t.Errorf("%s: used %s with %d reservations, want %s with %d", what, &got, len(g.Status.Reservations), want, reservations)
		}
	}
	deployment := newDeployment("d", "nlp", 2)
	reserve("create", "", stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "d", UID: "d"})
	expect("not there", "2", 1)
	f.put(deployment)
	expect("created", "2", 0)

	deployment.Spec.Replicas = ptr.To[int32](4)
	reserve("scale", deployment.ResourceVersion, stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "d", UID: "d"})
	expect("not scaled", "4", 1)
	f.put(deployment)
	expect("scaled", "4", 0)

	child := group("child")
	child.Spec.ParentBizGroup, child.Spec.Hard = "nlp", corev1.ResourceList{"limits.cpu": resource.MustParse("2")}
	reserve("child", "", quota.ReferenceTo(child))
	expect("no child", "6", 1)
	f.put(child)
	expect("a child", "6", 0)

	reserve("late", deployment.ResourceVersion, stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "d", UID: "d"})
	f.remove(deployment)
	expect("deleted", "2", 0)
	f.remove(child)
	expect("no child again", "0", 0)

	brief := newDeployment("brief", "nlp", 2)
	reserve("brief", "", stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "brief", UID: "brief"})
	f.put(brief)
	f.remove(brief)
	expect("created and deleted before it was counted", "0", 0)

	reserve("lost", "", stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "e", UID: "e"})
	counted, drifts, _ := f.view.Count(g, map[types.UID]bool{"lost": true})
	if len(counted.Status.Reservations) > 0 || len(drifts) != 1 {
		t.Errorf("a reservation that led to nothing: %v, drifts %v", counted.Status.Reservations, drifts)
	}
}

func TestDropAKind(t *testing.T) {
	f := newFeed(t)
	rollout := &unstructured.Unstructured{}
	rollout.SetGroupVersionKind(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"})
	rollout.SetName("r")
	rollout.SetUID("r")
	rollout.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: "nlp"})
	rollout.Object["spec"] = map[string]any{"replicas": int64(2), "template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "main", "resources": map[string]any{"limits": map[string]any{"cpu": "1"}}}},
	}}}
	g := group("nlp")
	f.put(g, newDeployment("d", "nlp", 1), rollout)
	g = f.expect("a Rollout and a Deployment", g, "3 cores, 0 hours")
	var told []string
	f.view.OnChange(func(groups sets.Set[string]) { told = sets.List(groups) })
	f.at(time.Second) // later than the ledger was written
	f.view.drop(f.stores["rollouts.argoproj.io"])
	f.view.drop(f.stores["rollouts.argoproj.io"])
	if f.view.knows("rollouts.argoproj.io") || f.view.Lookup("r") != nil || !f.view.Synced() {
		t.Error("the kind is still there, or waited for")
	}
	if diff := cmp.Diff([]string{"nlp"}, told); diff != "" {
		t.Errorf("told: -want +got:\n%s", diff)
	}
	f.put(rollout) // a last event
	f.expect("no Rollouts", g, "1 cores, 0 hours")
	f.view.begin("rollouts.argoproj.io", "200")
	f.list("rollouts.argoproj.io", rollout)
	f.expect("Rollouts again", g, "3 cores, 0 hours")
}

// A view that does not know a kind which the ledger counts does not count, unless it
// has learned since that the kind is not served.
func TestBehindInAKindThatIsNotKnown(t *testing.T) {
	f := newFeed(t)
	g := group("nlp")
	g.Status.Observed = []stowagev1alpha1.ObservedVersion{{Resource: "jobs.batch", ResourceVersion: "5"}}
	f.at(-time.Minute)
	f.view.absent("jobs.batch")
	f.at(time.Minute)
	if _, _, behind := f.view.Count(g, nil); behind != "jobs.batch" {
		t.Errorf("behind in %q, want jobs.batch: it was not served before the ledger counted it", behind)
	}
	f.view.absent("jobs.batch")
	if _, _, behind := f.view.Count(g, nil); behind != "" {
		t.Errorf("behind in %s, which is not served now", behind)
	}
}

func TestAWorkloadThatCannotBeReadChargesNothing(t *testing.T) {
	f := newFeed(t)
	rollout := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": "many"}}}
	rollout.SetGroupVersionKind(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"})
	rollout.SetUID("r")
	rollout.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: "nlp"})
	f.put(group("nlp"), rollout, newDeployment("d", "nlp", 1))
	f.expect("the other one", group("nlp"), "1 cores, 0 hours")
}

func TestStoresRefuseWhatIsNoObject(t *testing.T) {
	f := newFeed(t)
	s := f.stores["pods"]
	if s.Add("x") == nil || s.Update(1) == nil || s.Delete(nil) == nil {
		t.Error("what is no object was taken in")
	}
}

func TestOnChangeTellsOfBothGroups(t *testing.T) {
	f := newFeed(t)
	deployment := newDeployment("d", "nlp", 1)
	f.put(group("nlp"), group("vision"), deployment)
	var told []string
	f.view.OnChange(func(groups sets.Set[string]) { told = sets.List(groups) })
	if diff := cmp.Diff([]string{"nlp", "vision"}, told); diff != "" {
		t.Errorf("at first: -want +got:\n%s", diff)
	}
	told = nil
	deployment.Labels[stowagev1alpha1.GroupLabel] = "vision"
	f.put(deployment)
	if diff := cmp.Diff([]string{"nlp", "vision"}, told); diff != "" {
		t.Errorf("of a move: -want +got:\n%s", diff)
	}
	child := group("child")
	child.Spec.ParentBizGroup = "nlp"
	f.put(child)
	if diff := cmp.Diff([]string{"child", "nlp"}, told); diff != "" {
		t.Errorf("of a child: -want +got:\n%s", diff)
	}
}

// Two replicas that see the same and count in turns charge every hour once.
func TestHandOver(t *testing.T) {
	a, b := newFeed(t), newFeed(t)
	both := func(do func(*feed)) {
		do(a)
		do(b)
	}
	g := group("nlp")
	both(func(f *feed) { f.put(g.DeepCopy()) })
	for i := range 12 {
		now := time.Duration(i) * 5 * time.Minute
		p := newPod(fmt.Sprintf("pod-%d", i), "nlp", nil, now)
		both(func(f *feed) {
			f.at(now)
			f.put(p.DeepCopy())
		})
		if i >= 2 {
			gone := newPod(fmt.Sprintf("pod-%d", i-2), "nlp", nil, 0)
			both(func(f *feed) { f.remove(gone) })
		}
		leader := []*feed{a, b, b}[i%3]
		counted, _, behind := leader.view.Count(g, nil)
		if behind != "" {
			t.Fatalf("behind in %s", behind)
		}
		if i%4 != 3 { // else its write fails
			g = counted
			both(func(f *feed) { f.put(g.DeepCopy()) })
		}
	}
	both(func(f *feed) { f.at(time.Hour) })
	counted, _, _ := a.view.Count(g, nil)
	// 10 pods of 10 minutes, one of 10 minutes until the hour's end, and one of 5.
	got, want := counted.Status.SelfUsed["cash/limits.cpu"], 115.0/60
	if off := got.AsApproximateFloat64() - want; off > 1e-7 || off < -1e-7 {
		t.Errorf("%s hours, want %.9f", &got, want)
	}
}

func BenchmarkCount(b *testing.B) {
	f := newFeed(b)
	g := group("nlp")
	f.put(g)
	for i := range 1000 {
		deployment := newDeployment(fmt.Sprintf("d-%d", i), "nlp", 10)
		replicaSet := newReplicaSet(fmt.Sprintf("rs-%d", i), "nlp", deployment, 10)
		f.put(deployment, replicaSet)
		for j := range 10 {
			f.put(newPod(fmt.Sprintf("p-%d-%d", i, j), "nlp", replicaSet, 0))
		}
	}
	f.at(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, behind := f.view.Count(g, nil); behind != "" {
			b.Fatal(behind)
		}
	}
}
