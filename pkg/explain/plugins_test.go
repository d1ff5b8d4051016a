package explain_test

import (
	"testing"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/predicate/example"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestPluginsThatAreNotInTree are asked as those in the tree are, and remedies are
// verified with them.
func TestPluginsThatAreNotInTree(t *testing.T) {
	pod := build.Pod("a", "p").Request("cpu=2").Label(stowagev1alpha1.GroupLabel, "team").Unschedulable("").Obj()
	snap := build.Snapshot(pod, build.BizGroup("team", "").Obj(), build.BizGroup("other", "").Obj(),
		build.Node("n1").Capacity("cpu=8,memory=8Gi,pods=10").Label("owner", "other").Obj(),
		build.Node("n2").Capacity("cpu=1,memory=8Gi,pods=10").Label("owner", "team").Obj())
	e, err := explain.New(t.Context(), snap, explain.Options{
		SchedulerConfig: example.Configuration(`{"nodeLabel": "owner"}`), Scheduler: example.Options(), Remedies: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	item, err := e.Pod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	want{
		message:  "0/2 nodes are available: 1 Insufficient cpu, 1 " + example.OtherGroup + ".",
		causes:   []string{example.OtherGroup, "Insufficient cpu"},
		remedies: []string{"lower the request for cpu from 2 to 1"},
	}.check(t, item)
}
