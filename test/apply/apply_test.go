package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

var fourNodes = []string{"n1", "n2", "n3", "n4"}

// web is a Deployment's template that the scheduler spreads over the nodes.
func web() *build.PodBuilder {
	return build.Pod("default", "web").Label("app", "web").Request("cpu=500m").With(func(pod *corev1.Pod) {
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}}
	})
}

// patient is web's, and stays for so many seconds on a node with the taint.
func patient(seconds int64) *build.PodBuilder {
	return web().With(func(pod *corev1.Pod) {
		pod.Spec.Tolerations = []corev1.Toleration{{Key: "maintenance", Effect: corev1.TaintEffectNoExecute, Operator: corev1.TolerationOpExists, TolerationSeconds: &seconds}}
	})
}

// webFleet has two pods of web on each of four nodes, and a budget that bears the loss
// of six, wherever the pods of one node go.
func webFleet(t *testing.T, template *build.PodBuilder) {
	t.Helper()
	fleet(t, fourNodes, build.Deployment("default", "web", 8, template), build.PDB("default", "web", "2", "app=web", 0))
	for _, name := range fourNodes {
		if pods := podsOn(t, "web", name); len(pods) != 2 {
			t.Fatalf("node %s has the pods %v, want two", name, pods)
		}
	}
}

