package workload

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// manifest reads the kind's object in testdata.
func manifest(t testing.TB, kind *Kind) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", strings.ToLower(nameOf(kind))+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	data, err = yaml.YAMLToJSONStrict(data)
	if err != nil {
		t.Fatalf("%s: %v", kind.Kind, err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		t.Fatalf("%s: %v", kind.Kind, err)
	}
	return obj
}

// nameOf is the kind's name, with its group where another kind has that name too.
func nameOf(kind *Kind) string {
	first := Default().first(func(k *Kind) bool { return k.Kind == kind.Kind })
	if first == nil || first.GroupKind() == kind.GroupKind() {
		return kind.Kind
	}
	return kind.GroupKind().String()
}

// patched is obj after a JSON merge patch, written as YAML.
func patched(t testing.TB, obj *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	t.Helper()
	var change map[string]any
	if err := yaml.Unmarshal([]byte(patch), &change, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
		t.Fatalf("patch %s: %v", patch, err)
	}
	out := obj.DeepCopy()
	merge(out.Object, change)
	return out
}

// merge is RFC 7386, where a number as a field stands for an item of a list.
func merge(into, change map[string]any) {
	for name, value := range change {
		switch value := value.(type) {
		case nil:
			delete(into, name)
		case map[string]any:
			if items, ok := into[name].([]any); ok {
				for index, change := range value {
					i, err := strconv.Atoi(index)
					if err != nil {
						panic(err) // The test's own patch.
					}
					merge(items[i].(map[string]any), change.(map[string]any))
				}
				continue
			}
			inner, ok := into[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				into[name] = inner
			}
			merge(inner, value)
		case json.Number:
			into[name] = number(value)
		case []any:
			into[name] = items(value)
		default:
			into[name] = value
		}
	}
}

// items are a list's, with numbers as the API's decoder has them.
func items(list []any) []any {
	for i, value := range list {
		if fields, ok := value.(map[string]any); ok {
			list[i] = map[string]any{}
			merge(list[i].(map[string]any), fields)
		}
	}
	return list
}

// number is n as the API's decoder has it.
func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, _ := n.Float64()
	return f
}

// shape is what a test compares of a set.
type shape struct {
	Name         string
	Replicas     int64
	PerNode      bool
	Surge        int64
	SurgePercent int64
	CPU, GPU     string // Of all containers.
}

func shapes(sets []PodSet) []shape {
	var out []shape
	for _, set := range sets {
		cpu, gpu := resource.MustParse("0"), resource.MustParse("0")
		for _, container := range set.Template.Spec.Containers {
			cpu.Add(*container.Resources.Requests.Cpu())
			gpu.Add(container.Resources.Limits["nvidia.com/gpu"])
		}
		out = append(out, shape{set.Name, set.Replicas, set.PerNode, set.Surge, set.SurgePercent, cpu.String(), gpu.String()})
	}
	return out
}

