package plan

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
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

// A controller may wait until a pod is gone, and pause, before it makes another.
func TestPause(t *testing.T) {
	job := func(change func(*batchv1.JobSpec)) *batchv1.Job {
		job := build.Job("ns", "x", 1, 1, build.Pod("ns", ""))
		change(&job.Spec)
		return job
	}
	ignore := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget}}}}}
	for name, tc := range map[string]struct {
		version, kind string
		controller    snapshot.Object
		pause         time.Duration
		waits         bool
	}{
		"a ReplicaSet does neither":          {"apps/v1", "ReplicaSet", build.ReplicaSet("ns", "x", "", 1, build.Pod("ns", "")), 0, false},
		"a StatefulSet waits":                {"apps/v1", "StatefulSet", build.StatefulSet("ns", "x", 1, build.Pod("ns", "")), 60 * time.Second, true},
		"a Job pauses":                       {"batch/v1", "Job", job(func(*batchv1.JobSpec) {}), 10 * time.Second, true},
		"a Job that replaces what has ended": {"batch/v1", "Job", job(func(s *batchv1.JobSpec) { s.PodReplacementPolicy = new(batchv1.Failed) }), 70 * time.Second, true},
		"a Job that does not mind": {"batch/v1", "Job", job(func(s *batchv1.JobSpec) {
			s.PodReplacementPolicy, s.PodFailurePolicy = new(batchv1.Failed), ignore
		}), 60 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			snap := build.Snapshot(tc.controller)
			pod := build.Pod("ns", "x-0").Owner(tc.version, tc.kind, "x").Obj()
			pod.Spec.TerminationGracePeriodSeconds = new(int64(60))
			pause, waits := newControllers(snap, owner.NewIndex(snap, workload.Default()), &undo{}).pause(pod)
			if pause != tc.pause || waits != tc.waits {
				t.Errorf("pause %s, waits %t, want %s, %t", pause, waits, tc.pause, tc.waits)
			}
		})
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
