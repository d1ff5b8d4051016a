package predicate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// drawSpread draws a cluster with a service, a ReplicaSet, and the pods of both.
func drawSpread(t *rapid.T) []snapshot.Object {
	objects := []snapshot.Object{
		build.Service("a", "db", "app=db"),
		build.ReplicaSet("a", "web", "", 2, build.Pod("a", "web").Label("app", "web").Label("hash", "1")),
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "nodes") {
		n := build.Node(fmt.Sprintf("n%d", i)).Capacity("cpu=4,memory=8Gi,pods=10").Label(corev1.LabelHostname, fmt.Sprintf("n%d", i))
		if zone := rapid.IntRange(0, 2).Draw(t, "zone"); zone > 0 {
			n.Zone(fmt.Sprintf("zone-%d", zone))
		}
		objects = append(objects, n.Obj())
		for j := range rapid.IntRange(0, 4).Draw(t, "pods") {
			objects = append(objects, drawLabelled(t, fmt.Sprintf("p%d-%d", i, j)).Node(fmt.Sprintf("n%d", i)).Obj())
		}
	}
	return objects
}

func drawLabelled(t *rapid.T, name string) *build.PodBuilder {
	pod := build.Pod(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), name)
	for _, key := range []string{"app", "hash"} {
		if value := rapid.SampledFrom([]string{"", "web", "db", "1"}).Draw(t, key); value != "" {
			pod.Label(key, value)
		}
	}
	return pod
}

// drawCounting draws a pod whose score counts others: by the default constraints, for
// its ReplicaSet and service, or by its own.
func drawCounting(t *rapid.T) *corev1.Pod {
	pod := drawLabelled(t, "counting")
	if rapid.Bool().Draw(t, "owned") {
		pod.Owner("apps/v1", "ReplicaSet", "web")
	}
	for range rapid.IntRange(0, 2).Draw(t, "constraints") {
		pod.Spread(1, rapid.SampledFrom([]string{corev1.LabelTopologyZone, corev1.LabelHostname}).Draw(t, "key"),
			rapid.SampledFrom([]string{"app=web", "hash=1", "app=db,hash=1", ""}).Draw(t, "selector"))
	}
	return pod.With(func(p *corev1.Pod) {
		for i := range p.Spec.TopologySpreadConstraints {
			p.Spec.TopologySpreadConstraints[i].WhenUnsatisfiable = corev1.ScheduleAnyway
		}
	}).Obj()
}

// spreadScores are the normalized scores of PodTopologySpread, nil when it skips.
func spreadScores(t *rapid.T, plugin interface {
	fwk.PreScorePlugin
	fwk.ScorePlugin
}, pod *corev1.Pod, nodes []fwk.NodeInfo) fwk.NodeScoreList {
	state := framework.NewCycleState()
	status := plugin.PreScore(t.Context(), state, pod, nodes)
	if status.IsSkip() {
		return nil
	}
	if !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	var scores fwk.NodeScoreList
	for _, node := range nodes {
		score, status := plugin.Score(t.Context(), state, pod, node)
		if !status.IsSuccess() {
			t.Fatal(status.AsError())
		}
		scores = append(scores, fwk.NodeScore{Name: node.Node().Name, Score: score})
	}
	if status := plugin.ScoreExtensions().NormalizeScore(t.Context(), state, pod, scores); !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	return scores
}

// TestSpreadScoresAsUpstream: what is kept from PodTopologySpread changes no score, also
// after pods have come and gone.
func TestSpreadScoresAsUpstream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := drawnEngine(rt)
		defer e.Close()
		for range 4 {
			pod := drawCounting(rt)
			p, err := e.forPod(pod)
			if err != nil {
				rt.Fatal(err)
			}
			nodes := e.lister.current.infos
			sample := nodes[:rapid.IntRange(1, len(nodes)).Draw(rt, "sampled")]
			want := spreadScores(rt, p.spread(rt).PodTopologySpread, pod, sample)
			if diff := cmp.Diff(want, spreadScores(rt, p.spread(rt), pod, sample)); diff != "" {
				rt.Fatalf("scores of pod %v with %v (-upstream +ours):\n%s", pod.Labels, pod.Spec.TopologySpreadConstraints, diff)
			}
			drawChange(rt, e)
		}
	})
}

func drawnEngine(t *rapid.T) *Engine {
	config, err := ParseConfig(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), build.Snapshot(drawSpread(t)...), config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestBestAsUpstream: the node chosen is the first of those with the highest score
// that the framework itself gives.
func TestBestAsUpstream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := drawnEngine(rt)
		defer e.Close()
		run, err := e.prefiltered(t.Context(), drawCounting(rt))
		if err != nil || run == nil {
			rt.Fatal(run, err)
		}
		got, err := run.best(run.nodes)
		if err != nil {
			rt.Fatal(err)
		}
		if len(run.nodes) == 1 {
			return // It is not scored.
		}
		scores, status := run.profile.framework.RunScorePlugins(run.ctx, run.state, run.pod, run.nodes)
		if !status.IsSuccess() {
			rt.Fatal(status.AsError())
		}
		best := scores[0]
		for _, score := range scores {
			if score.TotalScore > best.TotalScore {
				best = score
			}
		}
		if got != best.Name {
			rt.Errorf("chose %s, upstream's scores are %v", got, scores)
		}
	})
}

// spread is the profile's plugin.
func (p *profile) spread(t *rapid.T) *spread {
	for _, plugin := range p.score {
		if s, ok := plugin.ScorePlugin.(*spread); ok {
			return s
		}
	}
	t.Fatal("no PodTopologySpread in the profile")
	return nil
}

// drawChange places a pod or evicts one.
func drawChange(t *rapid.T, e *Engine) {
	node := rapid.SampledFrom(e.lister.current.infos).Draw(t, "node")
	edit := Edit{Place: drawLabelled(t, "placed").Node(node.Node().Name).Obj()}
	if pods := node.GetPods(); len(pods) > 0 && rapid.Bool().Draw(t, "evict") {
		edit = Edit{Evict: rapid.SampledFrom(pods).Draw(t, "evicted").GetPod()}
	}
	undo, err := e.Apply(edit)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "undone") {
		undo()
	}
}
