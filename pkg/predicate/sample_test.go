package predicate

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// sampler is an engine over nodes of which those with an even number are full.
func sampler(t *testing.T, config string, nodes int) *Engine {
	t.Helper()
	parsed, err := ParseConfig([]byte(config), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var objects []snapshot.Object
	for i := range nodes {
		name := fmt.Sprintf("n%03d", i)
		objects = append(objects, build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10").Obj())
		if i%2 == 0 {
			objects = append(objects, build.Pod("a", "on-"+name).Request("cpu=4").Node(name).Obj())
		}
	}
	e, err := New(t.Context(), build.Snapshot(objects...), parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// profilesText is a configuration with a percentageOfNodesToScore for all profiles
// and one of the profile's own.
func profilesText(all, own string) string {
	return "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n" + all + "profiles:\n- schedulerName: default-scheduler\n" + own
}

func TestSample(t *testing.T) {
	for name, tc := range map[string]struct {
		config           string
		nodes, start     int
		feasible, looked int
	}{
		"all of a few nodes":         {"", 90, 0, 45, 90},
		"a hundred at least":         {profilesText("percentageOfNodesToScore: 10\n", ""), 300, 0, 100, 200},
		"half of them by default":    {"", 500, 1, 230, 459},
		"percentage of all profiles": {profilesText("percentageOfNodesToScore: 30\n", ""), 500, 0, 150, 300},
		"percentage of the profile":  {profilesText("percentageOfNodesToScore: 90\n", "  percentageOfNodesToScore: 40\n"), 500, 0, 200, 400},
		"once around":                {profilesText("percentageOfNodesToScore: 100\n", ""), 200, 150, 100, 200},
	} {
		t.Run(name, func(t *testing.T) {
			e := sampler(t, tc.config, tc.nodes)
			run, err := e.prefiltered(t.Context(), build.Pod("a", "p").Request("cpu=1").Obj())
			if err != nil || run == nil {
				t.Fatal(run, err)
			}
			feasible, looked := run.sample(tc.start)
			if len(feasible) != tc.feasible || looked != tc.looked {
				t.Errorf("%d feasible of %d looked at, want %d of %d", len(feasible), looked, tc.feasible, tc.looked)
			}
			want := fmt.Sprintf("n%03d", tc.start|1)
			if got := feasible[0].Node().Name; got != want {
				t.Errorf("the first is %s, want %s", got, want)
			}
		})
	}
}

func TestPlaceSampledGoesOnWhereItStopped(t *testing.T) {
	e := sampler(t, "", 250)
	pod := build.Pod("a", "p").Request("cpu=1").Obj()
	start := 0
	for _, want := range []int{240, 230, 220} {
		_, next, undo, err := e.PlaceSampled(t.Context(), pod, start)
		if err != nil {
			t.Fatal(err)
		}
		undo()
		if next != want {
			t.Errorf("after a search from %d the next is from %d, want %d", start, next, want)
		}
		start = next
	}
}

func TestRotationTakesZonesInTurn(t *testing.T) {
	list := newNodeList(build.Snapshot(
		build.Node("a1").Zone("a").Obj(), build.Node("a2").Zone("a").Obj(), build.Node("a3").Zone("a").Obj(),
		build.Node("b1").Zone("b").Obj(), build.Node("none").Obj(),
	).Nodes, nil)
	order := func() (names []string) {
		for _, i := range list.rotated() {
			names = append(names, list.infos[i].Node().Name)
		}
		return names
	}
	before := []string{"a1", "b1", "none", "a2", "a3"}
	if diff := cmp.Diff(before, order()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	undo := list.setNode(build.Node("none").Zone("b").Obj())
	if diff := cmp.Diff([]string{"a1", "b1", "a2", "none", "a3"}, order()); diff != "" {
		t.Errorf("order with another zone (-want +got):\n%s", diff)
	}
	undo()
	if diff := cmp.Diff(before, order()); diff != "" {
		t.Errorf("order after undo (-want +got):\n%s", diff)
	}
}
