package plan

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// controllers know what comes in the stead of pods, as the built-in controllers do
// (k8s.io/kubernetes pkg/controller/{replicaset,statefulset,daemon,job}).
type controllers struct {
	owners *owner.Index
	undo   *undo
	// active counts each controller's pods that are neither finished nor being deleted.
	active map[owner.Ref]int32
	// failures are how many pods of a Job, failedIndexes how many of its indexes have
	// failed beside those that its status knows; failed are the Jobs that have.
	failures, failedIndexes map[owner.Ref]int32
	failed                  map[owner.Ref]bool
	// jobPods are those of Jobs, the last form of each pod last.
	jobPods map[owner.Ref][]*corev1.Pod
	// ordered are the StatefulSets that make one pod after another.
	ordered map[owner.Ref]*ordered
}

// ordered is a StatefulSet of which no pod is made before all of lower ordinals are
// ready.
type ordered struct {
	set *appsv1.StatefulSet
	// ready are the ordinals with a ready pod, made those with any. Those that the set
	// wants may be many more.
	ready, made map[int]bool
	// waits are the pods that are still to be made, by ordinal.
	waits []*move
}

func newControllers(snap *snapshot.Snapshot, index *owner.Index, undo *undo) *controllers {
	c := &controllers{
		owners: index, undo: undo, active: map[owner.Ref]int32{},
		failures: map[owner.Ref]int32{}, failedIndexes: map[owner.Ref]int32{}, failed: map[owner.Ref]bool{},
		jobPods: map[owner.Ref][]*corev1.Pod{}, ordered: map[owner.Ref]*ordered{},
	}
	for _, set := range snap.StatefulSets {
		if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			c.ordered[owner.Ref{Kind: "StatefulSet", Namespace: set.Namespace, Name: set.Name}] = &ordered{set: set, ready: map[int]bool{}, made: map[int]bool{}}
		}
	}
	for _, pod := range snap.Pods {
		controller := owner.Of(pod)
		if controller.Kind == "Job" {
			c.jobPods[controller] = append(c.jobPods[controller], pod)
		}
		if active(pod) {
			c.active[controller]++
		}
		if set := c.ordered[controller]; set != nil {
			set.made[ordinal(pod)] = true
			if snapshot.Healthy(pod) {
				set.ready[ordinal(pod)] = true
			}
		}
	}
	return c
}

// ordinal is the ordinal of a StatefulSet's pod; of all others 0.
func ordinal(pod *corev1.Pod) int {
	if owner.Of(pod).Kind != "StatefulSet" {
		return 0
	}
	number, _ := owner.Ordinal(pod)
	return number
}

// first is the lowest ordinal without a ready pod; the end of all when there is none.
func (o *ordered) first() int {
	first, end := owner.Ordinals(o.set)
	for first < end && o.ready[first] {
		first++
	}
	return first
}

// missing says whether the set is to make a pod of the ordinal, and never has.
func (o *ordered) missing(ordinal int) bool {
	_, end := owner.Ordinals(o.set)
	return ordinal < end && !o.made[ordinal]
}

// active says whether controllers count the pod as one of theirs.
func active(pod *corev1.Pod) bool { return !snapshot.Finished(pod) && pod.DeletionTimestamp == nil }

// knows says whether it is known what the pod's controller does. Nobody knows of a
// controller that the snapshot does not hold, or of a Job that another manages.
func (c *controllers) knows(pod *corev1.Pod) bool {
	object := c.owners.Controller(pod)
	if object == nil {
		return false
	}
	if job, ok := object.(*batchv1.Job); ok && ptr.Deref(job.Spec.ManagedBy, batchv1.JobControllerName) != batchv1.JobControllerName {
		return false
	}
	w, ok := c.owners.Of(pod)
	return ok && !w.Custom()
}

