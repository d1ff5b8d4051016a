package simulate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/predicate/example"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// further enables a plugin that is not in-tree: nodes are kept for groups by their label
// group, and take one pod of each.
func further(t *testing.T) *predicate.Config {
	t.Helper()
	config, err := predicate.ParseConfig(example.Configuration(`{"podsPerNode": 1}`), example.Options())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestFurtherPluginsSchedule: of pods that in-tree plugins cannot tell apart, each gets
// what the plugin gives its group.
func TestFurtherPluginsSchedule(t *testing.T) {
	suspended := build.BizGroup("stopped", "").Obj()
	suspended.Annotations = map[string]string{example.SuspendedAnnotation: "true"}
	kept := func(name, group string) *corev1.Node { return node(name).Label("group", group).Obj() }
	e := engineOf(t, further(t), build.BizGroup("none", "").Obj(), build.BizGroup("team", "").Obj(), suspended,
		kept("n1", "team"), kept("n2", "team"), kept("n3", "stopped"))
	pod := func(name, group string) *corev1.Pod {
		return build.Pod("a", name).Request("cpu=1").Label(stowagev1alpha1.GroupLabel, group).Obj()
	}
	pods := []*corev1.Pod{
		pod("nowhere", "none"), pod("first", "team"), pod("second", "team"), pod("third", "team"),
		pod("rejected", "stopped"), pod("gated", "unknown"),
	}
	s := simulate.New(e)
	want := []string{"", "n1", "n2", "", "", ""}
	if diff := cmp.Diff(want, schedule(t, s, pods...)); diff != "" {
		t.Errorf("Schedule (-want +got):\n%s", diff)
	}
	s.Undo()
	alike := simulate.NewAlike(further(t), pods)
	nodes, err := s.PlaceAll(t.Context(), pods, alike.Key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("PlaceAll (-want +got):\n%s", diff)
	}
}