func TestWavesComeOneAfterAnother(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance=disk:NoExecute")
	notDrifted(t, p)

	var readyAtWave []int32
	steps, err := run(t, p, func(opts *apply.Options) {
		load, ready, told := opts.Load, int32(0), opts.Observer
		opts.Load = func(ctx context.Context, resources ...string) (*snapshot.Snapshot, error) {
			snap, err := load(ctx, resources...)
			if err == nil && len(resources) == 0 {
				ready = snap.Deployments[0].Status.ReadyReplicas
			}
			return snap, err
		}
		opts.Observer = observer(func(step apply.Step) {
			if step.Done == "tainted" {
				readyAtWave = append(readyAtWave, ready)
			}
			told.Step(step)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"node/n1 tainted", "wave/1 settled", "node/n2 tainted", "wave/2 settled"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int32{8, 8}, readyAtWave); diff != "" {
		t.Errorf("ready replicas before the waves (-want +got):\n%s", diff)
	}
	hasTaints(t, map[string]string{"n1": "maintenance=disk:NoExecute", "n2": "maintenance=disk:NoExecute"})
	if pods := podsOn(t, "web", "n1", "n2"); len(pods) > 0 {
		t.Errorf("pods on the tainted nodes: %v", pods)
	}
	if pods := podsOn(t, "web", "n3", "n4"); len(pods) != 8 {
		t.Errorf("pods on the other nodes: %v, want 8", pods)
	}
	for _, name := range []string{"n1", "n2"} {
		if added := nodesNow(t)[name].Spec.Taints[0].TimeAdded; added == nil {
			t.Errorf("the taint of node %s does not say since when it is there", name)
		}
	}

	t.Run("again does nothing", func(t *testing.T) {
		steps, err := run(t, p)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"node/n1 unchanged", "node/n2 unchanged", "wave/2 settled"}, steps); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

func TestDryRunStoresNothing(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
	before := managers(t)
	steps, err := run(t, p, func(opts *apply.Options) { opts.DryRun = true })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"node/n1 tainted (server dry run)", "node/n2 tainted (server dry run)"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	hasTaints(t, map[string]string{})
	if diff := cmp.Diff(before, managers(t)); diff != "" {
		t.Errorf("field managers (-before +after):\n%s", diff)
	}
}

func TestInterruptStopsBetweenWaves(t *testing.T) {
	webFleet(t, patient(300))
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
	ctx, interrupt := context.WithCancel(t.Context())
	opts := options(cluster.RESTConfig())
	opts.Observer = observer(func(step apply.Step) {
		if len(step.Waiting) > 0 {
			interrupt()
		}
	})
	err := apply.Run(ctx, cluster.Client(), p, opts)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it interrupted", err)
	}
	for _, part := range []string{
		"wave 1 of 2: context canceled while waiting: pod default/web-", " on node n1 is not evicted yet",
		"; done: the taints of wave 1 (node n1); run --apply again to continue, or --rollback to undo",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q has no %q", err, part)
		}
	}
	hasTaints(t, map[string]string{"n1": "maintenance:NoExecute"})
	notDrifted(t, p)
}

func TestWaveThatDoesNotSettle(t *testing.T) {
	webFleet(t, patient(300))
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
	_, err := run(t, p, func(opts *apply.Options) { opts.Timeout = time.Second })
	if err == nil || !strings.Contains(err.Error(), "wave 1 of 2: not settled after 1s: ") {
		t.Errorf("got %v, want it to say that the first wave does not settle", err)
	}
	hasTaints(t, map[string]string{"n1": "maintenance:NoExecute"})
}

func TestDriftBetweenWavesIsRefused(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
	_, err := run(t, p, loadsWhole(func(ctx context.Context, before int) error {
		if before != 1 { // when the first wave seems to have settled
			return nil
		}
		return cluster.CreateAll(ctx, build.Pod("default", "intruder").Node("n2").Obj())
	}))
	drifted, ok := errors.AsType[*apply.DriftError](err)
	if !ok {
		t.Fatalf("got %v, want it refused for drift", err)
	}
	want := []report.Drift{
		{Object: "pod/default/intruder", Planned: "not evicted", Found: "evicted from node n2 after 0s"},
		{Object: "wave/2", Planned: "safe", Found: "pod default/intruder would be lost: nothing replaces what has no controller"},
	}
	if diff := cmp.Diff(want, drifted.Drift); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	text := "wave 2 of 2: the cluster is not as planned: " + drifted.Drift[0].Object
	if !strings.HasPrefix(err.Error(), text) || !strings.HasSuffix(err.Error(), "; done: wave 1 (node n1); make a new plan for the rest, or --rollback to undo") {
		t.Errorf("error:\n%s, want:\n%s...", err, text)
	}
	hasTaints(t, map[string]string{"n1": "maintenance:NoExecute"})
}

func TestDriftIsNamed(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
	for _, test := range []struct {
		name   string
		change func(context.Context) error
		want   []string
	}{
		{"a taint", func(ctx context.Context) error {
			return patchNode(ctx, "n2", `{"spec":{"taints":[{"key":"x","effect":"NoSchedule"}]}}`)
		}, []string{"node/n2"}},
		{"no taint, but a label", func(ctx context.Context) error {
			return patchNode(ctx, "n2", `{"spec":{"taints":null},"metadata":{"labels":{"team":"a"}}}`)
		}, nil},
		{"a stricter budget", func(ctx context.Context) error { return setBudget(ctx, 8) }, []string{"poddisruptionbudget/default/web", "wave/1", "wave/2"}},
		{"the budget as it was", func(ctx context.Context) error { return setBudget(ctx, 2) }, nil},
		{"room on the second node only", func(ctx context.Context) error {
			return errors.Join(cordon(ctx, "n3"), cordon(ctx, "n4"))
		}, []string{"deployment/default/web", "wave/2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.change(t.Context()); err != nil {
				t.Fatal(err)
			}
			drift, err := saved.Drift(t.Context(), p, snapshotOf(t, cluster.RESTConfig()), plan.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range drift {
				got = append(got, d.Object)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("drift (-want +got):\n%s\nof %v", diff, drift)
			}
		})
	}
}

func TestOthersWriteToTheNodesMeanwhile(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 1, []string{"n1", "n2"}, "maintenance:NoExecute")
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan error)
	go func() { written <- keepWriting(ctx, "n1", "n2") }()
	_, err := run(t, p)
	if err == nil {
		err = apply.Rollback(t.Context(), cluster.Client(), p, apply.Options{})
	}
	stop()
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	hasTaints(t, map[string]string{})
	for _, name := range []string{"n1", "n2"} {
		if nodesNow(t)[name].Annotations["heartbeat"] == "" {
			t.Errorf("node %s has lost what was written meanwhile", name)
		}
	}
}

