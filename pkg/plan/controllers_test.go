package plan

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// The pods of a large Job that are replaced are noted one by one, not with all others
// each time: that would be 400 MB here.
func TestLargeJob(t *testing.T) {
	const count = 10_000
	objects := []snapshot.Object{build.Job("ns", "train", count, count, build.Pod("ns", ""))}
	var pods []*corev1.Pod
	for i := range count {
		pods = append(pods, build.Pod("ns", fmt.Sprintf("train-%d", i)).Owner("batch/v1", "Job", "train").Node("n").Obj())
		objects = append(objects, pods[i])
	}
	snap := build.Snapshot(objects...)
	c := newControllers(snap, owner.NewIndex(snap, workload.Default()), &undo{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, pod := range pods[:count/2] {
		c.create(&move{pod: pod, replacement: pod})
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 40<<20 {
		t.Errorf("%d bytes for %d replacements", got, count/2)
	}
}

func TestPushIsTakenBack(t *testing.T) {
	var u undo
	lists := map[string][]int{"a": {1}}
	push(&u, lists, "a", 2)
	push(&u, lists, "b", 3)
	here := len(u.steps)
	push(&u, lists, "a", 4)
	u.backTo(here)
	push(&u, lists, "a", 5)
	if diff := cmp.Diff(map[string][]int{"a": {1, 2, 5}, "b": {3}}, lists); diff != "" {
		t.Error("after one is taken back (-want +got):\n" + diff)
	}
	u.backTo(0)
	if diff := cmp.Diff(map[string][]int{"a": {1}, "b": {}}, lists); diff != "" {
		t.Error("after all are (-want +got):\n" + diff)
	}
}