// TestRead reads a manifest of each kind, and changes of it.
func TestRead(t *testing.T) {
	cases := []struct {
		kind, patch string
		want        []shape
	}{
		{"Deployment", ``, []shape{{Replicas: 10, Surge: 3, CPU: "2", GPU: "0"}}},
		{"Deployment", `{spec: {replicas: null}}`, []shape{{Replicas: 1, Surge: 1, CPU: "2", GPU: "0"}}},
		{"Deployment", `{spec: {replicas: 0, strategy: {rollingUpdate: {maxSurge: 2}}}}`, []shape{{CPU: "2", GPU: "0"}}},
		{"Deployment", `{spec: {strategy: null}}`, []shape{{Replicas: 10, Surge: 3, CPU: "2", GPU: "0"}}},
		{"Deployment", `{spec: {strategy: {rollingUpdate: {maxSurge: 4}}}}`, []shape{{Replicas: 10, Surge: 4, CPU: "2", GPU: "0"}}},
		{"Deployment", `{spec: {strategy: {type: Recreate, rollingUpdate: null}}}`, []shape{{Replicas: 10, CPU: "2", GPU: "0"}}},
		{"StatefulSet", ``, []shape{{Replicas: 3, CPU: "4", GPU: "0"}}},
		{"ReplicaSet", ``, []shape{{Replicas: 4, CPU: "2", GPU: "0"}}},
		{"ReplicationController", ``, []shape{{Replicas: 2, CPU: "1", GPU: "0"}}},
		{"DaemonSet", ``, []shape{{PerNode: true, SurgePercent: 10, CPU: "100m", GPU: "0"}}},
		{"DaemonSet", `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 3}}}}`, []shape{{PerNode: true, Surge: 3, CPU: "100m", GPU: "0"}}},
		{"DaemonSet", `{spec: {updateStrategy: {type: OnDelete}}}`, []shape{{PerNode: true, CPU: "100m", GPU: "0"}}},
		{"Job", ``, []shape{{Replicas: 5, CPU: "1", GPU: "0"}}},
		{"Job", `{spec: {completions: null}}`, []shape{{Replicas: 8, CPU: "1", GPU: "0"}}},
		{"Job", `{spec: {parallelism: null}}`, []shape{{Replicas: 1, CPU: "1", GPU: "0"}}},
		{"CronJob", ``, nil},
		{"Pod", ``, []shape{{Replicas: 1, CPU: "2", GPU: "0"}}},
		{"Rollout", ``, []shape{{Replicas: 5, Surge: 2, CPU: "2", GPU: "0"}}},
		{"Rollout", `{spec: {strategy: {canary: {maxSurge: null}}}}`, []shape{{Replicas: 5, Surge: 2, CPU: "2", GPU: "0"}}},
		{"Rollout", `{spec: {strategy: {canary: null, blueGreen: {activeService: api}}}}`, []shape{{Replicas: 5, Surge: 5, CPU: "2", GPU: "0"}}},
		{"Rollout", `{spec: {template: null, workloadRef: {kind: Deployment, name: api}}}`, nil},
		{"TFJob", ``, []shape{{Name: "PS", Replicas: 2, CPU: "2", GPU: "0"}, {Name: "Worker", Replicas: 4, CPU: "4", GPU: "1"}}},
		{"PyTorchJob", ``, []shape{{Name: "Master", Replicas: 1, CPU: "16", GPU: "8"}, {Name: "Worker", Replicas: 3, CPU: "16", GPU: "8"}}},
		{"MPIJob", ``, []shape{{Name: "Launcher", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "Worker", Replicas: 2, CPU: "2", GPU: "4"}}},
		{"TrainJob", ``, []shape{{Name: "node", Replicas: 4, CPU: "8", GPU: "8"}}},
		{"TrainJob", `{spec: {trainer: {resourcesPerNode: null}}}`, []shape{{Name: "node", Replicas: 4, CPU: "0", GPU: "0"}}},
		{"JobSet", ``, []shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 6, CPU: "2", GPU: "1"}}},
		{"LeaderWorkerSet", ``, []shape{
			{Name: "leader", Replicas: 2, Surge: 1, CPU: "4", GPU: "8"}, {Name: "worker", Replicas: 6, Surge: 3, CPU: "8", GPU: "8"}}},
		{"LeaderWorkerSet", `{spec: {leaderWorkerTemplate: {leaderTemplate: null, size: null}}}`, []shape{
			{Name: "leader", Replicas: 2, Surge: 1, CPU: "8", GPU: "8"}, {Name: "worker", CPU: "8", GPU: "8"}}},
		{"RayCluster", ``, []shape{
			{Name: "head", Replicas: 1, CPU: "2500m", GPU: "0"},
			{Name: "gpu", Replicas: 6, CPU: "4", GPU: "1"}, {Name: "cpu", Replicas: 1, CPU: "4", GPU: "0"}}},
		{"RayCluster", `{spec: {workerGroupSpecs: {"0": {replicas: 20}, "1": {suspend: true}}}}`, []shape{
			{Name: "head", Replicas: 1, CPU: "2500m", GPU: "0"}, {Name: "gpu", Replicas: 20, CPU: "4", GPU: "1"}}},
		{"RayCluster", `{spec: {workerGroupSpecs: {"1": {replicas: null, minReplicas: null}}}}`, []shape{
			{Name: "head", Replicas: 1, CPU: "2500m", GPU: "0"}, {Name: "gpu", Replicas: 6, CPU: "4", GPU: "1"}, {Name: "cpu", CPU: "4", GPU: "0"}}},
		{"RayCluster", `{spec: {enableInTreeAutoscaling: false, workerGroupSpecs: null}}`, []shape{{Name: "head", Replicas: 1, CPU: "2", GPU: "0"}}},
		{"RayCluster", `{spec: {autoscalerOptions: {resources: {requests: {cpu: 250m}}}, workerGroupSpecs: null}}`,
			[]shape{{Name: "head", Replicas: 1, CPU: "2250m", GPU: "0"}}},
		{"RayJob", ``, []shape{
			{Name: "head", Replicas: 1, CPU: "2500m", GPU: "0"},
			{Name: "gpu", Replicas: 6, CPU: "4", GPU: "1"}, {Name: "cpu", Replicas: 1, CPU: "4", GPU: "0"},
			{Name: "submitter", Replicas: 1, CPU: "500m", GPU: "0"}}},
		{"RayJob", `{spec: {submissionMode: SidecarMode, rayClusterSpec: {workerGroupSpecs: null}}}`, []shape{{Name: "head", Replicas: 1, CPU: "3", GPU: "0"}}},
		{"RayJob", `{spec: {submissionMode: null, rayClusterSpec: null, submitterPodTemplate: {spec: {containers: [{name: main, resources: {requests: {cpu: "3"}}}]}}}}`,
			[]shape{{Name: "submitter", Replicas: 1, CPU: "3", GPU: "0"}}},
		{"RayService", ``, []shape{
			{Name: "head", Replicas: 1, Surge: 1, CPU: "2500m", GPU: "0"},
			{Name: "gpu", Replicas: 6, Surge: 6, CPU: "4", GPU: "1"}, {Name: "cpu", Replicas: 1, Surge: 1, CPU: "4", GPU: "0"}}},
		{"RayService", `{spec: {upgradeStrategy: {type: None}, rayClusterConfig: {workerGroupSpecs: null}}}`,
			[]shape{{Name: "head", Replicas: 1, CPU: "2500m", GPU: "0"}}},
		{"Job", `{status: {succeeded: 2}}`, []shape{{Replicas: 3, CPU: "1", GPU: "0"}}},
		{"Job", `{spec: {completions: null}, status: {succeeded: 0, active: 3}}`, []shape{{Replicas: 8, CPU: "1", GPU: "0"}}},
		{"Job", `{spec: {completions: null}, status: {succeeded: 2, active: 3}}`, []shape{{Replicas: 3, CPU: "1", GPU: "0"}}},
		{"Job", `{spec: {completions: null}, status: {succeeded: 2}}`, []shape{{CPU: "1", GPU: "0"}}},
		{"Job", `{status: {succeeded: 9}}`, []shape{{CPU: "1", GPU: "0"}}},
		{"JobSet", `{status: {replicatedJobsStatus: [{name: driver, succeeded: 0}, {name: workers, succeeded: 2}]}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 2, CPU: "2", GPU: "1"}}},
		{"JobSet", `{spec: {failurePolicy: {maxRestarts: 0}}, status: {replicatedJobsStatus: [{name: workers, succeeded: 2}]}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 2, CPU: "2", GPU: "1"}}},
		{"JobSet", `{spec: {failurePolicy: {maxRestarts: 0, rules: [{action: RestartJobSetAndIgnoreMaxRestarts}]}}, status: {replicatedJobsStatus: [{name: workers, succeeded: 2}]}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 6, CPU: "2", GPU: "1"}}},
		{"JobSet", `{spec: {failurePolicy: {maxRestarts: 1}}, status: {replicatedJobsStatus: [{name: workers, succeeded: 2}]}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 6, CPU: "2", GPU: "1"}}},
		{"Rollout", `{spec: {strategy: {canary: {trafficRouting: {nginx: {stableIngress: web}}}}}}`, []shape{{Replicas: 5, Surge: 5, CPU: "2", GPU: "0"}}},
		{"Rollout", `{spec: {strategy: {canary: {dynamicStableScale: true, trafficRouting: {nginx: {stableIngress: web}}}}}}`,
			[]shape{{Replicas: 5, Surge: 2, CPU: "2", GPU: "0"}}},
		{"XGBoostJob", ``, []shape{{Name: "Master", Replicas: 1, CPU: "2", GPU: "0"}, {Name: "Worker", Replicas: 3, CPU: "4", GPU: "1"}}},
		{"PaddleJob", ``, []shape{{Name: "Master", Replicas: 1, CPU: "2", GPU: "0"}, {Name: "Worker", Replicas: 3, CPU: "4", GPU: "1"}}},
		{"PaddleJob", `{spec: {paddleReplicaSpecs: {Master: null}}}`, []shape{{Name: "Worker", Replicas: 3, CPU: "4", GPU: "1"}}},
		{"JAXJob", ``, []shape{{Name: "Worker", Replicas: 3, CPU: "4", GPU: "1"}}},
		{"Notebook", ``, []shape{{Replicas: 1, CPU: "2", GPU: "1"}}},
		{"Job.batch.volcano.sh", ``, []shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", Replicas: 3, CPU: "4", GPU: "1"}}},
		{"Job.batch.volcano.sh", `{spec: {tasks: {"1": {replicas: null}}}}`, []shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "workers", CPU: "4", GPU: "1"}}},
		{"CloneSet", ``, []shape{{Replicas: 8, Surge: 4, CPU: "1", GPU: "0"}}},
		{"CloneSet", `{spec: {updateStrategy: {rollingUpdate: {partition: 6}}}}`, []shape{{Replicas: 8, Surge: 2, CPU: "1", GPU: "0"}}},
		{"CloneSet", `{spec: {updateStrategy: {rollingUpdate: {partition: 70%}}}}`, []shape{{Replicas: 8, Surge: 3, CPU: "1", GPU: "0"}}},
		{"CloneSet", `{spec: {updateStrategy: {rollingUpdate: {partition: 9}}}}`, []shape{{Replicas: 8, CPU: "1", GPU: "0"}}},
		{"CloneSet", `{apiVersion: apps.kruise.io/v1alpha1, spec: {updateStrategy: {rollingUpdate: null, maxSurge: 25%}}}`, []shape{{Replicas: 8, Surge: 2, CPU: "1", GPU: "0"}}},
		{"StatefulSet.apps.kruise.io", ``, []shape{{Replicas: 3, CPU: "4", GPU: "0"}}},
		{"SparkApplication", ``, []shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "executor", Replicas: 10, CPU: "4", GPU: "1"}}},
		{"SparkApplication", `{spec: {dynamicAllocation: {enabled: true}, driver: {coreRequest: 500m}}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "500m", GPU: "0"}, {Name: "executor", Replicas: 20, CPU: "4", GPU: "1"}}},
		{"SparkApplication", `{spec: {executor: {instances: null, cores: null}}}`,
			[]shape{{Name: "driver", Replicas: 1, CPU: "1", GPU: "0"}, {Name: "executor", Replicas: 1, CPU: "1", GPU: "1"}}},
	}
	read := map[string]bool{}
	for _, c := range cases {
		t.Run(c.kind+" "+c.patch, func(t *testing.T) {
			kind := kindNamed(t, c.kind)
			obj := patched(t, manifest(t, kind), c.patch)
			w, err := kind.Read(obj)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shapes(w.PodSets)); diff != "" {
				t.Errorf("pod sets (-want +got):\n%s", diff)
			}
			if w.Suspended || w.Finished {
				t.Errorf("suspended %t, finished %t, want neither", w.Suspended, w.Finished)
			}
			sameTyped(t, kind, obj, w)
		})
		read[c.kind] = true
	}
	for _, kind := range Default().All() {
		if !read[nameOf(kind)] {
			t.Errorf("%s is in the table, but not in this test", nameOf(kind))
		}
	}
}

// kindNamed is the built-in kind.
func kindNamed(t testing.TB, name string) *Kind {
	t.Helper()
	for _, kind := range Default().All() {
		if nameOf(kind) == name {
			return kind
		}
	}
	t.Fatalf("no kind %s", name)
	return nil
}

// sameTyped fails unless the API's Go type, where there is one, reads as obj did.
func sameTyped(t *testing.T, kind *Kind, obj *unstructured.Unstructured, want *Workload) {
	t.Helper()
	typed, err := scheme.Scheme.New(kind.GroupVersionKind())
	if runtime.IsNotRegisteredError(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, typed); err != nil {
		t.Fatal(err)
	}
	got, err := kind.Read(typed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("typed (-unstructured +typed):\n%s", diff)
	}
}

func TestMeta(t *testing.T) {
	kind := kindNamed(t, "ReplicaSet")
	want := &Workload{
		Kind: kind, Namespace: "nlp-prod", Name: "web-7f9c",
		UID: types.UID("5f4a1c1e-0000-4000-8000-000000000003"), ResourceVersion: "1003",
		Group: "nlp", Models: Models{GPU: "A30"},
		Owner: &metav1.OwnerReference{
			APIVersion: "apps/v1", Kind: "Deployment", Name: "web",
			UID: types.UID("5f4a1c1e-0000-4000-8000-000000000001"), Controller: new(true),
		},
	}
	if diff := cmp.Diff(want, kind.Meta(manifest(t, kind))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSuspendedFinished(t *testing.T) {
	cases := []struct {
		kind, patch         string
		suspended, finished bool
	}{
		{"Job", `{spec: {suspend: true}}`, true, false},
		{"Job", `{status: {conditions: [{type: Complete, status: "True"}]}}`, false, true},
		{"Job", `{status: {conditions: [{type: Failed, status: "True"}]}}`, false, true},
		{"Job", `{status: {conditions: [{type: Failed, status: "False"}]}}`, false, false},
		{"Job", `{status: {conditions: [{type: SuccessCriteriaMet, status: "True"}]}}`, false, false},
		{"Job", `{status: {conditions: [{type: FailureTarget, status: "True"}]}}`, false, false},
		{"Pod", `{status: {phase: Succeeded}}`, false, true},
		{"Pod", `{status: {phase: Failed}}`, false, true},
		{"TFJob", `{spec: {runPolicy: {suspend: true}}}`, true, false},
		{"PyTorchJob", `{status: {conditions: [{type: Succeeded, status: "True"}]}}`, false, true},
		{"TrainJob", `{status: {conditions: [{type: Complete, status: "True"}]}}`, false, true},
		{"JobSet", `{status: {conditions: [{type: Completed, status: "True"}]}}`, false, true},
		{"RayCluster", `{spec: {suspend: true}}`, true, false},
		{"RayJob", `{status: {jobDeploymentStatus: Complete}}`, false, true},
		{"RayJob", `{status: {jobDeploymentStatus: Running}}`, false, false},
		{"RayJob", `{spec: {shutdownAfterJobFinishes: false}, status: {jobDeploymentStatus: Failed}}`, false, false},
		{"Notebook", `{metadata: {annotations: {kubeflow-resource-stopped: "2026-03-01T08:00:00Z"}}}`, true, false},
		{"Notebook", `{metadata: {annotations: null}}`, false, false},
		{"SparkApplication", `{status: {applicationState: {state: COMPLETED}}}`, false, true},
		{"SparkApplication", `{status: {applicationState: {state: PENDING_RERUN}}}`, false, false},
		{"Job.batch.volcano.sh", `{status: {state: {phase: Completed}}}`, false, true},
		{"Job.batch.volcano.sh", `{status: {state: {phase: Aborted}}}`, false, false},
	}
	for _, c := range cases {
		t.Run(c.kind+" "+c.patch, func(t *testing.T) {
			kind := kindNamed(t, c.kind)
			w, err := kind.Read(patched(t, manifest(t, kind), c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if w.Suspended != c.suspended || w.Finished != c.finished {
				t.Errorf("suspended %t, finished %t; want %t, %t", w.Suspended, w.Finished, c.suspended, c.finished)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	cases := []struct{ kind, patch, want string }{
		{"Deployment", `{spec: {replicas: "3"}}`, "spec.replicas: expected a number, found string"},
		{"Deployment", `{spec: {replicas: -1}}`, "spec.replicas: expected a whole number from 0 to 2147483647, found -1"},
		{"Deployment", `{spec: {replicas: 1.5}}`, "spec.replicas: expected a whole number from 0 to 2147483647, found 1.5"},
		{"Deployment", `{spec: {replicas: 1e30}}`, "spec.replicas: expected a whole number from 0 to 2147483647, found 1e+30"},
		{"Deployment", `{spec: {template: null}}`, "spec.template: expected a pod template, found none"},
		{"LeaderWorkerSet", `{spec: {leaderWorkerTemplate: {workerTemplate: {spec: {overhead: {cpu: "-1"}}}}}}`, "spec.leaderWorkerTemplate.workerTemplate: overhead[cpu] is negative: expected 0 or more"},
		{"TrainJob", `{spec: {trainer: {resourcesPerNode: {limits: {cpu: "-1"}}}}}`, "spec.trainer.resourcesPerNode: limits of container node[cpu] is negative: expected 0 or more"},
		{"Deployment", `{spec: {template: [1]}}`, "spec.template: expected an object, found list"},
		{"Deployment", `{spec: 3}`, "spec: expected an object, found number"},
		{"Deployment", `{spec: {strategy: {rollingUpdate: {maxSurge: many}}}}`,
			`spec.strategy.rollingUpdate.maxSurge: expected a number or a percentage, from 0 to 2147483647, found "many"`},
		{"Job", `{spec: {suspend: "yes"}}`, "spec.suspend: expected a bool, found string"},
		{"Job", `{status: {conditions: {}}}`, "status.conditions: expected a list, found object"},
		{"TFJob", `{spec: {tfReplicaSpecs: {Worker: {replicas: true}}}}`, "spec.tfReplicaSpecs.Worker.replicas: expected a number, found bool"},
		{"JobSet", `{spec: {replicatedJobs: {"1": {replicas: "2"}}}}`, "spec.replicatedJobs[1].replicas: expected a number, found string"},
		{"JobSet", `{spec: {replicatedJobs: {"1": {replicas: 2147483647}}}}`,
			"spec.replicatedJobs[1]: expected at most 2147483647 pods, found the product of [2147483647 2]"},
		{"TrainJob", `{spec: {trainer: {numNodes: null}}}`, "spec.trainer.numNodes: must be given: what holds without it stands in the runtime that spec.runtimeRef names (spec.mlPolicy.numNodes), which is not read"},
	}
	for _, c := range cases {
		t.Run(c.kind+" "+c.patch, func(t *testing.T) {
			kind := kindNamed(t, c.kind)
			w, err := kind.Read(patched(t, manifest(t, kind), c.patch))
			if err == nil {
				t.Fatalf("got %+v, want an error", w)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("quantity", func(t *testing.T) {
		kind := kindNamed(t, "TrainJob")
		_, err := kind.Read(patched(t, manifest(t, kind), `{spec: {trainer: {resourcesPerNode: {limits: {cpu: lots}}}}}`))
		if err == nil || !strings.HasPrefix(err.Error(), "spec.trainer.resourcesPerNode: expected resources: ") {
			t.Errorf("got %v, want an error that names the field", err)
		}
	})
}

func TestTemplateGroup(t *testing.T) {
	cases := []struct {
		kind, patch, group string
		ok                 bool
		err                string
	}{
		{kind: "CronJob", group: "nlp", ok: true},
		{kind: "CronJob", patch: `{spec: {jobTemplate: {metadata: null}}}`},
		{kind: "CronJob", patch: `{spec: {jobTemplate: {metadata: {labels: {biz.group.resource.quota: 3}}}}}`,
			err: "spec.jobTemplate.metadata.labels: biz.group.resource.quota: expected a string, found number"},
		{kind: "Job"},
	}
	for _, c := range cases {
		t.Run(c.kind+" "+c.patch, func(t *testing.T) {
			kind := kindNamed(t, c.kind)
			group, ok, err := kind.TemplateGroup(patched(t, manifest(t, kind), c.patch))
			if group != c.group || ok != c.ok || message(err) != c.err {
				t.Errorf("got %q, %t, %v; want %q, %t, %q", group, ok, err, c.group, c.ok, c.err)
			}
		})
	}
}

// message is err's, "" for none.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestReadAnything reads objects of any shape: an error is fine, a panic is not,
// and what is read has a template and no negative number.
func TestReadAnything(t *testing.T) {
	table := Default().All()
	bases := map[*Kind]*unstructured.Unstructured{}
	for _, kind := range table {
		bases[kind] = manifest(t, kind)
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(table).Draw(t, "kind")
		obj := bases[kind].DeepCopy()
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			deface(t, obj.Object)
		}
		if _, _, err := kind.TemplateGroup(obj); err != nil {
			t.Log(err)
		}
		w, err := kind.Read(obj)
		if err != nil {
			return
		}
		for _, set := range w.PodSets {
			if set.Template == nil || set.Replicas < 0 || set.Surge < 0 || set.SurgePercent < 0 {
				t.Fatalf("got %+v", set)
			}
		}
	})
}

// deface puts any value somewhere in fields.
func deface(t *rapid.T, fields map[string]any) {
	for {
		if len(fields) == 0 {
			return
		}
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(fields))).Draw(t, "field")
		inner, ok := fields[name].(map[string]any)
		if items, isList := fields[name].([]any); isList && len(items) > 0 {
			inner, ok = items[rapid.IntRange(0, len(items)-1).Draw(t, "item")].(map[string]any)
		}
		if !ok || rapid.IntRange(0, 4).Draw(t, "here") == 0 {
			fields[name] = anyJSON(2).Draw(t, "value")
			return
		}
		fields = inner
	}
}

// anyJSON draws a JSON value as the API's decoder has it.
func anyJSON(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(),
		rapid.SampledFrom([]string{"", "25%", "-1%", "99999999999999999999%", "3", "name", "True"}).AsAny(),
	}
	if depth > 0 {
		names := rapid.SampledFrom([]string{"spec", "metadata", "labels", "replicas", "template", "name", "containers", "Worker"})
		kinds = append(kinds, rapid.SliceOfN(anyJSON(depth-1), 0, 3).AsAny(), rapid.MapOfN(names, anyJSON(depth-1), 0, 3).AsAny())
	}
	return rapid.OneOf(kinds...)
}

func TestReadLeavesObject(t *testing.T) {
	for _, kind := range Default().All() {
		obj := manifest(t, kind)
		before := obj.DeepCopy()
		w, err := kind.Read(obj)
		if err != nil {
			t.Fatalf("%s: %v", kind.Kind, err)
		}
		for _, set := range w.PodSets {
			set.Template.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = *set.Template.Spec.Containers[0].Resources.Requests.Memory()
		}
		if diff := cmp.Diff(before, obj); diff != "" {
			t.Errorf("%s (-before +after):\n%s", kind.Kind, diff)
		}
	}
}
