package taints

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// tolerance is by how much a deletion may be off the plan.
const tolerance = 2 * time.Second

// byTaint is the reason of a pod's DisruptionTarget condition that the taint-eviction
// controller deletes.
const byTaint = "DeletionByTaintManager"

// trial is one change of taints: what was planned, and what has become of it.
type trial struct {
	before *snapshot.Snapshot
	plan   *report.TaintPlan
	// written is when each node's taints were written.
	written map[string]time.Time
	// lives are the pods of the namespace when all was settled.
	lives map[types.UID]life
	// differences say how they differ; late is the longest that a pod without a
	// toleration was left alone.
	differences []string
	late        time.Duration
	// worst is the greatest difference between planned and real delay; evictions and
	// pending are how many pods were compared, and returning how many workloads whose
	// pods return to the nodes that evict them.
	worst                         time.Duration
	evictions, pending, returning int
}

// try plans a change, makes it, waits and compares.
func (r *rig) try(ctx context.Context, namespace string, nodes, change []string) (*trial, error) {
	before, err := r.snapshot(ctx, namespace)
	if err != nil {
		return nil, err
	}
	t := &trial{before: before}
	if t.plan, err = planned(ctx, before, nodes, change); err != nil {
		return nil, err
	}
	if t.written, err = r.taint(ctx, nodes, change); err != nil {
		return nil, err
	}
	if t.overtaken() {
		return nil, fmt.Errorf("%w: a pod's time was over before the taints were written", errSlow)
	}
	return t, r.settle(ctx, namespace, t)
}

// overtaken says whether a pod that was being counted down was due before the taints
// were written, or in that very second: what it met then, no plan could know.
func (t *trial) overtaken() bool {
	for _, pod := range t.before.Pods {
		node := t.before.Node(pod.Spec.NodeName)
		if node == nil {
			continue
		}
		stay, counting := taint.Stays(pod, node.Spec.Taints)
		for _, taint := range node.Spec.Taints {
			if counting && taint.TimeAdded != nil && !taint.TimeAdded.Add(stay).After(t.written[node.Name].Add(time.Second)) {
				return true
			}
		}
	}
	return false
}

// planned is the plan for the arguments of kubectl taint.
func planned(ctx context.Context, snap *snapshot.Snapshot, nodes, args []string) (*report.TaintPlan, error) {
	parsed, err := taint.Parse(slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--overwrite" }))
	if err != nil {
		return nil, err
	}
	parsed.Overwrite = slices.Contains(args, "--overwrite")
	planner, err := plan.New(ctx, snap, plan.Options{})
	if err != nil {
		return nil, err
	}
	defer planner.Close()
	return planner.Plan(ctx, nodes, parsed)
}

const (
	// calm is for how long nothing may happen before what waits is taken to wait for
	// good: the scheduler tries a pod again after 10 s at most.
	calm = 11 * time.Second
	// calmer is enough when nothing waits.
	calmer = 3 * time.Second
	// backoff is after how long a Job replaces one pod, twice that for two.
	backoff = 13 * time.Second
)

// settle waits until nothing happens any more and all that is planned has, and compares.
// What differs is given the time that anything takes, and then until nothing has happened
// for as long as the scheduler may need, but no longer than patience: on a slow machine
// pods come one by one.
func (r *rig) settle(ctx context.Context, namespace string, t *trial) error {
	start := time.Now()
	least := t.duration()
	for {
		t.compare(r.kubelet.of(namespace))
		needed := calmer
		if t.pending > 0 {
			needed = calm
		}
		waited, still := time.Since(start), quiet(t.lives, t.returningLoads())
		late := waited > least+2*calm+backoff && still > calm || waited > least+2*calm+backoff+patience
		if waited > least && still > needed && len(t.differences) == 0 || late {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(glance):
		}
	}
}

// duration is how long the evictions take, and Jobs until they replace their pods.
func (t *trial) duration() time.Duration {
	var longest time.Duration
	jobs := map[string]time.Duration{}
	for _, e := range t.plan.Evictions {
		longest = max(longest, seconds(e.AfterSeconds))
		if strings.HasPrefix(e.Workload, "Job/") {
			jobs[e.Workload] = max(backoff, 2*jobs[e.Workload])
		}
	}
	for _, wait := range jobs {
		longest = max(longest, longest+wait)
	}
	return longest + tolerance
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// compare compares the plan with the pods as they are now.
func (t *trial) compare(lives map[types.UID]life) {
	t.lives, t.differences = lives, nil
	t.late, t.worst, t.evictions, t.pending, t.returning = 0, 0, 0, 0, 0
	t.compareEvictions()
	t.compareOrder()
	t.compareCounts()
	t.compareFreed()
	t.compareDaemons()
}

func (t *trial) differ(format string, args ...any) {
	t.differences = append(t.differences, fmt.Sprintf(format, args...))
}

// evictedByTaint says whether a pod was deleted because of taints: the DaemonSet
// controller deletes its pods too, and may be faster.
func evictedByTaint(l life, changed map[string]time.Time) bool {
	if l.reason == byTaint {
		return true
	}
	owner := ownerKind(l.pod)
	_, onChanged := changed[l.pod.Spec.NodeName]
	return owner == "DaemonSet" && onChanged && l.reason == "" && !l.deleted.IsZero()
}

func ownerKind(pod *corev1.Pod) string {
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			return owner.Kind
		}
	}
	return ""
}

