package plan_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// planned plans a change, as kubectl taint takes it, of nodes.
func planned(t testing.TB, opts plan.Options, nodes, change string, objects ...snapshot.Object) *report.TaintPlan {
	t.Helper()
	p, err := tryPlan(t, opts, nodes, change, objects...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPlan(t testing.TB, opts plan.Options, nodes, change string, objects ...snapshot.Object) (*report.TaintPlan, error) {
	t.Helper()
	parsed, err := taint.Parse(strings.Fields(change))
	if err != nil {
		t.Fatal(err)
	}
	planner, err := plan.New(t.Context(), build.Snapshot(objects...), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	return planner.Plan(t.Context(), strings.Fields(nodes), parsed)
}

// nodes are so many with room for two pods of one cpu, n0, n1, ...
func nodes(n int) []snapshot.Object {
	return build.Nodes(n, "n", func(b *build.NodeBuilder) { b.Capacity("cpu=2") })
}

// running is a ready pod of one cpu on a node, with the label app.
func running(name, node string, edits ...func(*build.PodBuilder)) *corev1.Pod {
	b := build.Pod("ns", name).Request("cpu=1").Label("app", "web").Node(node)
	b.With(func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: build.Epoch})
	})
	for _, edit := range edits {
		edit(b)
	}
	return b.Obj()
}

func owner(kind, name string) func(*build.PodBuilder) {
	version, ok := map[string]string{"Node": "v1", "Job": "batch/v1", "PyTorchJob": "kubeflow.org/v1"}[kind]
	if !ok {
		version = "apps/v1"
	}
	return func(b *build.PodBuilder) { b.Owner(version, kind, name) }
}

func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = &build.Epoch }

func with(edit func(*corev1.Pod)) func(*build.PodBuilder) {
	return func(b *build.PodBuilder) { b.With(edit) }
}

// tolerating tolerates the taint k=v:NoExecute for so many seconds, for ever when they
// are negative.
func tolerating(seconds int64) func(*build.PodBuilder) {
	return func(b *build.PodBuilder) {
		b.Toleration("k=v:NoExecute").With(func(pod *corev1.Pod) {
			if seconds >= 0 {
				pod.Spec.Tolerations[len(pod.Spec.Tolerations)-1].TolerationSeconds = &seconds
			}
		})
	}
}

func replicaSet(replicas int32) snapshot.Object {
	return build.ReplicaSet("ns", "web", "", replicas, build.Pod("ns", "").Request("cpu=1").Label("app", "web"))
}

func statefulSet(replicas int32, policy appsv1.PodManagementPolicyType) snapshot.Object {
	set := build.StatefulSet("ns", "db", replicas, build.Pod("ns", "").Request("cpu=1").Label("app", "db"))
	set.Spec.PodManagementPolicy = policy
	return set
}

func job(edit func(*batchv1.Job)) snapshot.Object {
	j := build.Job("ns", "train", 2, 4, build.Pod("ns", "").Request("cpu=1"))
	edit(j)
	return j
}

// brief is an eviction in short: "name n0 5s mark,mark -> n1", with "pending" and
// "nothing" for the replacement.
func brief(e report.Eviction) string {
	text := e.Name + " " + e.Node
	if e.AfterSeconds > 0 {
		text += " " + (time.Duration(e.AfterSeconds) * time.Second).String()
	}
	var marks []string
	for _, mark := range e.Marks {
		marks = append(marks, string(mark))
	}
	if len(marks) > 0 {
		text += " " + strings.Join(marks, ",")
	}
	switch {
	case e.NewNode != "":
		return text + " -> " + e.NewNode
	case e.PendingReason != "":
		return text + " -> pending"
	}
	return text + " -> nothing"
}

func briefly(p *report.TaintPlan) []string {
	var texts []string
	for _, e := range p.Evictions {
		texts = append(texts, brief(e))
	}
	return texts
}

