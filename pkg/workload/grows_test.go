package workload

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"pgregory.net/rapid"
)

// growth compiles kind.Grows as the apiserver compiles match conditions: for its
// oldest compatible version, over objects of any type.
func growth(t testing.TB, kind *Kind) func(object, oldObject *unstructured.Unstructured) (bool, error) {
	t.Helper()
	program := compiled(t, kind)
	return func(object, oldObject *unstructured.Unstructured) (bool, error) {
		out, _, err := program.Eval(map[string]any{"object": object.Object, "oldObject": oldObject.Object})
		if err != nil {
			return false, err
		}
		return out.Value().(bool), nil
	}
}

// compiled is kind.Grows with the apiserver's limit of what one expression may cost.
func compiled(t testing.TB, kind *Kind) cel.Program {
	t.Helper()
	envs, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: environment.DefaultCompatibilityVersion(),
		EnvOptions:        []cel.EnvOption{cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType)},
	})
	if err != nil {
		t.Fatal(err)
	}
	env, err := envs.Env(environment.NewExpressions)
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(kind.Grows())
	if issues.Err() != nil {
		t.Fatalf("%s: %s\n%v", kind.Kind, kind.Grows(), issues.Err())
	}
	if ast.OutputType() != cel.BoolType {
		t.Fatalf("%s: of type %v, want bool", kind.Kind, ast.OutputType())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestGrowsCost lets the apiserver evaluate the largest list that a kind may have,
// the 100 jobs of a JobSet, with many containers each.
func TestGrowsCost(t *testing.T) {
	kind := kindNamed(t, "JobSet")
	before := manifest(t, kind)
	jobs, _, _ := unstructured.NestedSlice(before.Object, "spec", "replicatedJobs")
	spec, _, _ := unstructured.NestedMap(jobs[1].(map[string]any), "template", "spec", "template", "spec")
	spec["containers"] = slices.Repeat(spec["containers"].([]any), 20)
	var many []any
	for i := range 100 {
		job := runtime.DeepCopyJSON(jobs[1].(map[string]any))
		job["name"] = "job-" + strconv.Itoa(i)
		job["template"].(map[string]any)["spec"].(map[string]any)["template"].(map[string]any)["spec"] = spec
		many = append(many, job)
	}
	before.Object["spec"].(map[string]any)["replicatedJobs"] = many
	after := before.DeepCopy()
	after.Object["spec"].(map[string]any)["network"] = map[string]any{"subdomain": "new"}
	out, details, err := compiled(t, kind).Eval(map[string]any{"object": after.Object, "oldObject": before.Object})
	if err != nil {
		t.Fatal(err)
	}
	if out.Value() != false {
		t.Errorf("got %v, want false", out)
	}
	if cost := *details.ActualCost(); cost > celconfig.RuntimeCELCostBudgetMatchConditions/2 {
		t.Errorf("cost %d, want at most half of all that conditions may cost, %d", cost, celconfig.RuntimeCELCostBudgetMatchConditions)
	}
}

// TestGrows evaluates the expression of each kind over pairs of objects.
func TestGrows(t *testing.T) {
	const grows, same = true, false
	cases := []struct {
		kind, before, after string // Patches of the manifest.
		want                bool
	}{
		{"Deployment", ``, `{spec: {replicas: 11}}`, grows},
		{"Deployment", ``, `{spec: {replicas: 9}}`, same},
		{"Deployment", `{spec: {replicas: null}}`, `{spec: {replicas: 1}}`, same},
		{"Deployment", `{spec: {replicas: 0}}`, `{spec: {replicas: null}}`, grows},
		{"Deployment", ``, `{spec: {paused: true}}`, same},
		{"Deployment", ``, `{spec: {strategy: {rollingUpdate: {maxSurge: 50%}}}}`, grows},
		{"Deployment", `{spec: {strategy: {type: Recreate, rollingUpdate: null}}}`, ``, grows},
		{"Deployment", ``, `{spec: {template: {metadata: {annotations: {restartedAt: now}}}}}`, same},
		{"Deployment", ``, `{spec: {replicas: 9, template: {spec: {containers: {"0": {resources: {limits: {cpu: "3"}}}}}}}}`, grows},
		{"StatefulSet", ``, `{spec: {replicas: 4}}`, grows},
		{"StatefulSet", ``, `{spec: {replicas: 0}}`, same},
		{"ReplicaSet", ``, `{spec: {replicas: 5}}`, grows},
		{"ReplicaSet", ``, `{spec: {replicas: 3}}`, same},
		{"ReplicationController", ``, `{spec: {replicas: 3}}`, grows},
		{"ReplicationController", ``, `{spec: {replicas: 1}}`, same},
		{"DaemonSet", ``, `{spec: {template: {spec: {nodeSelector: null}}}}`, grows},
		{"DaemonSet", ``, `{spec: {minReadySeconds: 5}}`, same},
		{"Job", ``, `{spec: {parallelism: 9}}`, grows},
		{"Job", ``, `{spec: {completions: 6}}`, grows},
		{"Job", ``, `{spec: {completions: null}}`, grows},
		{"Job", ``, `{spec: {parallelism: 7}}`, same},
		{"Job", ``, `{spec: {suspend: true}}`, same},
		{"Job", ``, `{spec: {suspend: false}}`, same},
		{"Job", `{spec: {suspend: true}}`, `{spec: {suspend: false}}`, grows},
		{"Job", `{spec: {suspend: true}}`, `{spec: {suspend: null}}`, grows},
		{"Job", `{spec: {suspend: true}}`, `{spec: {suspend: true, parallelism: 80}}`, same},
		{"CronJob", ``, `{spec: {schedule: "0 4 * * *", suspend: true}}`, same},
		{"CronJob", ``, `{spec: {jobTemplate: {metadata: {labels: {biz.group.resource.quota: vision}}}}}`, grows},
		{"Pod", ``, `{spec: {containers: {"0": {resources: {limits: {cpu: "3"}}}}}}`, grows},
		{"Pod", ``, `{spec: {initContainers: {"0": {resources: {requests: {cpu: "9"}}}}}}`, grows},
		{"Pod", ``, `{spec: {resources: {requests: {cpu: "9"}}}}`, grows},
		{"Pod", ``, `{spec: {overhead: {cpu: "1"}}}`, grows},
		{"Pod", ``, `{spec: {containers: {"0": {image: busybox}}, activeDeadlineSeconds: 60}}`, same},
		{"Rollout", ``, `{spec: {replicas: 6}}`, grows},
		{"Rollout", ``, `{spec: {replicas: 4}}`, same},
		{"Rollout", ``, `{spec: {replicas: many}}`, grows}, // The webhook says what is wrong.
		{"Rollout", ``, `{spec: {replicas: -1}}`, grows},
		{"JobSet", ``, `{spec: {suspend: maybe}}`, grows},
		{"Rollout", ``, `{spec: {strategy: {canary: null, blueGreen: {activeService: api}}}}`, grows},
		{"Rollout", `{spec: {workloadRef: {name: api}}}`, `{spec: {workloadRef: null}}`, grows},
		{"TFJob", ``, `{spec: {tfReplicaSpecs: {Worker: {replicas: 5}}}}`, grows},
		{"TFJob", `{spec: {tfReplicaSpecs: {PS: null}}}`, ``, grows},
		{"TFJob", ``, `{spec: {tfReplicaSpecs: {Worker: {replicas: 3}}}}`, same},
		{"TFJob", ``, `{spec: {tfReplicaSpecs: {PS: null}}}`, same},
		{"TFJob", ``, `{spec: {tfReplicaSpecs: null}}`, same},
		{"TFJob", ``, `{spec: {runPolicy: {suspend: true}}}`, same},
		{"PyTorchJob", ``, `{spec: {pytorchReplicaSpecs: {Master: {replicas: 2}}}}`, grows},
		{"PyTorchJob", ``, `{spec: {pytorchReplicaSpecs: {Master: {replicas: 1}}}}`, same},
		{"PyTorchJob", ``, `{spec: {pytorchReplicaSpecs: {Worker: {replicas: 1}}}}`, same},
		{"MPIJob", ``, `{spec: {mpiReplicaSpecs: {Worker: {replicas: 3}}}}`, grows},
		{"MPIJob", ``, `{spec: {mpiReplicaSpecs: {Worker: {replicas: 1}}}}`, same},
		{"TrainJob", ``, `{spec: {trainer: {numNodes: 5}}}`, grows},
		{"TrainJob", ``, `{spec: {trainer: {resourcesPerNode: {limits: {cpu: "9"}}}}}`, grows},
		{"TrainJob", ``, `{spec: {trainer: {numNodes: 3}}}`, same},
		{"TrainJob", ``, `{spec: {suspend: true}}`, same},
		{"TrainJob", `{spec: {suspend: true}}`, ``, grows},
		{"JobSet", ``, `{spec: {replicatedJobs: {"1": {replicas: 4}}}}`, grows},
		{"JobSet", ``, `{spec: {replicatedJobs: {"1": {name: others}}}}`, grows},
		{"JobSet", ``, `{spec: {replicatedJobs: {"0": {name: workers}}}}`, grows},
		{"JobSet", ``, `{spec: {replicatedJobs: {"0": {replicas: 1}, "1": {replicas: 2, template: {spec: {completions: 1}}}}}}`, same},
		{"JobSet", ``, `{spec: {replicatedJobs: null}}`, same},
		{"JobSet", ``, `{spec: {suspend: true}}`, same},
		{"LeaderWorkerSet", ``, `{spec: {replicas: 3}}`, grows},
		{"LeaderWorkerSet", ``, `{spec: {leaderWorkerTemplate: {size: 5}}}`, grows},
		{"LeaderWorkerSet", ``, `{spec: {leaderWorkerTemplate: {leaderTemplate: null}}}`, grows},
		{"LeaderWorkerSet", ``, `{spec: {replicas: 1}}`, same},
		{"RayCluster", ``, `{spec: {workerGroupSpecs: {"0": {replicas: 4}}}}`, grows},
		{"RayCluster", ``, `{spec: {workerGroupSpecs: {"0": {numOfHosts: 3}}}}`, grows},
		{"RayCluster", ``, `{spec: {workerGroupSpecs: {"1": {minReplicas: 2}}}}`, grows},
		{"RayCluster", `{spec: {workerGroupSpecs: {"0": {suspend: true}}}}`, ``, grows},
		{"RayCluster", ``, `{spec: {workerGroupSpecs: {"0": {replicas: 1}}}}`, same},
		{"RayCluster", ``, `{spec: {suspend: true}}`, same},
		{"RayCluster", `{spec: {enableInTreeAutoscaling: false}}`, ``, grows},
		{"RayCluster", ``, `{spec: {autoscalerOptions: {resources: {limits: {cpu: "4"}}}}}`, grows},
		{"RayJob", `{spec: {submissionMode: HTTPMode}}`, ``, grows},
		{"RayJob", `{spec: {rayClusterSpec: null}}`, ``, grows},
		{"RayJob", ``, `{spec: {submitterPodTemplate: {spec: {containers: [{name: main, resources: {requests: {cpu: "3"}}}]}}}}`, grows},
		{"RayJob", ``, `{spec: {rayClusterSpec: {workerGroupSpecs: {"0": {replicas: 4}}}}}`, grows},
		{"RayJob", ``, `{spec: {rayClusterSpec: {workerGroupSpecs: {"0": {replicas: 2}}}}}`, same},
		{"RayService", `{spec: {upgradeStrategy: {type: None}}}`, ``, grows},
		{"RayService", ``, `{spec: {serveConfigV2: "applications: []"}}`, same},
		{"XGBoostJob", ``, `{spec: {xgbReplicaSpecs: {Worker: {replicas: 4}}}}`, grows},
		{"XGBoostJob", ``, `{spec: {xgbReplicaSpecs: {Worker: {replicas: 2}}}}`, same},
		{"PaddleJob", ``, `{spec: {paddleReplicaSpecs: {Worker: {replicas: 4}}}}`, grows},
		{"PaddleJob", ``, `{spec: {paddleReplicaSpecs: {Master: null}}}`, same},
		{"JAXJob", ``, `{spec: {jaxReplicaSpecs: {Worker: {replicas: 4}}}}`, grows},
		{"JAXJob", ``, `{spec: {runPolicy: {suspend: true}}}`, same},
		{"Notebook", `{metadata: {annotations: {kubeflow-resource-stopped: now}}}`, ``, grows},
		{"Notebook", ``, `{metadata: {annotations: {kubeflow-resource-stopped: now}}}`, same},
		{"Notebook", `{metadata: {annotations: null}}`, ``, same},
		{"Notebook", ``, `{spec: {template: {spec: {containers: {"0": {resources: {limits: {cpu: "9"}}}}}}}}`, grows},
		{"Job.batch.volcano.sh", ``, `{spec: {tasks: {"1": {replicas: 4}}}}`, grows},
		{"Job.batch.volcano.sh", ``, `{spec: {minAvailable: 2, tasks: {"1": {replicas: 2}}}}`, same},
		{"CloneSet", ``, `{spec: {replicas: 9}}`, grows},
		{"CloneSet", ``, `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 60%}}}}`, grows},
		{"CloneSet", ``, `{spec: {updateStrategy: {rollingUpdate: {partition: 3}}}}`, grows},
		{"CloneSet", ``, `{spec: {replicas: 7}}`, same},
		{"StatefulSet.apps.kruise.io", ``, `{spec: {replicas: 4}}`, grows},
		{"StatefulSet.apps.kruise.io", ``, `{spec: {replicas: 2}}`, same},
		{"SparkApplication", ``, `{spec: {executor: {instances: 11}}}`, grows},
		{"SparkApplication", ``, `{spec: {executor: {instances: 9}}}`, same},
		{"SparkApplication", ``, `{spec: {executor: {memory: 9g}}}`, grows},
		{"SparkApplication", ``, `{spec: {memoryOverheadFactor: "0.9"}}`, grows},
		{"SparkApplication", ``, `{spec: {dynamicAllocation: {enabled: true}}}`, grows},
		{"SparkApplication", ``, `{spec: {driver: {cores: 2}}}`, grows},
		{"SparkApplication", ``, `{spec: {sparkVersion: 3.5.1}}`, same},
		{"SparkApplication", ``, `{spec: {suspend: true}}`, same},
	}
	seen := map[string]map[bool]bool{}
	for _, kind := range Default().All() {
		seen[nameOf(kind)] = map[bool]bool{}
		evaluate, base := growth(t, kind), manifest(t, kind)
		edited := patched(t, base, `{metadata: {annotations: {note: new}, labels: {team: a}}, status: {observedGeneration: 2}}`)
		if got, err := evaluate(edited, base); got || err != nil {
			t.Errorf("%s: edit of metadata: got %t, %v; want false", kind.Kind, got, err)
		}
		for _, c := range cases {
			if c.kind != nameOf(kind) {
				continue
			}
			seen[c.kind][c.want] = true
			t.Run(c.kind+" "+c.before+" -> "+c.after, func(t *testing.T) {
				got, err := evaluate(patched(t, base, c.after), patched(t, base, c.before))
				if err != nil || got != c.want {
					t.Errorf("got %t, %v; want %t from\n%s", got, err, c.want, kind.Grows())
				}
			})
		}
		if len(seen[nameOf(kind)]) != 2 {
			t.Errorf("%s: want a case that grows and one that does not", kind.Kind)
		}
	}
}

// TestGrowsMissesNothing changes numbers and entries at random: whenever a
// workload then has more pods, more surge or more CPU, Grows says so.
func TestGrowsMissesNothing(t *testing.T) {
	table := Default().All()
	bases := map[*Kind]*unstructured.Unstructured{}
	evaluate := map[*Kind]func(_, _ *unstructured.Unstructured) (bool, error){}
	for _, kind := range table {
		bases[kind], evaluate[kind] = manifest(t, kind), growth(t, kind)
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(table).Draw(t, "kind")
		before := bases[kind].DeepCopy()
		vary(t, before.Object["spec"], 8)
		after := before.DeepCopy()
		vary(t, after.Object["spec"], 24)
		stop(t, before)
		stop(t, after)
		if rapid.Bool().Draw(t, "back") { // What is left out also comes back.
			before, after = after, before
		}
		old, err := kind.Read(before)
		if err != nil {
			return
		}
		now, err := kind.Read(after)
		if err != nil {
			return
		}
		grows, err := evaluate[kind](after, before)
		if err != nil {
			t.Fatalf("%v\n%s", err, kind.Grows())
		}
		if !grows && larger(old, now) {
			t.Fatalf("larger, but not said to grow\nbefore: %v\nafter: %v\n%s", before, after, kind.Grows())
		}
	})
}