// compareEvictions compares which pods were evicted, and when.
func (t *trial) compareEvictions() {
	expected := map[types.UID]report.Eviction{}
	for _, e := range t.plan.Evictions {
		expected[e.UID] = e
	}
	for _, pod := range t.before.Pods {
		l, known := t.lives[pod.UID]
		e, wanted := expected[pod.UID]
		evicted := known && evictedByTaint(l, t.written)
		switch {
		case wanted && evicted:
			t.evictions++
			t.compareDelay(e, l)
		case wanted && known && t.preemptedFirst(l):
		case wanted:
			t.differ("pod %s on %s was not evicted; planned after %d s %v", pod.Name, pod.Spec.NodeName, e.AfterSeconds, e.Marks)
		case evicted && t.changes(pod.Spec.NodeName): // else it has only now come there, or was due anyway
			t.differ("pod %s was evicted from %s after %s; not planned", pod.Name, l.pod.Spec.NodeName, l.deleted.Sub(t.written[l.pod.Spec.NodeName]))
		}
		delete(expected, pod.UID)
	}
	for _, e := range expected {
		t.differ("pod %s (uid %q) is planned to be evicted and is not in the snapshot", e.Name, e.UID)
	}
}

// changes says whether the plan changes the taints of the node: kubectl may be told to
// set what is there already.
func (t *trial) changes(node string) bool {
	return slices.ContainsFunc(t.plan.Nodes, func(n report.TaintedNode) bool { return n.Name == node })
}

// preemptedFirst says whether a pod was preempted before its node was tainted: kubectl
// taints one node after another, and who comes from the first preempts on the next.
func (t *trial) preemptedFirst(l life) bool {
	written, onChanged := t.written[l.pod.Spec.NodeName]
	return onChanged && len(t.plan.Change.Add) > 0 && l.reason == corev1.PodReasonPreemptionByScheduler && !l.deleted.After(written)
}

// compareDelay compares when a pod was evicted.
func (t *trial) compareDelay(e report.Eviction, l life) {
	since := t.written[e.Node]
	if slices.Contains(e.Marks, report.MarkCounting) {
		since = t.before.TakenAt.Time
	}
	off := l.deleted.Sub(since) - seconds(e.AfterSeconds)
	if e.AfterSeconds == 0 {
		t.late = max(t.late, off)
	}
	t.worst = max(t.worst, off.Abs())
	if off.Abs() > tolerance {
		t.differ("pod %s on %s was evicted after %s; planned after %d s %v", e.Name, e.Node, l.deleted.Sub(since), e.AfterSeconds, e.Marks)
	}
}

// compareOrder compares the order of the evictions, where the plan has one.
func (t *trial) compareOrder() {
	for _, a := range t.plan.Evictions {
		for _, b := range t.plan.Evictions {
			la, lb := t.lives[a.UID], t.lives[b.UID]
			apart := seconds(b.AfterSeconds-a.AfterSeconds) >= tolerance
			if apart && !la.deleted.IsZero() && !lb.deleted.IsZero() && la.deleted.After(lb.deleted) {
				t.differ("pod %s was evicted after pod %s; planned before", a.Name, b.Name)
			}
		}
	}
}