func TestWhatComesInstead(t *testing.T) {
	local := build.PV("disk", "local", "1Gi", "x", "")
	local.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disk"}}
	pinned := func(b *build.PodBuilder) { b.NodeAffinity(corev1.LabelHostname, corev1.NodeSelectorOpIn, "n0") }
	tests := map[string]struct {
		objects []snapshot.Object
		want    []string
	}{
		"a ReplicaSet's pods go elsewhere": {
			objects: []snapshot.Object{replicaSet(2), running("a", "n0", owner("ReplicaSet", "web")), running("b", "n0", owner("ReplicaSet", "web"))},
			want:    []string{"a n0 -> n1", "b n0 -> n1"},
		},
		"one that does not fit stays pending": {
			objects: []snapshot.Object{replicaSet(3), running("a", "n0", owner("ReplicaSet", "web")), running("b", "n0", owner("ReplicaSet", "web")), running("c", "n1", owner("ReplicaSet", "web"))},
			want:    []string{"a n0 -> n1", "b n0 -> pending"},
		},
		"a pod that was resized in place is made anew of the template": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"), with(func(pod *corev1.Pod) {
				pod.Spec.Containers[0].Resources.Requests = build.Resources("cpu=4")
			}))},
			want: []string{"a n0 -> n1"},
		},
		"what an admission webhook has put into a pod comes again": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"), with(func(pod *corev1.Pod) {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Resources: corev1.ResourceRequirements{Requests: build.Resources("cpu=2")}})
			}))},
			want: []string{"a n0 -> pending"},
		},
		"a ReplicaSet that wants fewer does not replace": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web")), running("b", "n0", owner("ReplicaSet", "web"))},
			want:    []string{"a n0 -> n1", "b n0 surplus -> nothing"},
		},
		"a ReplicaSet that is being deleted does not replace": {
			objects: []snapshot.Object{
				build.ReplicaSet("ns", "web", "", 1, build.Pod("ns", "").Request("cpu=1")), running("a", "n0", owner("ReplicaSet", "web")),
				deleting(build.ReplicaSet("ns", "gone", "", 1, build.Pod("ns", ""))), running("b", "n0", owner("ReplicaSet", "gone")),
			},
			want: []string{"a n0 -> n1", "b n0 surplus -> nothing"},
		},
		"a bare pod is lost": {
			objects: []snapshot.Object{running("a", "n0")},
			want:    []string{"a n0 bare -> nothing"},
		},
		"a static pod's image goes and its room stays": {
			objects: []snapshot.Object{
				running("etcd", "n0", owner("Node", "n0"), with(func(pod *corev1.Pod) { pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} })),
			},
			want: []string{"etcd n0 mirror -> nothing"},
		},
		"a finished pod is deleted and not replaced": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"), with(func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })), running("b", "n1", owner("ReplicaSet", "web"))},
			want:    []string{"a n0 finished -> nothing"},
		},
		"a pod that is being deleted has been replaced": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"), with(terminating)), running("b", "n1", owner("ReplicaSet", "web"))},
			want:    []string{"a n0 terminating,surplus -> nothing"},
		},
		"gates of the template hold the new pod": {
			objects: []snapshot.Object{
				build.ReplicaSet("ns", "web", "", 1, build.Pod("ns", "").Request("cpu=1").Gate("example.com/quota")), running("a", "n0", owner("ReplicaSet", "web")),
			},
			want: []string{"a n0 -> pending"},
		},
		"an unknown controller is taken to replace": {
			objects: []snapshot.Object{running("a", "n0", owner("PyTorchJob", "train")), running("b", "n0", owner("ReplicaSet", "not-here"))},
			want:    []string{"a n0 unknown-owner -> n1", "b n0 unknown-owner -> n1"},
		},
		"local data is lost": {
			objects: []snapshot.Object{
				replicaSet(3), local, build.PVC("ns", "claim", "local", "1Gi", "disk"),
				running("a", "n0", owner("ReplicaSet", "web"), with(func(pod *corev1.Pod) {
					pod.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
				})),
				running("b", "n0", owner("ReplicaSet", "web"), func(b *build.PodBuilder) { b.PVC("claim") }),
			},
			want: []string{"a n0 local-volume -> n1", "b n0 local-volume -> n1"},
		},
		"a toleration delays": {
			objects: []snapshot.Object{replicaSet(3), running("a", "n0", owner("ReplicaSet", "web"), tolerating(60), pinned), running("b", "n0", owner("ReplicaSet", "web"), tolerating(-1))},
			want:    []string{"a n0 1m0s returns -> n0"},
		},
		"a DaemonSet's new pod has the tolerations of its template": {
			objects: []snapshot.Object{tolerantDaemons(-1), running("a", "n0", owner("DaemonSet", "agent"), pinned)},
			want:    []string{"a n0 daemonset -> n0"},
		},
		"a DaemonSet that tolerates for a time starts again": {
			objects: []snapshot.Object{tolerantDaemons(5), running("a", "n0", owner("DaemonSet", "agent"), pinned, tolerating(5))},
			want:    []string{"a n0 5s daemonset,returns -> n0"},
		},
		"a DaemonSet whose template does not tolerate stops at once": {
			objects: []snapshot.Object{build.DaemonSet("ns", "agent", build.Pod("ns", "")), running("a", "n0", owner("DaemonSet", "agent"), pinned, tolerating(5))},
			want:    []string{"a n0 daemonset -> nothing"},
		},
		"a StatefulSet makes one pod after another": {
			objects: []snapshot.Object{
				statefulSet(3, appsv1.OrderedReadyPodManagement),
				running("db-0", "n0", owner("StatefulSet", "db"), with(func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "n0"} })),
				running("db-1", "n0", owner("StatefulSet", "db")), running("db-2", "n1", owner("StatefulSet", "db")),
			},
			want: []string{"db-0 n0 statefulset -> pending", "db-1 n0 statefulset,waits -> pending"},
		},
		"or all at once": {
			objects: []snapshot.Object{
				statefulSet(3, appsv1.ParallelPodManagement),
				running("db-0", "n0", owner("StatefulSet", "db"), with(func(pod *corev1.Pod) { pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "n0"} })),
				running("db-1", "n0", owner("StatefulSet", "db")), running("db-2", "n1", owner("StatefulSet", "db")),
			},
			want: []string{"db-0 n0 statefulset -> pending", "db-1 n0 statefulset -> n1"},
		},
		"in order, when each finds a node": {
			objects: []snapshot.Object{statefulSet(2, appsv1.OrderedReadyPodManagement), running("db-0", "n0", owner("StatefulSet", "db")), running("db-1", "n0", owner("StatefulSet", "db"))},
			want:    []string{"db-0 n0 statefulset -> n1", "db-1 n0 statefulset -> n1"},
		},
		"an ordinal that is not wanted is surplus": {
			objects: []snapshot.Object{statefulSet(1, appsv1.OrderedReadyPodManagement), running("db-0", "n1", owner("StatefulSet", "db")), running("db-1", "n0", owner("StatefulSet", "db"))},
			want:    []string{"db-1 n0 statefulset,surplus -> nothing"},
		},
		"a Job's pods are made again": {
			objects: []snapshot.Object{job(func(*batchv1.Job) {}), running("a", "n0", owner("Job", "train")), running("b", "n0", owner("Job", "train"))},
			want:    []string{"a n0 -> n1", "b n0 -> n1"},
		},
		"a Job without enough left to do makes fewer": {
			objects: []snapshot.Object{job(func(j *batchv1.Job) { j.Status.Succeeded = 3 }), running("a", "n0", owner("Job", "train")), running("b", "n0", owner("Job", "train"))},
			want:    []string{"a n0 -> n1", "b n0 surplus -> nothing"},
		},
		"a Job that bears no more failures fails": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) { j.Spec.BackoffLimit, j.Status.Failed = new(int32(2)), 1 }),
				running("a", "n0", owner("Job", "train")), running("b", "n0", owner("Job", "train")),
				running("c", "n0", owner("Job", "train"), tolerating(10)), running("d", "n1", owner("Job", "train")),
			},
			want: []string{"a n0 -> nothing", "b n0 job-fails -> nothing"},
		},
		"a Job that ignores disruptions does not": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) {
					j.Spec.BackoffLimit = new(int32(0))
					onDisruption(j, batchv1.PodFailurePolicyActionIgnore)
				}),
				running("a", "n0", owner("Job", "train")), running("b", "n0", owner("Job", "train")),
			},
			want: []string{"a n0 -> n1", "b n0 -> n1"},
		},
		"a Job may fail by its policy": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) { onDisruption(j, batchv1.PodFailurePolicyActionFailJob) }), running("a", "n0", owner("Job", "train")),
			},
			want: []string{"a n0 job-fails -> nothing"},
		},
		"an index that has failed is not made again": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) {
					j.Spec.CompletionMode = new(batchv1.IndexedCompletion)
					j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = new(int32(1)), new(int32(3))
					j.Status.FailedIndexes = new("2,4-4")
				}),
				running("a", "n0", owner("Job", "train"), failedBefore("1")), running("b", "n0", owner("Job", "train"), failedBefore("0")),
			},
			want: []string{"a n0 surplus -> nothing", "b n0 -> n1"},
		},
		"too many failed indexes fail a Job": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) {
					j.Spec.CompletionMode = new(batchv1.IndexedCompletion)
					j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = new(int32(1)), new(int32(3))
					j.Status.FailedIndexes = new("2-4")
				}),
				running("a", "n0", owner("Job", "train"), failedBefore("1")),
			},
			want: []string{"a n0 job-fails -> nothing"},
		},
		"a StatefulSet that wants more than any cluster holds": {
			objects: []snapshot.Object{statefulSet(math.MaxInt32, appsv1.OrderedReadyPodManagement), running("db-0", "n0", owner("StatefulSet", "db"))},
			want:    []string{"db-0 n0 statefulset -> n1"},
		},
		"where another scheduler puts a pod is not known": {
			objects: []snapshot.Object{replicaSet(1), running("a", "n0", owner("ReplicaSet", "web"), scheduler("volcano")), running("b", "n0", scheduler("volcano"))},
			want:    []string{"a n0 unknown-scheduler -> nothing", "b n0 bare -> nothing"},
		},
		"nor that of the pods that wait for it": {
			objects: []snapshot.Object{
				statefulSet(2, appsv1.OrderedReadyPodManagement),
				running("db-0", "n0", owner("StatefulSet", "db"), scheduler("volcano")), running("db-1", "n0", owner("StatefulSet", "db"), scheduler("volcano")),
			},
			want: []string{"db-0 n0 statefulset,unknown-scheduler -> nothing", "db-1 n0 statefulset,waits,unknown-scheduler -> nothing"},
		},
		"a Job that fails by its policy makes none for another scheduler": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(1)) }),
				running("a", "n0", owner("Job", "train"), scheduler("volcano")), running("b", "n0", owner("Job", "train"), scheduler("volcano"), tolerating(5)),
			},
			want: []string{"a n0 -> nothing", "b n0 5s job-fails -> nothing"},
		},
		"what managedBy names is not known": {
			objects: []snapshot.Object{
				job(func(j *batchv1.Job) {
					j.Spec.ManagedBy, j.Spec.BackoffLimit = new("kueue.x-k8s.io/multikueue"), new(int32(0))
				}),
				running("a", "n0", owner("Job", "train")),
			},
			want: []string{"a n0 unknown-owner -> n1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := planned(t, plan.Options{}, "n0", "k=v:NoExecute", append(nodes(2), test.objects...)...)
			if diff := cmp.Diff(test.want, briefly(p)); diff != "" {
				t.Error("evictions (-want +got):\n" + diff)
			}
		})
	}
}