// leave notes that a pod is gone, and marks it if its Job cannot bear that.
func (c *controllers) leave(m *move) {
	controller := owner.Of(m.pod)
	if snapshot.Mirror(m.pod) || controller.Kind == "" {
		return
	}
	if set := c.ordered[controller]; set != nil {
		put(c.undo, set.ready, ordinal(m.pod), false)
	}
	if !active(m.pod) {
		return
	}
	put(c.undo, c.active, controller, c.active[controller]-1)
	job, ok := c.owners.Controller(m.pod).(*batchv1.Job)
	if disrupted := m.eviction.Evicted || m.by != nil; ok && disrupted && c.knows(m.pod) && !c.failed[controller] && c.fails(job, controller, m.pod) {
		put(c.undo, c.failed, controller, true)
		set(c.undo, &m.marks, append(slices.Clip(m.marks), report.MarkJobFails))
	}
}

// fails counts the failure of a Job's pod, and says whether that is one too many.
func (c *controllers) fails(job *batchv1.Job, controller owner.Ref, pod *corev1.Pod) bool {
	switch onDisruption(job) {
	case batchv1.PodFailurePolicyActionIgnore:
		return false
	case batchv1.PodFailurePolicyActionFailJob:
		return true
	}
	if indexFails(job, pod) {
		failed := c.failedIndexes[controller] + 1
		put(c.undo, c.failedIndexes, controller, failed)
		if job.Spec.MaxFailedIndexes != nil && countIndexes(ptr.Deref(job.Status.FailedIndexes, ""))+failed > *job.Spec.MaxFailedIndexes {
			return true
		}
	}
	failures := c.failures[controller] + 1
	put(c.undo, c.failures, controller, failures)
	return job.Status.Failed+failures > backoffLimit(job)
}

// onDisruption is what the Job's pod failure policy does about a pod that is evicted
// or preempted. The first rule that matches counts; those for exit codes are passed
// over, as nobody knows yet with which code the pod will end.
func onDisruption(job *batchv1.Job) batchv1.PodFailurePolicyAction {
	if job.Spec.PodFailurePolicy == nil {
		return batchv1.PodFailurePolicyActionCount
	}
	for _, rule := range job.Spec.PodFailurePolicy.Rules {
		for _, pattern := range rule.OnPodConditions {
			if pattern.Type == corev1.DisruptionTarget && cmp.Or(pattern.Status, corev1.ConditionTrue) == corev1.ConditionTrue {
				return rule.Action
			}
		}
	}
	return batchv1.PodFailurePolicyActionCount
}

// backoffLimit is how many failures a Job bears, with the API's defaults.
func backoffLimit(job *batchv1.Job) int32 {
	switch {
	case job.Spec.BackoffLimit != nil:
		return *job.Spec.BackoffLimit
	case job.Spec.BackoffLimitPerIndex != nil:
		return math.MaxInt32
	}
	return 6
}

// indexFails says whether the failure of a pod is one more than its index bears.
func indexFails(job *batchv1.Job, pod *corev1.Pod) bool {
	if job.Spec.BackoffLimitPerIndex == nil {
		return false
	}
	before, err := strconv.ParseInt(cmp.Or(pod.Annotations[batchv1.JobIndexFailureCountAnnotation], "0"), 10, 32)
	switch onDisruption(job) {
	case batchv1.PodFailurePolicyActionIgnore:
		return false
	case batchv1.PodFailurePolicyActionFailIndex:
		return true
	}
	return err == nil && int32(before) >= *job.Spec.BackoffLimitPerIndex
}

// countIndexes counts the indexes of a list such as "1,3-5".
func countIndexes(list string) int32 {
	var count int32
	for entry := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(entry, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		count += int32(to - from + 1)
	}
	return count
}

