package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestLookUp(t *testing.T) {
	table := Default()
	for _, kind := range table.All() {
		if got := table.Of(kind.GroupKind()); got != kind {
			t.Errorf("Of(%s) = %v", kind.GroupKind(), got)
		}
		if got := table.ForResource(kind.GroupResource()); got != kind {
			t.Errorf("ForResource(%s) = %v", kind.GroupResource(), got)
		}
		for _, child := range kind.Makes {
			if table.Of(schema.ParseGroupKind(child)) == nil {
				t.Errorf("%s makes %s, which the table does not have", kind.Kind, child)
			}
		}
	}
	if got := table.Of(schema.GroupKind{Kind: "Deployment"}); got != nil {
		t.Errorf("Of(Deployment without its group) = %v, want nil", got)
	}
	if got := table.ForResource(schema.GroupResource{Resource: "nodes"}); got != nil {
		t.Errorf("ForResource(nodes) = %v, want nil", got)
	}
}

func TestMakes(t *testing.T) {
	table := Default()
	for _, c := range []struct {
		parent, child string
		want          bool
	}{
		{"Deployment.apps", "ReplicaSet.apps", true},
		{"Deployment.apps", "Pod", false},
		{"ReplicaSet.apps", "Pod", true},
		{"CronJob.batch", "Job.batch", true},
		{"TrainJob.trainer.kubeflow.org", "JobSet.jobset.x-k8s.io", true},
		{"LeaderWorkerSet.leaderworkerset.x-k8s.io", "StatefulSet.apps", true},
		{"ConfigMap", "Pod", false},
	} {
		if got := table.Makes(schema.ParseGroupKind(c.parent), schema.ParseGroupKind(c.child)); got != c.want {
			t.Errorf("Makes(%s, %s) = %t, want %t", c.parent, c.child, got, c.want)
		}
	}
}

func TestReplicasPath(t *testing.T) {
	want := map[string]string{
		"Deployment": "spec.replicas", "StatefulSet": "spec.replicas", "ReplicaSet": "spec.replicas",
		"ReplicationController": "spec.replicas", "Rollout": "spec.replicas", "LeaderWorkerSet": "spec.replicas",
		"Job": "spec.parallelism", "TrainJob": "spec.trainer.numNodes", "CloneSet": "spec.replicas", "StatefulSet.apps.kruise.io": "spec.replicas",
		"PyTorchJob": "spec.pytorchReplicaSpecs.Worker.replicas", "PaddleJob": "spec.paddleReplicaSpecs.Worker.replicas",
		"JAXJob": "spec.jaxReplicaSpecs.Worker.replicas",
	}
	scales := map[string]bool{
		"Deployment": true, "StatefulSet": true, "ReplicaSet": true,
		"ReplicationController": true, "Rollout": true, "LeaderWorkerSet": true,
		"PyTorchJob": true, "PaddleJob": true, "JAXJob": true, "CloneSet": true, "StatefulSet.apps.kruise.io": true,
	}
	for _, kind := range Default().All() {
		path, ok := kind.ReplicasPath()
		if got := strings.Join(path, "."); got != want[nameOf(kind)] || ok != (got != "") {
			t.Errorf("%s: got %q, %t; want %q", kind.Kind, got, ok, want[nameOf(kind)])
		}
		if got := kind.Scale != ""; got != scales[nameOf(kind)] {
			t.Errorf("%s: scale %t, want %t", kind.Kind, got, scales[nameOf(kind)])
		}
	}
}

// A user's kind: a Volcano Job has a list of tasks, with a template each.
const volcano = `
kinds:
- group: batch.volcano.sh
  version: v1alpha1
  kind: Job
  resource: jobs
  makes: [Pod]
  podSets:
  - {root: spec.tasks.*, key: name, replicas: [replicas], template: template}
`