func scheduler(name string) func(*build.PodBuilder) {
	return with(func(pod *corev1.Pod) { pod.Spec.SchedulerName = name })
}

func deleting(rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	rs.DeletionTimestamp = &build.Epoch
	return rs
}

func tolerantDaemons(seconds int64) snapshot.Object {
	template := build.Pod("ns", "")
	tolerating(seconds)(template)
	return build.DaemonSet("ns", "agent", template)
}

func onDisruption(j *batchv1.Job, action batchv1.PodFailurePolicyAction) {
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}}},
		{Action: action, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
	}}
}

func failedBefore(times string) func(*build.PodBuilder) {
	return with(func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{batchv1.JobIndexFailureCountAnnotation: times}
	})
}

func TestNothingChanges(t *testing.T) {
	objects := []snapshot.Object{build.Node("n0").Capacity("cpu=2").Taint("k=v:NoExecute").Obj(), running("a", "n0")}
	parsed, err := taint.Parse([]string{"k=v:NoExecute"})
	if err != nil {
		t.Fatal(err)
	}
	parsed.Overwrite = true
	planner, err := plan.New(t.Context(), build.Snapshot(objects...), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	p, err := planner.Plan(t.Context(), []string{"n0"}, parsed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"nodes", "evictions", "stranded", "freed", "workloads", "waves", "drift"} {
		if !strings.Contains(string(text), `"`+list+`":[]`) {
			t.Errorf("want %q as an empty list in %s", list, text)
		}
	}
}

func TestErrors(t *testing.T) {
	objects := append(nodes(2), build.Node("gpu-1").Taint("k=v:NoExecute").Obj())
	tests := map[string]struct {
		opts          plan.Options
		nodes, change string
		want          string
	}{
		"no such node":    {nodes: "gpu-11", change: "k=v:NoExecute", want: `nodes "gpu-11" not found; did you mean "gpu-1"?`},
		"already there":   {nodes: "gpu-1", change: "k=w:NoExecute", want: "node gpu-1 already has k taint(s) with same effect(s) and --overwrite is false"},
		"in no wave":      {nodes: "n0 n1", change: "k=v:NoExecute", opts: plan.Options{Split: [][]string{{"n0"}}}, want: "node n1 is in no wave: the waves must name every node that changes"},
		"not on the node": {nodes: "n0", change: "k-", want: `node n0: taint "k" not found: there are none`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tryPlan(t, test.opts, test.nodes, test.change, objects...)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestPodsThatWait(t *testing.T) {
	waiting := func(name string, cpu string) *corev1.Pod {
		return build.Pod("ns", name).Request("cpu=" + cpu).Unschedulable("0/2 nodes are available").Obj()
	}
	tainted := build.Node("n0").Capacity("cpu=2").Taint("k=v:NoSchedule").Obj()
	tests := map[string]struct {
		nodes, change string
		objects       []snapshot.Object
		want          []report.FreedPod
	}{
		"get a node when its taint goes": {
			nodes: "n0", change: "k-",
			objects: []snapshot.Object{tainted, waiting("a", "1"), waiting("b", "8")},
			want:    []report.FreedPod{{Namespace: "ns", Name: "a", Node: "n0", Wave: 1}},
		},
		"those that fit anyway are not freed, but take room": {
			nodes: "n0", change: "k-",
			objects: []snapshot.Object{tainted, build.Node("n1").Capacity("cpu=1").Obj(), waiting("a", "1"), waiting("b", "2"), waiting("c", "1")},
			want:    []report.FreedPod{{Namespace: "ns", Name: "b", Node: "n0", Wave: 1}},
		},
		"get the room of those that are evicted, if they tolerate": {
			nodes: "n0", change: "k=v:NoExecute",
			objects: []snapshot.Object{
				build.Node("n0").Capacity("cpu=2").Obj(), running("x", "n0"), running("y", "n0"),
				build.Pod("ns", "a").Request("cpu=1").Toleration("k=v:NoExecute").Obj(), waiting("b", "1"),
			},
			want: []report.FreedPod{{Namespace: "ns", Name: "a", Node: "n0", Wave: 1}},
		},
		"for as long as they tolerate the node": {
			nodes: "n0", change: "k=v:NoExecute",
			objects: []snapshot.Object{
				build.Node("n0").Capacity("cpu=1").Obj(), running("x", "n0"),
				build.Pod("ns", "a").Request("cpu=1").With(func(pod *corev1.Pod) {
					pod.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(12))}}
				}).Obj(),
			},
			want: []report.FreedPod{{Namespace: "ns", Name: "a", Node: "n0", ForSeconds: 12, Wave: 1}},
		},
		"a StatefulSet goes on when the first has a node": {
			nodes: "n0", change: "k-",
			objects: []snapshot.Object{
				tainted, statefulSet(4, appsv1.OrderedReadyPodManagement),
				build.Pod("ns", "db-0").Request("cpu=1").Owner("apps/v1", "StatefulSet", "db").Obj(),
			},
			want: []report.FreedPod{
				{Namespace: "ns", Name: "db-0", Workload: "StatefulSet/db", Node: "n0", Wave: 1},
				{Namespace: "ns", Name: "db-1", Workload: "StatefulSet/db", Node: "n0", Wave: 1},
			},
		},
		"a daemon comes to a freed node too": {
			nodes: "n0", change: "k-",
			objects: []snapshot.Object{
				tainted, build.DaemonSet("ns", "agent", build.Pod("ns", "").Request("cpu=2").Priority("high", 10)), waiting("a", "1"),
			},
			want: []report.FreedPod{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := planned(t, plan.Options{}, test.nodes, test.change, test.objects...)
			if diff := cmp.Diff(test.want, p.Freed); diff != "" {
				t.Error("freed (-want +got):\n" + diff)
			}
		})
	}
}

func TestPreemption(t *testing.T) {
	low := func(name, node string) *corev1.Pod { return running(name, node, owner("ReplicaSet", "web")) }
	high := running("vip", "n0", owner("PyTorchJob", "train"), func(b *build.PodBuilder) { b.Priority("high", 10) })
	p := planned(t, plan.Options{}, "n0", "k=v:NoExecute", append(nodes(2), replicaSet(2), high, low("a", "n1"), low("b", "n1"))...)
	if diff := cmp.Diff([]string{"vip n0 unknown-owner -> n1"}, briefly(p)); diff != "" {
		t.Error("evictions (-want +got):\n" + diff)
	}
	if len(p.Preempted) != 1 {
		t.Fatalf("preempted %+v, want one pod", p.Preempted)
	}
	got := p.Preempted[0]
	if got.By != "ns/vip" || got.Node != "n1" || got.Workload != "ReplicaSet/web" || got.NewNode != "" || got.PendingReason == "" {
		t.Errorf("preempted %+v, want a pod of ReplicaSet/web on n1 that stays pending", got)
	}
}

func priority(value int32) func(*build.PodBuilder) {
	return func(b *build.PodBuilder) { b.Priority("p", value) }
}

func cpu(count string) func(*build.PodBuilder) {
	return func(b *build.PodBuilder) { b.Request("cpu=" + count) }
}

func TestPreemptionLosesPods(t *testing.T) {
	p := planned(t, plan.Options{}, "n0", "k=v:NoExecute", append(nodes(2),
		job(func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(0)) }), running("train", "n1", owner("Job", "train")), running("bare", "n1"),
		running("vip", "n0", owner("PyTorchJob", "vip"), priority(10), cpu("2")))...)
	got := map[string][]report.Mark{}
	for _, v := range p.Preempted {
		got[v.Name] = v.Marks
	}
	want := map[string][]report.Mark{"train": {report.MarkJobFails}, "bare": {report.MarkBare}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("marks of the preempted (-want +got):\n" + diff)
	}
}