// returningLoads are those whose pods come to nodes that evict them (again): what they
// have is another thing every moment. With them go those that lose pods to what is no
// part of the plan: a countdown on a node that is not changed after all, or somebody
// from the first node that kubectl tainted.
func (t *trial) returningLoads() map[string]bool {
	loads := map[string]bool{}
	onChanged := map[types.UID]bool{}
	for _, pod := range t.before.Pods {
		onChanged[pod.UID] = t.changes(pod.Spec.NodeName)
	}
	for _, e := range t.plan.Evictions {
		if l, ok := t.lives[e.UID]; ok && slices.Contains(e.Marks, report.MarkReturns) {
			loads[loadOf(l.pod)] = true
		}
	}
	for _, f := range t.plan.Freed {
		if f.ForSeconds > 0 {
			loads[t.loadNamed(f.Namespace, f.Name, f.Workload)] = true
		}
	}
	for uid, l := range t.lives {
		if !onChanged[uid] && l.reason == byTaint || t.preemptedFirst(l) {
			loads[loadOf(l.pod)] = true
		}
	}
	return loads
}

// compareCounts compares how many pods of each load have a node, and how many wait.
func (t *trial) compareCounts() {
	want, have, returning := t.expectedCounts(), counts(present(t.lives)), t.returningLoads()
	t.returning = len(returning)
	loads := maps.Clone(want)
	maps.Copy(loads, have)
	for _, load := range slices.Sorted(maps.Keys(loads)) {
		if returning[load] {
			continue
		}
		t.pending += want[load].pending
		if want[load] != have[load] && !t.inOrder(load, want[load], have[load]) {
			t.differ("%s has %s; planned: %s", load, have[load], want[load])
		}
	}
}

// inOrder says whether the counts are possible for a StatefulSet that makes one pod
// after another. A pod that it is not to make as long as a lower one waits is there
// nevertheless if that one was evicted, or preempted, a moment later; and where none waits it goes
// on to pods that it has never had.
func (t *trial) inOrder(load string, want, have count) bool {
	i := slices.IndexFunc(t.before.StatefulSets, func(set *appsv1.StatefulSet) bool {
		return set.Name == load && set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
	})
	if i < 0 {
		return false
	}
	replicas, had, waits := int(*t.before.StatefulSets[i].Spec.Replicas), counts(t.before.Pods)[load], 0
	for _, e := range t.plan.Evictions {
		if e.Workload == "StatefulSet/"+load && slices.Contains(e.Marks, report.MarkWaits) {
			waits++
		}
	}
	for _, p := range t.plan.Preempted {
		if p.Workload == "StatefulSet/"+load && slices.Contains(p.Marks, report.MarkWaits) {
			waits++
		}
	}
	if had.placed+had.pending < replicas {
		return have.placed == want.placed && (have.pending > 0) == (have.placed < replicas)
	}
	return have.placed == want.placed && (have.pending > 0) == (want.pending > 0) && have.pending <= want.pending+waits
}

// expectedCounts are those of the snapshot with what the plan says added up. A
// DaemonSet's pods are those of its changes.
func (t *trial) expectedCounts() map[string]count {
	want := counts(t.before.Pods)
	pods := map[types.UID]*corev1.Pod{}
	for _, pod := range t.before.Pods {
		pods[pod.UID] = pod
	}
	add := func(load string, placed, pending int) {
		c := want[load]
		want[load] = count{c.placed + placed, c.pending + pending}
	}
	moved := func(load, newNode, pendingReason string, marks []report.Mark) {
		switch {
		case newNode != "":
			add(load, 1, 0)
		case pendingReason != "" && !slices.Contains(marks, report.MarkWaits):
			add(load, 0, 1)
		}
	}
	for _, e := range t.plan.Evictions {
		pod := pods[e.UID]
		if pod == nil || ownerKind(pod) == "DaemonSet" {
			continue
		}
		if active(pod) {
			add(loadOf(pod), -1, 0)
		}
		moved(loadOf(pod), e.NewNode, e.PendingReason, e.Marks)
	}
	for _, p := range t.plan.Preempted {
		load := t.loadNamed(p.Namespace, p.Name, p.Workload)
		add(load, -1, 0)
		moved(load, p.NewNode, p.PendingReason, p.Marks)
	}
	for _, f := range t.plan.Freed {
		runs, waited := 1, 1
		pod := t.before.Pod(f.Namespace, f.Name)
		switch {
		case pod == nil: // its StatefulSet had not made it yet
			waited = 0
		case pod.Annotations[endsAnnotation] != "": // it runs to its end at once
			runs = 0
		}
		add(t.loadNamed(f.Namespace, f.Name, f.Workload), runs, -waited)
	}
	for _, d := range t.plan.Daemons {
		add(d.Name, len(d.Starts)-len(d.Stops), 0)
	}
	for _, e := range t.plan.Evictions { // a Job that fails loses all its pods
		if slices.Contains(e.Marks, report.MarkJobFails) {
			want[loadOf(pods[e.UID])] = count{}
		}
	}
	return want
}

