package quota

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// runs are the pods' times on nodes, by the group that pays for them.
type runs struct {
	byPod   map[types.UID]*run
	byGroup map[string]map[types.UID]*run
}

// run is one pod's time on a node.
type run struct {
	quota.Run
	group string // who pays; the last one known, when its owners are gone
}

// ended says whether the pod will use nothing more.
func (r *run) ended() bool { return !r.To.IsZero() }

func newRuns() *runs {
	return &runs{byPod: map[types.UID]*run{}, byGroup: map[string]map[types.UID]*run{}}
}

// observe takes in a pod's state; live says that it is news, seen as it happens at
// the time now.
func (rs *runs) observe(pod *corev1.Pod, live bool, now time.Time) {
	r, known := rs.byPod[pod.UID]
	if !known {
		r = &run{}
		rs.byPod[pod.UID] = r
	}
	if r.From.IsZero() && pod.Spec.NodeName != "" {
		r.From = boundAt(pod)
		if live && known {
			r.From = now
		}
	}
	if r.ended() || !snapshot.Finished(pod) {
		return
	}
	switch {
	case live && known:
		r.To = now
	case known:
		r.To = finishedAt(pod, now, now)
	default: // long ago, perhaps: it is not charged up to now for want of a better time
		r.To = finishedAt(pod, changedAt(pod), now)
	}
}

// end takes in a pod's deletion.
func (rs *runs) end(pod *corev1.Pod, live bool, now time.Time) {
	r := rs.byPod[pod.UID]
	if r == nil || r.ended() {
		return
	}
	r.To = now
	if !live {
		r.To = finishedAt(pod, now, now)
	}
}

// assign says who pays for a run from now on, and what it charges; who paid before pays
// up to now.
func (rs *runs) assign(uid types.UID, group string, charge corev1.ResourceList, now time.Time) {
	r := rs.byPod[uid]
	if r == nil {
		return
	}
	if r.group != group {
		if r.group != "" && !r.From.IsZero() && !r.ended() {
			rs.split(uid, r, now)
		}
		rs.unassign(uid, r)
		r.group = group
		rs.join(uid, r)
	}
	r.Charge = charge
}

// split leaves the run's past with who paid for it, and lets the run begin now.
func (rs *runs) split(uid types.UID, r *run, now time.Time) {
	past := *r
	past.To = now
	name := types.UID(string(uid) + "/" + r.group + "/" + now.Format(time.RFC3339Nano))
	rs.byPod[name] = &past
	rs.join(name, &past)
	r.From = now
}

func (rs *runs) join(uid types.UID, r *run) {
	if rs.byGroup[r.group] == nil {
		rs.byGroup[r.group] = map[types.UID]*run{}
	}
	rs.byGroup[r.group][uid] = r
}

func (rs *runs) unassign(uid types.UID, r *run) {
	delete(rs.byGroup[r.group], uid)
	if len(rs.byGroup[r.group]) == 0 {
		delete(rs.byGroup, r.group)
	}
}

// of returns the runs that the group pays for.
func (rs *runs) of(group string) []quota.Run {
	members := rs.byGroup[group]
	out := make([]quota.Run, 0, len(members))
	for _, r := range members {
		if !r.From.IsZero() {
			out = append(out, r.Run)
		}
	}
	return out
}

// forget drops the group's ended runs that are charged in full by then.
func (rs *runs) forget(group string, charged time.Time) {
	for _, uid := range slices.Collect(maps.Keys(rs.byGroup[group])) {
		if r := rs.byGroup[group][uid]; r.ended() && !r.To.After(charged) {
			rs.drop(uid)
		}
	}
}

func (rs *runs) drop(uid types.UID) {
	if r := rs.byPod[uid]; r != nil {
		rs.unassign(uid, r)
		delete(rs.byPod, uid)
	}
}

// boundAt is when the object says that it was bound.
func boundAt(pod *corev1.Pod) time.Time {
	if at, known := snapshot.BoundAt(pod); known {
		return at
	}
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	return pod.CreationTimestamp.Time
}

// finishedAt is when the object says that it ended: with its last container, or
// when it was to be deleted; otherwise when it says nothing. Never later than now.
func finishedAt(pod *corev1.Pod, otherwise, now time.Time) time.Time {
	var end time.Time
	for _, status := range pod.Status.ContainerStatuses {
		if terminated := status.State.Terminated; terminated != nil && terminated.FinishedAt.After(end) {
			end = terminated.FinishedAt.Time
		}
	}
	if deletion := pod.DeletionTimestamp; deletion != nil && end.IsZero() {
		end = deletion.Time
	}
	if end.IsZero() {
		end = otherwise
	}
	if end.After(now) {
		return now
	}
	return end
}

// changedAt is when a condition of the pod changed last, or when it was bound.
func changedAt(pod *corev1.Pod) time.Time {
	changed := boundAt(pod)
	for _, condition := range pod.Status.Conditions {
		if condition.LastTransitionTime.After(changed) {
			changed = condition.LastTransitionTime.Time
		}
	}
	return changed
}