// replaces says whether the controller of a pod that has left its node makes another, or
// that it would, but wants no more. node is the pod's as it is now.
func (c *controllers) replaces(pod *corev1.Pod, node *corev1.Node) (replaces, surplus bool) {
	controller := owner.Of(pod)
	if controller.Kind == "" || snapshot.Mirror(pod) || snapshot.Finished(pod) || c.failed[controller] {
		return false, false
	}
	if !c.knows(pod) {
		return true, false
	}
	object := c.owners.Controller(pod)
	if daemons, ok := object.(*appsv1.DaemonSet); ok {
		return object.GetDeletionTimestamp() == nil && workload.Eligible(&daemons.Spec.Template, node), false
	}
	replaces = object.GetDeletionTimestamp() == nil && c.wants(pod, object)
	return replaces, !replaces
}

// wants says whether the controller, which is not a DaemonSet, has too few pods without
// this one.
func (c *controllers) wants(pod *corev1.Pod, object any) bool {
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		start, end := owner.Ordinals(o)
		return ordinal(pod) >= start && ordinal(pod) < end
	case *batchv1.Job:
		if indexFails(o, pod) {
			return false
		}
	}
	w, ok := c.owners.Of(pod)
	return ok && c.active[owner.Of(pod)] < w.Wanted
}

// jobBackoff is how long a Job pauses after the first pod that fails
// (DefaultJobPodFailureBackOff in k8s.io/kubernetes/pkg/controller/job).
const jobBackoff = 10 * time.Second

// pause is how long after a pod's eviction its controller makes another, at most, and
// whether it waits for anything. Those of StatefulSets and DaemonSets wait until the pod
// is gone, which takes its grace period; a Job's does so only where it is told to, and
// pauses after a failure.
func (c *controllers) pause(pod *corev1.Pod) (pause time.Duration, waits bool) {
	grace := time.Duration(ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)) * time.Second
	switch owner.Of(pod).Kind {
	case "StatefulSet", "DaemonSet":
		return grace, true
	case "Job":
		job, ok := c.owners.Controller(pod).(*batchv1.Job)
		if !ok {
			return 0, true
		}
		if ptr.Deref(job.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed) == batchv1.Failed {
			pause += grace
		}
		if onDisruption(job) != batchv1.PodFailurePolicyActionIgnore {
			pause += jobBackoff
		}
		return pause, true
	}
	return 0, false
}

// create counts the replacement among its controller's pods, and says whether it is made
// now: that of an ordered StatefulSet waits for those of lower ordinals.
func (c *controllers) create(m *move) (now bool) {
	controller := owner.Of(m.pod)
	put(c.undo, c.active, controller, c.active[controller]+1)
	if controller.Kind == "Job" {
		push(c.undo, c.jobPods, controller, m.replacement)
	}
	o := c.ordered[controller]
	if o == nil || ordinal(m.pod) <= o.first() {
		return true
	}
	waits := append(slices.Clone(o.waits), m)
	slices.SortStableFunc(waits, func(a, b *move) int { return cmp.Compare(ordinal(a.pod), ordinal(b.pod)) })
	set(c.undo, &o.waits, waits)
	set(c.undo, &m.marks, append(slices.Clip(m.marks), report.MarkWaits))
	return false
}

// arrive notes that a pod has a node. m is what it replaces, nil for nothing. The pod
// will be ready, unless it replaces one that was not. The controller of an ordered set
// then makes the next one: made is the move that it was waiting in, missing the set
// that has had none.
func (c *controllers) arrive(pod *corev1.Pod, m *move) (made *move, missing *ordered) {
	controller := owner.Of(pod)
	if controller.Kind == "Job" {
		push(c.undo, c.jobPods, controller, pod)
	}
	o := c.ordered[controller]
	if o == nil || m != nil && !m.fit {
		return nil, nil
	}
	put(c.undo, o.ready, ordinal(pod), true)
	next := o.first()
	if o.missing(next) {
		put(c.undo, o.made, next, true)
		return nil, o
	}
	if len(o.waits) == 0 || ordinal(o.waits[0].pod) != next {
		return nil, nil
	}
	made = o.waits[0]
	set(c.undo, &o.waits, o.waits[1:])
	set(c.undo, &made.marks, without(made.marks, report.MarkWaits))
	return made, nil
}