func TestUsersKind(t *testing.T) {
	extra, err := Parse([]byte(volcano))
	if err != nil {
		t.Fatal(err)
	}
	table, err := Default().With(extra...)
	if err != nil {
		t.Fatal(err)
	}
	kind := table.Of(schema.GroupKind{Group: "batch.volcano.sh", Kind: "Job"})
	if kind == nil || kind == table.Of(schema.GroupKind{Group: "batch", Kind: "Job"}) {
		t.Fatalf("got %+v, want the user's Job beside the built-in one", kind)
	}
	task := func(name string, replicas int64, cpu string) any {
		container := map[string]any{"name": "main", "resources": map[string]any{"requests": map[string]any{"cpu": cpu}}}
		return map[string]any{"name": name, "replicas": replicas,
			"template": map[string]any{"spec": map[string]any{"containers": []any{container}}}}
	}
	w, err := kind.Read(&unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"tasks": []any{task("ps", 1, "2"), task("worker", 8, "4")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []shape{{Name: "ps", Replicas: 1, CPU: "2", GPU: "0"}, {Name: "worker", Replicas: 8, CPU: "4", GPU: "0"}}
	if diff := cmp.Diff(want, shapes(w.PodSets)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	growth(t, kind) // It compiles.
}

func TestUsersKindReplaces(t *testing.T) {
	before := Default()
	table, err := before.With(Kind{Group: "ray.io", Version: "v1alpha1", Kind: "RayCluster", Resource: "rayclusters",
		PodSets: []PodSetPaths{{Template: "spec.headGroupSpec.template"}}})
	if err != nil {
		t.Fatal(err)
	}
	name := schema.GroupKind{Group: "ray.io", Kind: "RayCluster"}
	if got := table.Of(name).Version; got != "v1alpha1" {
		t.Errorf("version %s, want the user's v1alpha1", got)
	}
	if got := before.Of(name).Version; got != "v1" {
		t.Errorf("the table that was extended now has version %s, want v1", got)
	}
	if got, want := len(table.All()), len(before.All()); got != want {
		t.Errorf("%d kinds, want %d", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "kinds: [{group: g.io, version: v1, kind: Foo, resource: foos"
	cases := []struct{ name, yaml, want string }{
		{"no YAML", "kinds: [", "workload kinds: yaml: "},
		{"unknown field of the file", "kind: []", `workload kinds: unknown field "kind"`},
		{"unknown field", head + ", podSet: []}]", `kinds[0] (Foo.g.io): unknown field "podSet"`},
		{"unknown field of a set", head + ", podSets: [{template: spec.t, replica: [a]}]}]",
			`kinds[0] (Foo.g.io): unknown field "podSets[0].replica"`},
		{"type", head + ", podSets: 3}]", "kinds[0] (Foo.g.io): json: cannot unmarshal number into Go struct field Kind.podSets"},
		{"no version", "kinds: [{kind: Foo, resource: foos}]", "kinds[0] (Foo): version: must be given"},
		{"no kind", "kinds: [{version: v1, resource: foos}]", "kinds[0]: kind: must be given"},
		{"no resource", "kinds: [{version: v1, kind: Foo}]", "kinds[0] (Foo): resource: must be given"},
		{"no sets", head + "}]", "kinds[0] (Foo.g.io): podSets: must be given"},
		{"no template", head + ", podSets: [{replicas: [spec.n]}]}]", "kinds[0] (Foo.g.io): podSets[0].template: must be given"},
		{"path", head + ", podSets: [{template: spec..t}]}]",
			`kinds[0] (Foo.g.io): podSets[0].template: expected a path of fields in spec ("spec.replicas"), found "spec..t"`},
		{"path outside spec", head + ", podSets: [{template: spec.t, replicas: [status.n]}]}]",
			`kinds[0] (Foo.g.io): podSets[0].replicas[0]: expected a path of fields in spec ("spec.replicas"), found "status.n"`},
		{"path with code", head + ", podSets: [{template: spec.t, replicas: ['spec.n == 1 || true']}]}]",
			`kinds[0] (Foo.g.io): podSets[0].replicas[0]: expected a path of fields in spec`},
		{"star inside", head + ", podSets: [{root: spec.*.x, template: t}]}]", `kinds[0] (Foo.g.io): podSets[0].root: expected a path`},
		{"star alone", head + `, podSets: [{root: "*", template: t}]}]`, `kinds[0] (Foo.g.io): podSets[0].root: expected a path`},
		{"suspend", head + ", suspend: 'spec[0]', podSets: [{template: spec.t}]}]", "kinds[0] (Foo.g.io): suspend: expected a path"},
		{"surge", head + ", podSets: [{template: spec.t, surge: [{default: lots}]}]}]",
			`kinds[0] (Foo.g.io): podSets[0].surge[0].default: expected a number or a percentage ("25%"), found "lots"`},
		{"older", head + ", older: ['spec.n>1'], podSets: [{template: spec.t}]}]", `kinds[0] (Foo.g.io): older[0]: expected a path`},
		{"selector", head + ", podSets: [{template: spec.t, pods: 'app in (a)'}]}]", `kinds[0] (Foo.g.io): podSets[0].pods: expected "label=value"`},
		{"no selector", head + ", podSets: [{template: spec.t, pods: 'a=b=c'}]}]", `kinds[0] (Foo.g.io): podSets[0].pods: expected "label=value"`},
		{"makes", head + ", makes: ['.io'], podSets: [{template: spec.t}]}]", "kinds[0] (Foo.g.io): makes[0]: expected"},
		{"scale", head + ", scale: true, podSets: [{template: spec.t}]}]", "kinds[0] (Foo.g.io): scale: expected the path of its number"},
		{"minus", head + ", podSets: [{template: spec.t, replicas: [spec.n], minus: -1}]}]", "kinds[0] (Foo.g.io): podSets[0].minus"},
		{"bounds of nothing", head + ", podSets: [{template: spec.t, atMost: spec.n}]}]", "kinds[0] (Foo.g.io): podSets[0].replicas: must be given"},
		{"key without entries", head + ", podSets: [{template: spec.t, key: name}]}]", "kinds[0] (Foo.g.io): podSets[0].key: expected"},
		{"per node and replicas", head + ", podSets: [{template: spec.t, perNode: true, replicas: [spec.n]}]}]",
			"kinds[0] (Foo.g.io): podSets[0].perNode: expected"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kinds, err := Parse([]byte(c.yaml))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, %v; want an error in one line that begins with %q", kinds, err, c.want)
			}
		})
	}
	if _, err := Default().With(Kind{Version: "v1", Kind: "Foo", Resource: "foos"}); err == nil ||
		!strings.HasPrefix(err.Error(), "workload kind (Foo): podSets: must be given") {
		t.Errorf("With: got %v, want what Parse says", err)
	}
}