// loadNamed is the load of a pod of the plan, which may not be in the snapshot.
func (t *trial) loadNamed(namespace, name, workload string) string {
	if pod := t.before.Pod(namespace, name); pod != nil {
		return loadOf(pod)
	}
	_, name, _ = strings.Cut(workload, "/")
	return name
}

// compareFreed compares how many of each load's waiting pods have got a node. One that
// was preempted since may be one of them: kubectl takes taints off one node after
// another, and pods come to the first of them all.
func (t *trial) compareFreed() {
	want, have, preempted, returning := map[string]int{}, map[string]int{}, map[string]int{}, t.returningLoads()
	for _, f := range t.plan.Freed {
		again := slices.ContainsFunc(t.plan.Preempted, func(p report.PreemptedPod) bool { return p.Namespace == f.Namespace && p.Name == f.Name })
		if !again && t.before.Pod(f.Namespace, f.Name) != nil {
			want[t.loadNamed(f.Namespace, f.Name, f.Workload)]++
		}
	}
	for _, pod := range t.before.Pods {
		l, ok := t.lives[pod.UID]
		switch {
		case !ok || pod.Spec.NodeName != "" || !active(pod):
		case l.reason == corev1.PodReasonPreemptionByScheduler:
			preempted[loadOf(pod)]++
		case l.pod.Spec.NodeName != "" && !l.gone:
			have[loadOf(pod)]++
		}
	}
	loads := maps.Clone(want)
	maps.Copy(loads, have)
	for _, load := range slices.Sorted(maps.Keys(loads)) {
		if returning[load] || have[load] <= want[load] && want[load] <= have[load]+preempted[load] {
			continue
		}
		t.differ("%d waiting pods of %s have got a node, and %d have been preempted; planned: %d", have[load], load, preempted[load], want[load])
	}
}

// compareDaemons compares on which nodes each DaemonSet has started and stopped.
func (t *trial) compareDaemons() {
	want, have, returning := map[string]string{}, map[string]string{}, t.returningLoads()
	for _, d := range t.plan.Daemons {
		want[d.Name] = fmt.Sprintf("starts on %v, stops on %v", slices.Sorted(slices.Values(d.Starts)), slices.Sorted(slices.Values(d.Stops)))
	}
	was, is := daemonNodes(t.before.Pods), daemonNodes(present(t.lives))
	for _, set := range t.before.DaemonSets {
		starts, stops := without(is[set.Name], was[set.Name]), without(was[set.Name], is[set.Name])
		if len(starts)+len(stops) > 0 {
			have[set.Name] = fmt.Sprintf("starts on %v, stops on %v", starts, stops)
		}
		if !returning[set.Name] && want[set.Name] != have[set.Name] {
			t.differ("DaemonSet %s %s; planned: %s", set.Name, have[set.Name], want[set.Name])
		}
	}
}

// daemonNodes are the nodes of each DaemonSet's pods.
func daemonNodes(pods []*corev1.Pod) map[string][]string {
	nodes := map[string][]string{}
	for _, pod := range pods {
		if ownerKind(pod) == "DaemonSet" && active(pod) && pod.Spec.NodeName != "" {
			nodes[loadOf(pod)] = append(nodes[loadOf(pod)], pod.Spec.NodeName)
		}
	}
	return nodes
}

// without are the names in a that are not in b, sorted.
func without(a, b []string) []string {
	return slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })))
}