// When a Job fails by a preemption, what it has made in place of the evicted is not
// placed any more.
func TestJobFailsWhileItsPodsAreQueued(t *testing.T) {
	onN1 := func(b *build.PodBuilder) { b.NodeSelector(corev1.LabelHostname, "n1") }
	p := planned(t, plan.Options{}, "n0", "k=v:NoExecute", append(nodes(3),
		job(func(j *batchv1.Job) { j.Spec.BackoffLimit = new(int32(1)) }), running("a", "n0", owner("Job", "train")), running("b", "n1", owner("Job", "train")),
		running("vip", "n0", owner("PyTorchJob", "vip"), priority(10), cpu("2"), onN1))...)
	if diff := cmp.Diff([]string{"a n0 -> nothing", "vip n0 unknown-owner -> n1"}, briefly(p)); diff != "" {
		t.Error("evictions (-want +got):\n" + diff)
	}
}

// A pod that is preempted as soon as it is placed does not let its set go on: db-1 has
// room on n2.
func TestPreemptedAtOnce(t *testing.T) {
	near := func(b *build.PodBuilder) { b.PodAffinity("app=near", corev1.LabelHostname) }
	set := build.StatefulSet("ns", "db", 2, build.Pod("ns", "").Request("cpu=100m").Label("app", "db"))
	set.Status.CurrentRevision, set.Status.UpdateRevision = "old", "new" // db-0 is, and stays, of the old one.
	set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(1))}}
	p := planned(t, plan.Options{}, "n0", "k=v:NoExecute",
		build.Node("n0").Capacity("cpu=8").Obj(), build.Node("n1").Capacity("cpu=2").Obj(), build.Node("n2").Capacity("cpu=500m").Obj(), set,
		running("a-0", "n0", owner("StatefulSet", "a"), priority(10), near),
		running("b-0", "n0", owner("StatefulSet", "b"), priority(10), func(b *build.PodBuilder) { b.Label("app", "near") }),
		running("db-0", "n0", owner("StatefulSet", "db")))
	want := []string{"a-0 n0 statefulset,unknown-owner -> n1", "b-0 n0 statefulset,unknown-owner -> n1", "db-0 n0 statefulset -> n1"}
	if diff := cmp.Diff(want, briefly(p)); diff != "" {
		t.Error("evictions (-want +got):\n" + diff)
	}
	if len(p.Preempted) != 1 || p.Preempted[0].Name != "db-0" || p.Preempted[0].PendingReason == "" {
		t.Errorf("preempted %+v, want db-0, which then waits", p.Preempted)
	}
	if len(p.Freed) != 0 {
		t.Errorf("freed %+v, want nothing: db-1 is made when db-0 is ready", p.Freed)
	}
}