// stop marks an object as stopped, or not.
func stop(t *rapid.T, obj *unstructured.Unstructured) {
	if rapid.IntRange(0, 4).Draw(t, "stopped") == 0 {
		obj.SetAnnotations(map[string]string{"kubeflow-resource-stopped": "now"})
	}
}

// vary sets one in so many numbers, bools and quantities anew, or leaves it out.
func vary(t *rapid.T, value any, oneIn int) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			vary(t, value[name], oneIn)
			varyField(t, value, name, oneIn)
		}
	case []any:
		for _, item := range value {
			vary(t, item, oneIn)
		}
	}
}

func varyField(t *rapid.T, fields map[string]any, name string, oneIn int) {
	if rapid.IntRange(1, oneIn).Draw(t, name+" changes") != oneIn/2 {
		return
	}
	small := rapid.Int64Range(0, 5).Draw(t, name)
	switch fields[name].(type) {
	case int64:
		fields[name] = small
	case bool:
		fields[name] = small > 2
	}
	if words := map[string][]string{
		"submissionMode": {"K8sJobMode", "HTTPMode", "SidecarMode"}, "type": {"None", "NewCluster", "Python", "Java"},
		"memory": {"1Gi", "2Gi"}, "memoryOverhead": {"1g", "2g"}, "memoryOverheadFactor": {"0.1", "2"}, "coreLimit": {"2", "7"},
	}[name]; words != nil {
		fields[name] = rapid.SampledFrom(words).Draw(t, "word")
	}
	switch {
	case name == "cpu":
		fields[name] = strconv.FormatInt(small, 10)
	case name == "name" || name == "groupName":
		fields[name] = rapid.SampledFrom([]string{"driver", "workers", "gpu", "cpu"}).Draw(t, "renamed")
	case small == 0 && name != "template" && name != "jobTemplate":
		delete(fields, name)
	}
}

// larger says whether b has more of anything than a.
func larger(a, b *Workload) bool {
	before, after := totals(a), totals(b)
	return slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool { return after[i] > before[i] })
}

// totals are the pods, the surge, and the milli-CPU and the memory that the workload's
// containers ask for or may use.
func totals(w *Workload) [4]int64 {
	var pods, surge, cpu, memory int64
	if w.Suspended {
		return [4]int64{}
	}
	for _, set := range w.PodSets {
		replicas := set.Replicas
		if set.PerNode {
			replicas = 1
		}
		pods += replicas
		surge += set.Surge + set.SurgePercent
		for _, container := range set.Template.Spec.Containers {
			cpu += replicas * max(container.Resources.Requests.Cpu().MilliValue(), container.Resources.Limits.Cpu().MilliValue())
			memory += replicas * container.Resources.Requests.Memory().Value()
		}
	}
	return [4]int64{pods, surge, cpu, memory}
}