// keepWriting changes nodes as a kubelet might, until ctx ends.
func keepWriting(ctx context.Context, nodes ...string) error {
	for i := 0; ; i++ {
		err := patchNode(ctx, nodes[i%len(nodes)], fmt.Sprintf(`{"metadata":{"annotations":{"heartbeat":"%d"}}}`, i))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func TestTaintsChangedSinceThePlan(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 1, []string{"n1"}, "maintenance:NoExecute")
	taint := func(ctx context.Context) error {
		return patchNode(ctx, "n1", `{"spec":{"taints":[{"key":"x","effect":"NoSchedule"}]}}`)
	}
	_, err := run(t, p, func(opts *apply.Options) { // behind the back of what is compared
		load := opts.Load
		opts.Load = func(ctx context.Context, resources ...string) (*snapshot.Snapshot, error) {
			snap, err := load(ctx, resources...)
			return snap, errors.Join(err, taint(ctx))
		}
	})
	if want := "wave 1 of 1: node n1: its taints have changed: planned no taints, found x:NoSchedule; no node was changed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = run(t, p)
	if want := "wave 1 of 1: the cluster is not as planned: node/n1: planned no taints, found x:NoSchedule; no node was changed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	hasTaints(t, map[string]string{"n1": "x:NoSchedule"})
}

// TestHalfAWaveByAnother: the rest of a wave that another has begun is compared before
// it is changed, and a rollback leaves what the other did.
func TestHalfAWaveByAnother(t *testing.T) {
	webFleet(t, web())
	p := planned(t, 1, []string{"n1", "n2"}, "maintenance:NoExecute")
	if err := patchNode(t.Context(), "n1", `{"spec":{"taints":[{"key":"maintenance","effect":"NoExecute"}]}}`); err != nil {
		t.Fatal(err)
	}
	intruder := build.Pod("default", "intruder").Node("n2").Obj()
	if err := cluster.CreateAll(t.Context(), intruder); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, p)
	drifted, ok := errors.AsType[*apply.DriftError](err)
	if !ok || drifted.Drift[0].Object != "pod/default/intruder" {
		t.Fatalf("got %v, want it refused for the intruder", err)
	}
	hasTaints(t, map[string]string{"n1": "maintenance:NoExecute"})

	if err := cluster.Client().CoreV1().Pods("default").Delete(t.Context(), "intruder", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	steps, err := run(t, p)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(steps[:2])
	if diff := cmp.Diff([]string{"node/n1 unchanged", "node/n2 tainted", "wave/1 settled"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	undone := rollback(t, p)
	slices.Sort(undone)
	if diff := cmp.Diff([]string{"node/n1 not ours", "node/n2 restored"}, undone); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	hasTaints(t, map[string]string{"n1": "maintenance:NoExecute"})
}

// TestNodesOfAnEarlierWave that are deleted are passed over; one that is put back to
// work is drift.
func TestNodesOfAnEarlierWave(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(context.Context) error
	}{
		{"deleted", "", func(ctx context.Context) error {
			return cluster.Client().CoreV1().Nodes().Delete(ctx, "n1", metav1.DeleteOptions{})
		}},
		{"put back to work", "wave 2 of 2: the cluster is not as planned: node/n1: planned maintenance:NoExecute, found no taints", func(ctx context.Context) error {
			return patchNode(ctx, "n1", `{"spec":{"taints":null}}`)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			webFleet(t, web())
			p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute")
			_, err := run(t, p, loadsWhole(func(ctx context.Context, _ int) error { // once, and when a wave has settled
				if node := nodesNow(t)["n1"]; node != nil && len(node.Spec.Taints) > 0 {
					return test.change(ctx)
				}
				return nil
			}))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// patchNode changes a node as another would.
func patchNode(ctx context.Context, name, patch string) error {
	_, err := cluster.Client().CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "another"})
	return err
}

func cordon(ctx context.Context, name string) error {
	return patchNode(ctx, name, `{"spec":{"unschedulable":true}}`)
}

// setBudget gives the budget another minimum.
func setBudget(ctx context.Context, minAvailable int) error {
	budgets := cluster.Client().PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
	_, err := budgets.Patch(ctx, "web", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"minAvailable":%d}}`, minAvailable), metav1.PatchOptions{})
	return err
}
