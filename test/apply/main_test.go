package apply_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/test/lab"
)

var cluster *lab.Lab

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(childEnv) != "":
		os.Exit(child())
	case os.Getenv(commandEnv) != "":
		os.Exit(taintPlan())
	}
	lab.Main(m, &cluster, lab.Options{})
}

// patience is how long a test waits for controllers, on a machine that others use too.
const patience = time.Minute

// eventually waits for something that takes moments.
func eventually(t *testing.T, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// fleet makes the nodes and what is given, with the pods on them ready and the budgets
// known to their controller.
func fleet(t *testing.T, nodes []string, objects ...runtime.Object) {
	t.Helper()
	lab.Needed(t)
	if err := cluster.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	for _, name := range nodes {
		all = append(all, build.Node(name).Capacity("cpu=4,memory=8Gi,pods=20").Obj())
	}
	for _, objects := range [][]runtime.Object{all, objects} { // the pods when all nodes can have them
		if err := cluster.CreateAll(t.Context(), objects...); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all is ready", func(ctx context.Context) (bool, error) {
			snap, err := load.Live(ctx, cluster.RESTConfig(), load.Options{})
			if err != nil {
				return false, err
			}
			return ready(snap), nil
		})
	}
}

// ready says whether a fleet has come to rest.
func ready(snap *snapshot.Snapshot) bool {
	for _, node := range snap.Nodes {
		if len(node.Spec.Taints) > 0 {
			return false
		}
	}
	for _, d := range snap.Deployments {
		if d.Status.ReadyReplicas < *d.Spec.Replicas {
			return false
		}
	}
	for _, set := range snap.StatefulSets {
		if set.Status.ReadyReplicas < *set.Spec.Replicas {
			return false
		}
	}
	for _, pdb := range snap.PodDisruptionBudgets {
		if pdb.Status.CurrentHealthy < pdb.Status.DesiredHealthy || pdb.Status.ObservedGeneration < pdb.Generation {
			return false
		}
	}
	for _, pod := range snap.Pods {
		if pod.Status.Phase != corev1.PodRunning {
			return false
		}
	}
	return true
}

// snapshotOf is the cluster as it is to who has the config.
func snapshotOf(t *testing.T, config *rest.Config) *snapshot.Snapshot {
	t.Helper()
	snap, err := load.Live(t.Context(), config, load.Options{Finished: true})
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// planned is a sealed plan of a change of the nodes, in that many waves.
func planned(t *testing.T, waves int, nodes []string, change ...string) *report.TaintPlan {
	t.Helper()
	return plannedBy(t, cluster.RESTConfig(), waves, nodes, change...)
}

func plannedBy(t *testing.T, config *rest.Config, waves int, nodes []string, change ...string) *report.TaintPlan {
	t.Helper()
	asked, err := taint.Parse(change)
	if err != nil {
		t.Fatal(err)
	}
	planner, err := plan.New(t.Context(), snapshotOf(t, config), plan.Options{Waves: waves})
	if err != nil {
		t.Fatal(err)
	}
	defer planner.Close()
	p, err := planner.Plan(t.Context(), nodes, asked)
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.Seal(p); err != nil {
		t.Fatal(err)
	}
	return reread(t, p)
}

// reread is the plan as it comes from a file.
func reread(t *testing.T, p *report.TaintPlan) *report.TaintPlan {
	t.Helper()
	file, err := os.Open(save(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, err := saved.Read("plan.yaml", file)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// save writes a plan to a file.
func save(t *testing.T, p *report.TaintPlan) (path string) {
	t.Helper()
	data, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// options are those of a command that runs with the config.
func options(config *rest.Config) apply.Options {
	return apply.Options{
		Timeout: 2 * time.Minute,
		Load: func(ctx context.Context, resources ...string) (*snapshot.Snapshot, error) {
			return load.Live(ctx, config, load.Options{Finished: true, Kinds: resources})
		},
	}
}

// observer is told of steps, and not of planning.
type observer func(apply.Step)

func (o observer) Step(step apply.Step) { o(step) }
func (o observer) Planning(_, _ int)    {}

// run applies a plan, and gives back the steps that were done.
func run(t *testing.T, p *report.TaintPlan, edits ...func(*apply.Options)) (steps []string, err error) {
	t.Helper()
	opts := options(cluster.RESTConfig())
	opts.Observer = observer(func(step apply.Step) {
		if step.Done != "" {
			steps = append(steps, step.Object+" "+step.Done)
		}
	})
	for _, edit := range edits {
		edit(&opts)
	}
	return steps, apply.Run(t.Context(), cluster.Client(), p, opts)
}

// loadsWhole calls do before each load of the whole cluster, with how many there have
// been.
func loadsWhole(do func(ctx context.Context, before int) error) func(*apply.Options) {
	return func(opts *apply.Options) {
		load, loads := opts.Load, 0
		opts.Load = func(ctx context.Context, resources ...string) (*snapshot.Snapshot, error) {
			if len(resources) == 0 {
				loads++
				if err := do(ctx, loads-1); err != nil {
					return nil, err
				}
			}
			return load(ctx, resources...)
		}
	}
}

// notDrifted checks that the rest of a plan may be applied.
func notDrifted(t *testing.T, p *report.TaintPlan) {
	t.Helper()
	drift, err := saved.Drift(t.Context(), p, snapshotOf(t, cluster.RESTConfig()), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]report.Drift{}, drift); diff != "" {
		t.Fatalf("drift (-want +got):\n%s", diff)
	}
}

// nodesNow are the nodes by name.
func nodesNow(t *testing.T) map[string]*corev1.Node {
	t.Helper()
	list, err := cluster.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]*corev1.Node{}
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	return nodes
}

// hasTaints checks the taints of every node; those that are not named have none.
func hasTaints(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name, node := range nodesNow(t) {
		if len(node.Spec.Taints) > 0 {
			got[name] = saved.Taints(node.Spec.Taints)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
}

// podsOn are the pods of a workload's prefix on some nodes.
func podsOn(t *testing.T, prefix string, nodes ...string) (names []string) {
	t.Helper()
	list, err := cluster.Client().CoreV1().Pods(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	on := strings.Join(nodes, " ")
	for _, pod := range list.Items {
		if strings.HasPrefix(pod.Name, prefix) && pod.Spec.NodeName != "" && strings.Contains(on, pod.Spec.NodeName) {
			names = append(names, pod.Name)
		}
	}
	return names
}