// What another scheduler places is neither ready nor without a node, and stands in no
// wave's way.
func TestOtherSchedulers(t *testing.T) {
	p := planned(t, plan.Options{AutoWaves: true}, "n0 n1", "k=v:NoExecute", append(nodes(3), replicaSet(2),
		running("a", "n0", owner("ReplicaSet", "web"), scheduler("yunikorn")), running("b", "n1", owner("ReplicaSet", "web"), scheduler("volcano")))...)
	if diff := cmp.Diff([][]string{{"n0", "n1"}}, p.Waves); diff != "" || len(p.Short) > 0 {
		t.Errorf("short %+v, waves (-want +got):\n%s", p.Short, diff)
	}
	if diff := cmp.Diff([]report.Unknown{{Text: "scheduler volcano, yunikorn: places 2 of the displaced pods; where they go is not known"}}, p.Unknown); diff != "" {
		t.Error("unknown (-want +got):\n" + diff)
	}
	if w := p.Workloads[0]; w.Evicted != 2 || w.ReadyBefore != 2 || w.ReadyAfter != 0 || w.Pending != 0 {
		t.Errorf("workload %+v, want 2 of 2 evicted, none ready afterwards, none pending", w)
	}
}

func TestProgress(t *testing.T) {
	for name, opts := range map[string]plan.Options{"one wave": {}, "auto": {AutoWaves: true}} {
		t.Run(name, func(t *testing.T) {
			var told []int
			opts.Progress = func(done, total int) {
				if total != 3 {
					t.Errorf("total %d, want 3", total)
				}
				told = append(told, done)
			}
			planned(t, opts, "n0 n1 n2", "k=v:NoExecute", append(append(nodes(6), onePerNode(3)...), budget("web", 1))...)
			if diff := cmp.Diff([]int{1, 2, 3}, told); diff != "" {
				t.Error("progress (-want +got):\n" + diff)
			}
		})
	}
}

