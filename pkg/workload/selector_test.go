package workload

import "testing"

// TestSelects asks each set of a kind's manifest whether a pod with such labels is
// of it.
func TestSelects(t *testing.T) {
	cases := []struct {
		kind, patch string
		labels      map[string]string
		want        string // The set's name; "-" for none, "*" for all.
	}{
		{"Deployment", ``, nil, "*"},
		{"TFJob", ``, map[string]string{"training.kubeflow.org/replica-type": "worker"}, "Worker"},
		{"TFJob", ``, map[string]string{"training.kubeflow.org/replica-type": "ps"}, "PS"},
		{"TFJob", ``, map[string]string{"training.kubeflow.org/replica-type": "evaluator"}, "-"},
		{"TFJob", ``, nil, "-"},
		{"JobSet", ``, map[string]string{"jobset.sigs.k8s.io/replicatedjob-name": "workers"}, "workers"},
		{"LeaderWorkerSet", ``, map[string]string{"leaderworkerset.sigs.k8s.io/worker-index": "0"}, "leader"},
		{"LeaderWorkerSet", ``, map[string]string{"leaderworkerset.sigs.k8s.io/worker-index": "3"}, "worker"},
		{"RayCluster", ``, map[string]string{"ray.io/node-type": "head", "ray.io/group": "headgroup"}, "head"},
		{"RayCluster", ``, map[string]string{"ray.io/node-type": "worker", "ray.io/group": "gpu"}, "gpu"},
		{"RayCluster", ``, map[string]string{"ray.io/group": "gpu"}, "-"},
		// A name is never parsed.
		{"RayCluster", `{spec: {workerGroupSpecs: {"0": {groupName: "x,ray.io/node-type=worker"}}}}`,
			map[string]string{"ray.io/node-type": "worker", "ray.io/group": "x"}, "-"},
	}
	for _, c := range cases {
		kind := kindNamed(t, c.kind)
		w, err := kind.Read(patched(t, manifest(t, kind), c.patch))
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range w.PodSets {
			if got, want := set.Selects(c.labels), c.want == "*" || c.want == set.Name; got != want {
				t.Errorf("%s %s, labels %v: set %q: got %t, want %t", c.kind, c.patch, c.labels, set.Name, got, want)
			}
		}
	}
}

// TestSelectsUnknown is of kinds that do not say which pod is of which set.
func TestSelectsUnknown(t *testing.T) {
	kind := *kindNamed(t, "TFJob")
	kind.PodSets = []PodSetPaths{{Root: "spec.tfReplicaSpecs.*", Replicas: []string{"replicas"}, Template: "template"}}
	both, err := kind.Read(manifest(t, &kind))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range both.PodSets {
		if set.Selects(nil) {
			t.Errorf("%s: selects a pod of either set", set.Name)
		}
	}
	one, err := kind.Read(patched(t, manifest(t, &kind), `{spec: {tfReplicaSpecs: {PS: null}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !one.PodSets[0].Selects(nil) {
		t.Error("does not select a pod of its only set")
	}
}

func TestOlder(t *testing.T) {
	cases := []struct {
		kind, patch string
		want        bool
	}{
		{"Deployment", ``, false},
		{"Deployment", `{spec: {paused: false}}`, false},
		{"Deployment", `{spec: {paused: true}}`, true},
		{"StatefulSet", ``, false},
		{"StatefulSet", `{spec: {updateStrategy: {rollingUpdate: {partition: 0}}}}`, false},
		{"StatefulSet", `{spec: {updateStrategy: {rollingUpdate: {partition: 10}}}}`, true},
		{"StatefulSet", `{spec: {updateStrategy: {type: OnDelete}}}`, true},
		{"LeaderWorkerSet", `{spec: {rolloutStrategy: {rollingUpdateConfiguration: {partition: 1}}}}`, true},
		{"LeaderWorkerSet", `{spec: {rolloutStrategy: {rollingUpdateConfiguration: {partition: 0%}}}}`, false},
		{"LeaderWorkerSet", `{spec: {rolloutStrategy: {rollingUpdateConfiguration: {partition: 20%}}}}`, true},
		{"Rollout", ``, true},
		{"Job", ``, false},
	}
	for _, c := range cases {
		kind := kindNamed(t, c.kind)
		w, err := kind.Read(patched(t, manifest(t, kind), c.patch))
		if err != nil {
			t.Fatal(err)
		}
		if w.Older != c.want {
			t.Errorf("%s %s: got %t, want %t", c.kind, c.patch, w.Older, c.want)
		}
	}
}
