package quota_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// table is the default table of kinds, which does not change.
var table = workload.Default()

// monday is a Monday's midnight.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// list makes a resource list of keys and quantities in turn.
func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// sameLists compares resource lists by their values.
var sameLists = cmp.Comparer(func(a, b resource.Quantity) bool { return a.Cmp(b) == 0 })

// text is a list as strings, to be compared and read.
func text(list corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for key, quantity := range list {
		out[string(key)] = quantity.String()
	}
	return out
}

// newGroup is a group that has been counted, and uses nothing.
func newGroup(name, parent string, hard corev1.ResourceList) *quota.Group {
	group := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), ResourceVersion: "1"}}
	group.Spec.ParentBizGroup, group.Spec.Hard = parent, hard
	return withUsed(group, nil)
}

// withUsed is group as counted with its own workloads using so much.
func withUsed(group *quota.Group, used corev1.ResourceList) *quota.Group {
	last := metav1.NewMicroTime(monday)
	group.Status.LastReconcileTime = &last
	group.Status = quota.Settle(group, quota.Seen{Self: used, Version: unseen}, metav1.NewTime(monday))
	for key, quantity := range used {
		if quota.IsCash(key) {
			group.Status.SelfUsed[key], group.Status.Used[key] = quantity, quantity
		}
	}
	return group
}

// unseen is a view in which nothing is.
func unseen(types.UID) string { return "" }

// kindOf returns a kind of the default table, as in "deployments.apps".
func kindOf(t testing.TB, resource string) *workload.Kind {
	t.Helper()
	kind := table.ForResource(schema.ParseGroupResource(resource))
	if kind == nil {
		t.Fatalf("no kind %s in the default table", resource)
	}
	return kind
}

// deployment is default/web, of so many replicas of the pods.
func deployment(t testing.TB, group string, replicas int64, spec corev1.PodSpec) *workload.Workload {
	t.Helper()
	return &workload.Workload{
		Kind: kindOf(t, "deployments.apps"), Namespace: "default", Name: "web", UID: "web", ResourceVersion: "10", Group: group,
		PodSets: []workload.PodSet{{Replicas: replicas, Template: &corev1.PodTemplateSpec{Spec: spec}}},
	}
}

// pod is the spec of pods with one container of these limits.
func pod(limits corev1.ResourceList) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{container("main", limits, nil)}}
}

func container(name string, limits, requests corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Limits: limits, Requests: requests}}
}

// reserve writes a reservation of amounts for an object into the group's ledger.
func reserve(group *quota.Group, request, object, base string, amounts corev1.ResourceList) {
	quota.Reserve(group, stowagev1alpha1.Reservation{
		UID: types.UID(request), BaseResourceVersion: base, Amounts: amounts,
		Object: stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Namespace: "default", Name: object, UID: types.UID(object)},
	})
}
