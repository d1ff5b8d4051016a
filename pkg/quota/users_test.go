package quota_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Who is refused reads the names of what runs beside it, and of no other namespace's.
func TestNameUsers(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("limits.cpu", "30", "limits.memory", "1Gi", "cash/limits.cpu", "1")), list("limits.cpu", "20", "limits.memory", "1Gi", "cash/limits.cpu", "2"))
	group.Status.Used["limits.cpu"] = resource.MustParse("27") // with a child
	reserve(group, "r", "new", "", list("limits.cpu", "2"))
	index := quota.NewIndex(table)
	put := func(namespace, name string, replicas int64) {
		w := deployment(t, "nlp", replicas, pod(list("cpu", "1")))
		w.Namespace, w.Name, w.UID = namespace, name, types.UID(namespace+name)
		index.Put(w)
	}
	for name, replicas := range map[string]int64{"a": 1, "b": 2, "c": 3, "d": 4, "e": 1, "none": 0} {
		put("default", name, replicas)
	}
	put("secret", "x", 5)
	put("secret", "y", 2)
	put("hidden", "z", 2)
	const (
		cores  = "group nlp: limits.cpu: needs 3, 1 of 30 left (short 2); largest that fits: 1 replica"
		memory = "group nlp: limits.memory: needs 3Gi, 0 of 1Gi left (short 3Gi); largest that fits: 0 replicas"
		hours  = "group nlp: cash/limits.cpu: used up, 2 of 1 core-hour"
	)
	for namespace, want := range map[string][]string{
		"default": {hours, cores + "; used by deployment.apps/d 4, deployment.apps/c 3, deployment.apps/b 2, 2 more 2, others in 2 namespaces 9, groups below it 7", memory},
		"hidden":  {hours, cores + "; used by deployment.apps/z 2, others in 2 namespaces 18, groups below it 7", memory},
		"new":     {hours, cores + "; used by others in 3 namespaces 20, groups below it 7", memory},
	} {
		w := deployment(t, "nlp", 3, pod(list("cpu", "1", "memory", "1Gi")))
		w.Namespace = namespace
		check := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: w})
		quota.NameUsers(check, group, namespace, index.Users)
		if diff := cmp.Diff(want, check.Reasons); diff != "" {
			t.Errorf("%s (-want +got):\n%s", namespace, diff)
		}
	}
}

// What is refused for another reason says nothing of users.
func TestNameUsersOfNothing(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10"))
	users := func(*quota.Group, corev1.ResourceName) []quota.User {
		t.Error("asked for users")
		return nil
	}
	full := quota.NewTree([]*quota.Group{withUsed(group, list("limits.cpu", "10"))}).CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(list("cpu", "1")))})
	quota.RefuseUse(full, "you", "default")
	unset := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(nil))})
	closed := quota.NewTree(nil).CheckWorkload(quota.Change{New: &workload.Workload{Kind: kindOf(t, "deployments.apps"), Group: "nlp"}})
	quota.NameUsers(full, group, "default", users)
	quota.NameUsers(unset, group, "default", users)
	quota.NameUsers(closed, group, "default", users)
}
