package predicate_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/predicate/example"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// groupNodes enables the example plugin, with arguments of its own.
var groupNodes = example.Configuration(`{"nodeLabel": "owner", "podsPerNode": 1}`)

// furtherEngine runs the example plugin over the objects.
func furtherEngine(t *testing.T, objects ...snapshot.Object) *predicate.Engine {
	t.Helper()
	config, err := predicate.ParseConfig(groupNodes, example.Options())
	if err != nil {
		t.Fatal(err)
	}
	e, err := predicate.New(t.Context(), build.Snapshot(objects...), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func ownedNode(name, owner string) *corev1.Node {
	return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10").Label("owner", owner).Obj()
}

func groupPod(name, group string) *build.PodBuilder {
	return build.Pod("a", name).Request("cpu=1").Label(stowagev1alpha1.GroupLabel, group)
}

func TestFurtherPluginsAreKnownByTheRegistry(t *testing.T) {
	config, err := predicate.ParseConfig(groupNodes, predicate.Options{})
	if err != nil || !slices.Equal(config.Unknown, []string{example.Name}) || config.FurtherPlugins() {
		t.Errorf("without a registry: unknown %v, error %v, want the plugin unknown", config.Unknown, err)
	}
	config, err = predicate.ParseConfig(groupNodes, example.Options())
	if err != nil || len(config.Unknown) > 0 || !config.FurtherPlugins() {
		t.Errorf("with one: unknown %v, error %v, want none", config.Unknown, err)
	}
	config, err = predicate.ParseConfig(nil, example.Options())
	if err != nil || config.FurtherPlugins() {
		t.Errorf("enabled without a configuration (%v)", err)
	}
}

func TestFurtherPluginsVerdict(t *testing.T) {
	e := furtherEngine(t,
		build.BizGroup("org", "").Obj(), build.BizGroup("team", "org").Obj(), build.BizGroup("other", "").Obj(),
		ownedNode("org-1", "org"), ownedNode("other-1", "other"), ownedNode("team-1", "team"), ownedNode("free-1", ""),
		groupPod("running", "team").Node("team-1").Obj())
	v, err := e.Evaluate(t.Context(), groupPod("p", "team").Obj())
	if err != nil || v.Err != nil {
		t.Fatal(err, v.Err)
	}
	got := map[string]string{}
	for i, name := range v.Nodes {
		for _, failure := range v.Failures[i] {
			got[name] += failure.Plugin + ": " + failure.Reasons()
		}
	}
	want := map[string]string{"other-1": "GroupNodes: " + example.OtherGroup, "team-1": "GroupNodes: " + example.Crowded}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if fits := fitsOn(t, e, groupPod("p", "team").Obj()); !slices.Equal(fits, []string{"free-1", "org-1"}) {
		t.Errorf("fits on %v, want [free-1 org-1]", fits)
	}
	if v, err = e.Evaluate(t.Context(), groupPod("p", "nobody").Obj()); err != nil || len(v.Gates) != 1 || v.Gates[0].Reasons() != example.NoGroup {
		t.Errorf("gates %v (%v), want %q", v.Gates, err, example.NoGroup)
	}
}

func TestFurtherPluginsMessageAndPreemption(t *testing.T) {
	running := groupPod("running", "team").Node("n").Obj()
	e := furtherEngine(t, build.BizGroup("team", "").Obj(), ownedNode("n", "team"), running)
	v, err := e.Evaluate(t.Context(), groupPod("urgent", "team").Priority("high", 10).Obj())
	if err != nil {
		t.Fatal(err)
	}
	if want := "0/1 nodes are available: 1 " + example.Crowded + "."; v.Message != want {
		t.Errorf("message %q, want %q", v.Message, want)
	}
	preemption, err := e.Preempt(t.Context(), v)
	if err != nil || preemption.Node != "n" || len(preemption.Victims) != 1 || preemption.Victims[0].Name != "running" {
		t.Errorf("preemption %+v (%v), want the pod that is in the plugin's way", preemption, err)
	}
}

func TestFurtherKindsAreEdited(t *testing.T) {
	e := furtherEngine(t, build.BizGroup("org", "").Obj(), build.BizGroup("team", "").Obj(), ownedNode("n", "org"))
	pod := groupPod("p", "team").Obj()
	if fits := fitsOn(t, e, pod); len(fits) > 0 {
		t.Fatalf("fits on %v, want none", fits)
	}
	undo, err := e.Apply(predicate.Edit{Object: build.BizGroup("team", "org").Obj()})
	if err != nil {
		t.Fatal(err)
	}
	if fits := fitsOn(t, e, pod); !slices.Equal(fits, []string{"n"}) {
		t.Errorf("with the group moved it fits on %v, want [n]", fits)
	}
	undo()
	if fits := fitsOn(t, e, pod); len(fits) > 0 {
		t.Errorf("after undo it fits on %v, want none", fits)
	}
	fork, err := e.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer fork.Close()
	if fits := fitsOn(t, fork, groupPod("p", "org").Obj()); !slices.Equal(fits, []string{"n"}) {
		t.Errorf("a fork: fits on %v, want [n]", fits)
	}
}

func TestPermitRejectsAfterAllFilters(t *testing.T) {
	suspended := build.BizGroup("team", "").Obj()
	suspended.Annotations = map[string]string{example.SuspendedAnnotation: "true"}
	e := furtherEngine(t, suspended, ownedNode("n", "team"))
	pod := groupPod("p", "team").Obj()
	if fits := fitsOn(t, e, pod); !slices.Equal(fits, []string{"n"}) {
		t.Errorf("the filters: fits on %v, want [n]", fits)
	}
	if node, undo, err := e.Place(t.Context(), pod); err != nil || node != "" || undo != nil {
		t.Errorf("placed on %q (%v), want nowhere", node, err)
	}
	if n, _ := e.Node("n"); n.Usage().Requested.Pods > 0 {
		t.Errorf("the node holds %d pods, want none", n.Usage().Requested.Pods)
	}
}

// nothing is a plugin without extension points.
type nothing struct{ name string }

func (n nothing) Name() string { return n.name }

func TestOptionsThatCannotBe(t *testing.T) {
	kind := func(o snapshot.Object) snapshot.Kind {
		k, ok := snapshot.KindOf(o)
		if !ok {
			t.Fatalf("%T: no such kind", o)
		}
		return k
	}
	karpenter := snapshot.Kinds()[slices.IndexFunc(snapshot.Kinds(), func(k snapshot.Kind) bool { return k.Kind == "NodePool" })]
	reads := func(_ context.Context, _ apiruntime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		handle.SharedInformerFactory().Apps().V1().Deployments().Lister()
		return nothing{example.Name}, nil
	}
	for name, tc := range map[string]struct {
		opts    predicate.Options
		wantErr string
	}{
		"a name that is in-tree":   {predicate.Options{Registry: frameworkruntime.Registry{predicate.NodePorts: reads}}, "expected names that no in-tree plugin has"},
		"pods":                     {predicate.Options{Kinds: []snapshot.Kind{kind(&corev1.Pod{})}}, "found Pod, expected"},
		"a kind without a Go type": {predicate.Options{Kinds: []snapshot.Kind{karpenter}}, "found NodePool, expected kinds with a Go type"},
		"a kind that is not named": {predicate.Options{Registry: frameworkruntime.Registry{example.Name: reads}}, "plugins read v1.Deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := evaluates(t, tc.opts); err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q in it", err, tc.wantErr)
			}
		})
	}
}

// evaluates is the error of all that it takes to evaluate a pod.
func evaluates(t *testing.T, opts predicate.Options) error {
	t.Helper()
	config, err := predicate.ParseConfig(groupNodes, opts)
	if err != nil {
		return err
	}
	e, err := predicate.New(t.Context(), build.Snapshot(ownedNode("n", "")), config)
	if err != nil {
		return err
	}
	defer e.Close()
	_, err = e.Evaluate(t.Context(), build.Pod("a", "p").Obj())
	return err
}
