package predicate_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func fitsOn(t *testing.T, e *predicate.Engine, pod *corev1.Pod) []string {
	t.Helper()
	fits, err := e.FitsOn(t.Context(), pod, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fits
}

func TestEditsAreSeenAndTakenBack(t *testing.T) {
	victim := build.Pod("b", "victim").Request("cpu=3").Label("app", "db").Node("full").PodAntiAffinity("app=db", corev1.LabelHostname).Obj()
	pod := build.Pod("a", "p").Request("cpu=2").Label("app", "web").PVC("data").Obj()
	snap := build.Snapshot(
		build.Node("full").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
		build.Node("cordoned").Capacity("cpu=4,memory=8Gi,pods=10").Cordon().Obj(),
		build.PVC("a", "data", "", "1Gi", "pv-1"), build.PV("pv-1", "", "1Gi", "example.com/disk", ""), victim,
	)
	e := engine(t, snap)
	for name, tc := range map[string]struct {
		edits []predicate.Edit
		want  []string
	}{
		"an eviction":           {[]predicate.Edit{{Evict: victim}}, []string{"full"}},
		"a node uncordoned":     {[]predicate.Edit{{Node: build.Node("cordoned").Capacity("cpu=4,memory=8Gi,pods=10").Obj()}}, []string{"cordoned"}},
		"a node added":          {[]predicate.Edit{{Node: build.Node("new").Capacity("cpu=4,memory=8Gi,pods=10").Obj()}}, []string{"new"}},
		"two edits":             {[]predicate.Edit{{Evict: victim}, {Node: build.Node("new").Capacity("cpu=4,memory=8Gi,pods=10").Obj()}}, []string{"full", "new"}},
		"an eviction refilled":  {[]predicate.Edit{{Evict: victim}, {Place: build.Pod("b", "other").Request("cpu=4").Node("full").Obj()}}, nil},
		"a volume out of reach": {[]predicate.Edit{{Evict: victim}, {Object: build.PV("pv-1", "", "1Gi", "example.com/disk", "elsewhere")}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			undo, err := e.Apply(tc.edits...)
			if err != nil {
				t.Fatal(err)
			}
			if got := fitsOn(t, e, pod); !slices.Equal(got, tc.want) {
				t.Errorf("fits on %v, want %v", got, tc.want)
			}
			undo()
			if got := fitsOn(t, e, pod); len(got) > 0 {
				t.Errorf("after undo it fits on %v, want none", got)
			}
		})
	}
}

func TestApplyChangesNothingOnAnError(t *testing.T) {
	e := engine(t, build.Snapshot(build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj()))
	if _, err := e.Apply(predicate.Edit{Node: build.Node("new").Capacity("cpu=4,pods=10").Obj()}, predicate.Edit{Evict: build.Pod("a", "ghost").Node("gone").Obj()}); err == nil {
		t.Fatal("evicting from a node that is not there: no error")
	}
	if _, ok := e.Node("new"); ok {
		t.Error("the first edit stayed in force")
	}
}

func TestForkDoesNotSeeLaterEdits(t *testing.T) {
	e := engine(t, build.Snapshot(build.Node("n").Capacity("cpu=1,memory=8Gi,pods=10").Obj()))
	fork, err := e.Fork()
	if err != nil {
		t.Fatal(err)
	}
	defer fork.Close()
	if _, err := fork.Apply(predicate.Edit{Node: build.Node("new").Capacity("cpu=8,memory=8Gi,pods=10").Obj()}); err != nil {
		t.Fatal(err)
	}
	pod := build.Pod("a", "p").Request("cpu=4").Obj()
	if got := fitsOn(t, fork, pod); !slices.Equal(got, []string{"new"}) {
		t.Errorf("the fork: fits on %v, want [new]", got)
	}
	if got := fitsOn(t, e, pod); len(got) > 0 {
		t.Errorf("the engine sees the fork's node: fits on %v", got)
	}
}

func TestParseConfig(t *testing.T) {
	const header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	for name, tc := range map[string]struct {
		text, wantErr string
		unknown       []string
		schedulers    []string
		extenders     int
	}{
		"none given":   {schedulers: []string{"default-scheduler"}},
		"two profiles": {text: header + "profiles: [{schedulerName: default-scheduler}, {schedulerName: batch}]", schedulers: []string{"batch", "default-scheduler"}},
		"a plugin that is not in-tree": {
			text:       header + "profiles: [{schedulerName: s, plugins: {multiPoint: {enabled: [{name: Coscheduling}]}, filter: {enabled: [{name: Tiers}]}}}]",
			schedulers: []string{"s"}, unknown: []string{"Coscheduling", "Tiers"}},
		"an extender":   {text: header + "extenders: [{urlPrefix: 'https://127.0.0.1:1/x', filterVerb: filter}]", schedulers: []string{"default-scheduler"}, extenders: 1},
		"another kind":  {text: "apiVersion: v1\nkind: Pod\n", wantErr: "scheduler configuration: "},
		"not yaml":      {text: ":\t:", wantErr: "scheduler configuration: "},
		"a wrong field": {text: header + "profiles: 3", wantErr: "profiles"},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := predicate.ParseConfig([]byte(tc.text), predicate.Options{})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q in it", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(config.Schedulers(), tc.schedulers) || !slices.Equal(config.Unknown, tc.unknown) || len(config.Extenders) != tc.extenders {
				t.Errorf("schedulers %v, unknown %v, extenders %v", config.Schedulers(), config.Unknown, config.Extenders)
			}
		})
	}
}

func TestEmulate(t *testing.T) {
	t.Cleanup(func() {
		if _, err := predicate.Emulate(""); err != nil {
			t.Error(err)
		}
	})
	for server, want := range map[string]string{
		"v1.35.2": "v1.35", "v1.37.1": "v1.37", "v1.30.0": "v1.34", "v1.99.0": "v1.37", "v1.36.4-gke.100": "v1.36", "": "v1.37",
	} {
		if got, err := predicate.Emulate(server); err != nil || got != want {
			t.Errorf("server %q: %q, error %v, want %q", server, got, err, want)
		}
	}
	if _, err := predicate.Emulate("latest"); err == nil {
		t.Error("no error for a version that is none")
	}
}

// TestTolerationsByComparison: such a toleration is there only where the API server lets
// it in, and then the cluster's scheduler heeds it.
func TestTolerationsByComparison(t *testing.T) {
	if _, err := predicate.Emulate(""); err != nil {
		t.Fatal(err)
	}
	node := build.Node("n").Taint("failures=5:NoSchedule").Obj()
	for value, want := range map[string][]string{"3": {"n"}, "9": nil} {
		pod := build.Pod("ns", "a").With(func(pod *corev1.Pod) {
			pod.Spec.Tolerations = []corev1.Toleration{{Key: "failures", Operator: corev1.TolerationOpGt, Value: value, Effect: corev1.TaintEffectNoSchedule}}
		}).Obj()
		if got := fitsOn(t, engine(t, build.Snapshot(node, pod)), pod); !slices.Equal(got, want) {
			t.Errorf("more than %s: fits on %v, want %v", value, got, want)
		}
	}
}