func TestSameTwice(t *testing.T) {
	objects := append(nodes(6), replicaSet(6))
	for i := range 6 {
		objects = append(objects, running("web-"+string(rune('a'+i)), "n"+string(rune('0'+i/2)), owner("ReplicaSet", "web")))
	}
	opts := plan.Options{AutoWaves: true}
	first := planned(t, opts, "n0 n1 n2", "k=v:NoExecute", objects...)
	slices.Reverse(objects)
	if diff := cmp.Diff(first, planned(t, opts, "n0 n1 n2", "k=v:NoExecute", objects...)); diff != "" {
		t.Error("the same plan differs (-first +second):\n" + diff)
	}
}

func TestPlanLeavesThePlannerAsItWas(t *testing.T) {
	snap := build.Snapshot(append(nodes(3), replicaSet(2), running("a", "n0", owner("ReplicaSet", "web")), running("b", "n1", owner("ReplicaSet", "web")))...)
	planner, err := plan.New(t.Context(), snap, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	change := taint.Change{Add: []corev1.Taint{build.Taint("k=v:NoExecute")}}
	var plans []*report.TaintPlan
	for range 2 {
		p, err := planner.Plan(t.Context(), []string{"n0", "n1"}, change)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	if diff := cmp.Diff(plans[0], plans[1]); diff != "" {
		t.Error("the second plan differs (-first +second):\n" + diff)
	}
	if snap.Node("n0").Spec.Taints != nil || metav1.HasAnnotation(snap.Pods[0].ObjectMeta, "x") {
		t.Error("the snapshot has changed")
	}
}
