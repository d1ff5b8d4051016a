package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// threeWaves changes nodes a and b, then six more, then z.
func threeWaves(opts Options) *run {
	return newRun(nil, &report.TaintPlan{Waves: [][]string{{"a", "b"}, {"c", "d", "e", "f", "g", "h"}, {"z"}}}, opts)
}

func TestStoppedSaysWhatIsDone(t *testing.T) {
	drifted := &DriftError{Drift: []report.Drift{{Object: "node/z", Planned: "no taints", Found: "no such node"}}}
	for name, test := range map[string]struct {
		opts    Options
		wave    int
		changed []string
		unsure  bool
		err     error
		want    string
	}{
		"without an answer": {unsure: true, err: errors.New("node a: EOF"), want: "wave 1 of 3: node a: EOF; no node is known to be changed"},
		"with a file": {
			opts: Options{File: "p.yaml"}, changed: []string{"a", "b"}, err: errors.New("node c: forbidden"), wave: 1,
			want: "wave 2 of 3: node c: forbidden; done: wave 1 (nodes a, b); " +
				"run kubectl taint-plan --apply p.yaml again to continue, or kubectl taint-plan --rollback p.yaml to undo",
		},
		"at once": {err: errors.New("node a: forbidden"), want: "wave 1 of 3: node a: forbidden; no node was changed"},
		"in the first wave": {
			changed: []string{"b"}, err: errors.New("node a: forbidden"),
			want: "wave 1 of 3: node a: forbidden; done: the taints of wave 1 (node b); run --apply again to continue, or --rollback to undo",
		},
		"in the last": {
			wave: 2, changed: []string{"a", "b", "c", "d", "e", "f", "g", "h", "z"}, err: context.Canceled,
			want: "wave 3 of 3: context canceled; done: wave 1 (nodes a, b), wave 2 (nodes c, d, e, f, g and 1 more), the taints of wave 3 (node z); " +
				"run --apply again to continue, or --rollback to undo",
		},
		"for drift": {
			wave: 1, changed: []string{"a", "b", "z"}, err: drifted,
			want: "wave 2 of 3: the cluster is not as planned: node/z: planned no taints, found no such node; done: wave 1 (nodes a, b); " +
				"make a new plan for the rest, or --rollback to undo",
		},
		"in a dry run": {
			opts: Options{DryRun: true}, wave: 1, changed: []string{"c"}, err: errors.New("node d: not found"),
			want: "wave 2 of 3: node d: not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := threeWaves(test.opts)
			r.unsure = test.unsure
			for _, name := range test.changed {
				r.changed[name] = true
			}
			got := r.stopped(test.wave, test.err)
			if got.Error() != test.want {
				t.Errorf("got:\n%s, want:\n%s", got, test.want)
			}
			if !errors.Is(got, test.err) {
				t.Errorf("%v does not wrap its cause", got)
			}
		})
	}
}

func TestTimeoutFollowsThePlan(t *testing.T) {
	r := threeWaves(Options{})
	for wave, after := range []int64{30, 600, 0} {
		for i := range int64(3) {
			r.plan.Evictions = append(r.plan.Evictions, report.Eviction{Wave: int32(wave) + 1, AfterSeconds: max(0, after-i)})
		}
	}
	r.plan.Workloads = []report.WorkloadVerdict{{StartSeconds: 5}, {StartSeconds: 40}, {}}
	r.plan.Preempted = []report.PreemptedPod{{Namespace: "nlp", Name: "low", Wave: 2}}
	ends := func(name, node string, seconds int64) *corev1.Pod {
		return build.Pod("nlp", name).Node(node).With(func(pod *corev1.Pod) { pod.Spec.TerminationGracePeriodSeconds = &seconds }).Obj()
	}
	before := build.Snapshot(ends("x", "a", 3600), ends("y", "b", 5), ends("low", "other", 100), ends("stays", "other", 9999))
	for i, seconds := range []int{70 + 3600, 640 + 100, 40} {
		if got, want := r.timeout(i, before), time.Duration(seconds)*time.Second+patience; got != want {
			t.Errorf("wave %d: %s, want %s", i+1, got, want)
		}
	}
	r.opts.Timeout = time.Minute
	if got := r.timeout(1, before); got != time.Minute {
		t.Errorf("with a timeout of the user's: %s, want that", got)
	}
}

func TestReverted(t *testing.T) {
	p := &report.TaintPlan{Waves: [][]string{{"kept", "reverted", "gone"}, {"next"}}}
	for _, name := range []string{"kept", "reverted", "gone", "next"} {
		p.Nodes = append(p.Nodes, report.TaintedNode{Name: name, After: []corev1.Taint{build.Taint("m:NoExecute")}})
	}
	r := newRun(nil, p, Options{})
	for _, name := range p.Waves[0] {
		r.changed[name] = true
	}
	now := build.Snapshot(build.Node("kept").Taint("m:NoExecute").Obj(), build.Node("reverted").Taint("x:NoSchedule").Obj(), build.Node("next").Obj())
	want := []report.Drift{{Object: "node/reverted", Planned: "m:NoExecute", Found: "x:NoSchedule"}}
	if diff := cmp.Diff(want, r.reverted(now)); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
}

func TestOurs(t *testing.T) {
	planned := report.TaintedNode{Before: []corev1.Taint{build.Taint("old:NoSchedule")}, After: []corev1.Taint{build.Taint("m:NoSchedule")}}
	taints := metav1.NewFieldsV1(`{"f:spec":{"f:taints":{}}}`)
	since := build.Taint("m:NoSchedule")
	since.TimeAdded = &build.Epoch
	before := build.Taint("old:NoSchedule")
	before.TimeAdded = &build.Epoch
	owned := func(manager string, operation metav1.ManagedFieldsOperationType, fields *metav1.FieldsV1) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate}, {Manager: manager, Operation: operation, FieldsV1: fields}}
	}
	for name, test := range map[string]struct {
		taints  []corev1.Taint
		managed []metav1.ManagedFieldsEntry
		want    bool
	}{
		"applied by us":                  {[]corev1.Taint{build.Taint("m:NoSchedule")}, owned(FieldManager, metav1.ManagedFieldsOperationApply, taints), true},
		"set by another":                 {[]corev1.Taint{build.Taint("m:NoSchedule")}, owned("kubectl-taint", metav1.ManagedFieldsOperationUpdate, taints), false},
		"ours are other fields":          {[]corev1.Taint{build.Taint("m:NoSchedule")}, owned(FieldManager, metav1.ManagedFieldsOperationApply, metav1.NewFieldsV1(`{"f:spec":{}}`)), false},
		"applied, others have added one": {[]corev1.Taint{since, build.Taint("x:NoSchedule")}, owned("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, taints), true},
		"theirs, beside an older one":    {[]corev1.Taint{before, build.Taint("m:NoSchedule")}, owned("kubectl-taint", metav1.ManagedFieldsOperationUpdate, taints), false},
		"cleared":                        {nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{ManagedFields: test.managed}, Spec: corev1.NodeSpec{Taints: test.taints}}
			if got := ours(planned, node); got != test.want {
				t.Errorf("ours = %t, want %t", got, test.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	nodes := schema.GroupResource{Resource: "nodes"}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{apierrors.NewForbidden(nodes, "a", errors.New("no")), true},
		{apierrors.NewConflict(nodes, "a", errors.New("newer")), true},
		{apierrors.NewTooManyRequests("slow down", 1), true},
		{apierrors.NewTimeoutError("too slow", 1), false},
		{apierrors.NewInternalError(errors.New("etcd")), false},
		{io.ErrUnexpectedEOF, false},
	} {
		if got := refused(test.err); got != test.want {
			t.Errorf("%v: refused = %t, want %t", test.err, got, test.want)
		}
	}
}

func TestSomeCountsTheRest(t *testing.T) {
	var texts []string
	for i, want := range []string{"", "0", "0, 1", "0, 1, 2", "0, 1, 2, 3", "0, 1, 2, 3, 4", "0, 1, 2, 3, 4 and 1 more", "0, 1, 2, 3, 4 and 2 more"} {
		if got := some(texts); got != want {
			t.Errorf("%d texts: %q, want %q", i, got, want)
		}
		texts = append(texts, fmt.Sprint(i))
	}
}
