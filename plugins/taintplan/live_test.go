package taintplan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/plugins/taintplan"
	"github.com/stowage-dev/stowage/test/command"
)

// live is a test on a real control plane.
type live struct{ command.Live }

// TestLive plans, applies and rolls back on a real control plane: node a has a
// finished pod, a bare one and those of a Deployment, for which b has room.
func TestLive(t *testing.T) {
	l := live{plugin().Start(t)}
	l.Create(build.Node("a").Capacity("cpu=4,memory=8Gi").Obj())
	l.AwaitNodes()
	l.Create(
		build.Pod("default", "bare").Node("a").Request("cpu=1").Obj(),
		build.Pod("default", "done").Node("a").Obj(),
		build.Deployment("default", "web", 2, build.Pod("default", "web").Label("app", "web").Request("cpu=1")),
	)
	l.awaitReady(2)
	l.finish("done")
	l.Create(build.Node("b").Capacity("cpu=4,memory=8Gi").Obj())
	l.AwaitNodes()
	l.Create(command.ClusterRole("planner", []string{"*"}, []string{"*"}, "list")...)

	l.Sub("plan", func(l command.Live) { live{l}.testPlan() })
	l.Sub("a dump gives the same bytes", func(l command.Live) { live{l}.testDump() })
	l.Sub("through kubectl", func(l command.Live) { live{l}.testKubectl() })
	l.Sub("completion", func(l command.Live) {
		l.Completes(map[string]string{"nodes\t": "a\nb\n:4\n", "nodes\ta\t": "b\n:4\n", "-n\tdefau": "default\n:4\n"})
	})
	l.Sub("refusals", func(l command.Live) { live{l}.testRefusals() })
	l.Sub("apply and roll back", func(l command.Live) { live{l}.testApply() })
	l.Sub("what a rollback does is shown", func(l command.Live) { live{l}.testRollbackShown() })
	l.Sub("drift", func(l command.Live) { live{l}.testDrift() })
	l.Sub("Ctrl-C", func(l command.Live) { live{l}.testInterrupt() })
	l.Sub("apply at once", func(l command.Live) { live{l}.testApplyAtOnce() })
	l.Sub("examples", func(l command.Live) { live{l}.testExamples() })
}

// testPlan checks that the finished pod is in the plan, and that a plan changes
// nothing.
func (l live) testPlan() {
	l.Expect([]string{"nodes", "a", clear}, cli.ExitNo, "4 pods evicted: 2 re-placed, 1 lost for good\n", "finished", "Deployment/web")
	l.Expect([]string{"nodes", "a", clear, "-o", "jsonpath={.evictions[*].newNode}"}, cli.ExitNo, "--- stdout\nb b--- stderr")
	l.Expect([]string{"nodes", "aa", clear}, cli.ExitError, `error: nodes "aa" not found; did you mean "a"?`)
	l.taints("a")
}

func (l live) testDump() {
	dump := filepath.Join(l.TempDir(), "dump.yaml")
	l.dump(dump)
	args := []string{"nodes", "--all", clear, "--waves", "auto", "-o", "wide"}
	if diff := cmp.Diff(l.Do(args...).Stdout, plugin().Run(l, "", append(args, "--snapshot", dump)...).Stdout); diff != "" {
		l.Errorf("- is live, + is from the dump:\n%s", diff)
	}
}

// dump writes all that a plan needs in a file.
func (l live) dump(path string) {
	l.Helper()
	snap, err := load.Live(l.Context(), l.Cluster.RESTConfig(), load.Options{Finished: true})
	if err != nil {
		l.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		l.Fatal(err)
	}
	format := snapshot.Format{Gzip: strings.HasSuffix(path, ".gz")}
	if err := errors.Join(snapshot.Write(file, snap, format), file.Close()); err != nil {
		l.Fatal(err)
	}
}

// testKubectl runs the binary as kubectl finds it: beside the builtin taint.
func (l live) testKubectl() {
	kubectl, err := l.Cluster.Binary("kubectl")
	if err != nil {
		l.Fatal(err)
	}
	bin := l.TempDir()
	compile := exec.CommandContext(l.Context(), "go", "build", "-o", filepath.Join(bin, "kubectl-taint_plan"), "../../cmd/kubectl-taint_plan")
	if out, err := compile.CombinedOutput(); err != nil {
		l.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(l.Context(), kubectl, "taint-plan", "nodes", "a", clear, "-o", "name")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Cluster.Kubeconfig(), "PATH="+bin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != cli.ExitNo || out.String() != "node/a\n" {
		l.Errorf("%v, stdout %q, stderr %q, want node/a and exit code 1", err, &out, &errOut)
	}
}

// testRefusals checks that a plan of elsewhere is not applied, nor one by somebody
// who may not, nor any without being asked.
func (l live) testRefusals() {
	elsewhere := l.save("nodes", "a", clear)
	l.edit(elsewhere, func(p *report.TaintPlan) { p.Cluster = "another" })
	for _, what := range []string{"--apply", "--rollback"} {
		l.Expect([]string{what, elsewhere, "--yes"}, cli.ExitError, elsewhere+`: cluster: the plan is for the cluster whose namespace kube-system has the UID "another", and this one's has "`)
	}
	older := l.save("nodes", "a", clear)
	l.edit(older, func(p *report.TaintPlan) { p.ServerVersion = "v1.30.2" })
	l.Expect([]string{"--apply", older, "--yes"}, cli.ExitError, older+": serverVersion: the plan is for v1.30.2, and the server is v1.37.1; make the plan again\n")

	mine := l.save("nodes", "a", clear)
	l.Expect([]string{"--apply", mine}, cli.ExitError, "error: stdin is no terminal to ask on: expected --yes, or --dry-run=server to see what would be done\n")
	l.Expect([]string{"--apply", mine, "--yes", "--as=planner"}, cli.ExitError, `error: wave 1 of 1: node a: nodes "a" is forbidden: User "planner" cannot get resource "nodes" in API group "" at the cluster scope; no node was changed`)
	l.taints("a")

	unsaved := filepath.Join(l.TempDir(), "plan.yaml")
	l.Expect([]string{"nodes", "a", clear, "--apply", "--out", unsaved}, cli.ExitError, "error: stdin is no terminal to ask on")
	if _, err := os.Stat(unsaved); !errors.Is(err, os.ErrNotExist) {
		l.Errorf("the plan that was not applied is still saved: %v", err)
	}
}

func (l live) testApply() {
	path := l.save("nodes", "a", clear)
	l.Expect([]string{"--apply", path, "--dry-run=client"}, 0, "node/a tainted (dry run)\n")
	l.Expect([]string{"--apply", path, "--dry-run=server"}, 0, "node/a tainted (server dry run)\n")
	l.taints("a")
	l.Expect([]string{"--apply", path, "--yes"}, 0, "4 pods evicted", "node/a tainted\n", "wave/1 settled\n--- stderr")
	l.taints("a", clear)
	l.awaitReady(2)
	l.Expect([]string{"--apply=" + path, "--yes"}, 0, "node/a unchanged\n", "wave/1 settled\n")
	l.Expect([]string{"--rollback", path, "--dry-run=client"}, 0, "node/a restored (dry run)\n")
	l.Expect([]string{"--rollback", path, "--dry-run=server"}, 0, "node/a restored (server dry run)\n")
	l.taints("a", clear)
	l.Expect([]string{"--rollback", path}, cli.ExitError, "a      maintenance:NoExecute-   restored (server dry run)\n", "stdin is no terminal to ask on")
	l.taints("a", clear)
	l.Expect([]string{"--rollback", path, "--yes"}, 0, "--- stdout\nnode/a restored\n--- stderr\n")
	l.taints("a")
}

// testRollbackShown checks that what another has put in a taint's place, which a rollback
// leaves, is not shown as if it were taken back.
func (l live) testRollbackShown() {
	path := l.save("nodes", "a", "drain:PreferNoSchedule")
	l.setTaints("a", build.Taint("drain=other:PreferNoSchedule"))
	l.Expect([]string{"--rollback", path}, cli.ExitError, "a      <none>   unchanged (server dry run)\n", "stdin is no terminal to ask on")
	l.setTaints("a")
}

// setTaints gives a node its taints, as another would.
func (l live) setTaints(node string, taints ...corev1.Taint) {
	l.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"taints": taints}})
	if err == nil {
		_, err = l.Cluster.Client().CoreV1().Nodes().Patch(l.Context(), node, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		l.Fatal(err)
	}
}

// testDrift checks that a plan is refused when a pod has come that it would evict.
func (l live) testDrift() {
	path := l.save("nodes", "b", clear)
	l.Create(build.Pod("default", "late").Node("b").Request("cpu=1").Obj())
	l.Expect([]string{"--apply", path, "--yes"}, cli.ExitError, "Changed since the plan was made:\nOBJECT", "pod/default/late", path+": the cluster is not as planned: pod/default/late: ")
	l.taints("b")
}

// testInterrupt checks that Ctrl-C says what is done, while a wave waits for a pod that
// stays for long.
func (l live) testInterrupt() {
	stays := build.Pod("default", "stays").Node("a").Obj()
	stays.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(3600)), Effect: corev1.TaintEffectNoExecute}}
	l.Create(stays)
	path := l.save("nodes", "--all", clear, "--waves", "2")
	out, stop := l.Background("--apply", path, "--yes")
	l.AwaitText(out, "node/a tainted\n")
	stderr, err := stop()
	if !errors.Is(err, context.Canceled) {
		l.Errorf("the command ended with %v", err)
	}
	want := fmt.Sprintf("; done: the taints of wave 1 (node a); run kubectl taint-plan --apply %[1]s again to continue, or kubectl taint-plan --rollback %[1]s to undo\n", path)
	if !strings.Contains(stderr, "interrupted: wave 1 of 2: context canceled") || !strings.HasSuffix(stderr, want) {
		l.Errorf("stderr is %q, want what is done", stderr)
	}
	l.taints("a", clear)
	l.taints("b")
	l.Expect([]string{"--rollback", path, "--yes"}, 0, "node/a restored\n")
	l.taints("a")
}

// testApplyAtOnce checks --apply without a saved plan.
func (l live) testApplyAtOnce() {
	path := filepath.Join(l.TempDir(), "plan.yaml")
	l.Expect([]string{"nodes", "--all", "drain:PreferNoSchedule", "--waves=2", "--out", path, "--apply", "--yes", "-o", "name"}, 0,
		"--- stdout\nnode/a\nnode/b\n--- stderr", "node/a tainted\nwave/1 settled\nnode/b tainted\nwave/2 settled\n")
	l.taints("a", "drain:PreferNoSchedule")
	l.taints("b", "drain:PreferNoSchedule")
	l.Expect([]string{"--rollback", path, "--yes"}, 0, "--- stdout\nnode/b restored\nnode/a restored\n--- stderr\n")
	l.taints("b")
}

// testExamples runs what the help shows, one after the other, in a fleet of which only
// some nodes have a taint for GPUs.
func (l live) testExamples() {
	for _, name := range []string{"t4-01", "t4-02"} {
		l.Create(build.Node(name).Label("pool", "gpu").Capacity("cpu=4,memory=8Gi").Obj())
	}
	l.AwaitNodes()
	l.Chdir(l.TempDir())
	l.Expect([]string{"nodes", "-l", "pool=gpu", "nvidia.com/gpu=present:NoSchedule", "--apply", "--out", "gpu.yaml", "--yes"}, cli.ExitOK)
	l.dump("fleet.yaml.gz")
	for line := range strings.Lines(taintplan.NewCommand(command.Env(genericiooptions.NewTestIOStreamsDiscard(), clock.RealClock{})).Example) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "kubectl" {
			continue
		}
		code, args := cli.ExitNo, words[2:]
		if slices.Contains(args, "--apply") || slices.Contains(args, "--rollback") {
			code, args = cli.ExitOK, append(args, "--yes")
		}
		l.Expect(args, code)
	}
}

// save saves a plan in a new file, and returns its path.
func (l live) save(args ...string) string {
	l.Helper()
	path := filepath.Join(l.TempDir(), "plan.yaml")
	l.Expect(append(args, "--out", path, "-o", "name"), cli.ExitNo)
	return path
}

// edit changes a saved plan and seals it again.
func (l live) edit(path string, change func(*report.TaintPlan)) {
	l.Helper()
	file, err := os.Open(path)
	if err != nil {
		l.Fatal(err)
	}
	defer file.Close()
	p, err := saved.Read(path, file)
	if err != nil {
		l.Fatal(err)
	}
	change(p)
	if err := saved.Seal(p); err != nil {
		l.Fatal(err)
	}
	data, err := yaml.Marshal(p)
	if err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.Fatal(err)
	}
}

// taints checks which taints a node has.
func (l live) taints(node string, want ...string) {
	l.Helper()
	var got []string
	for _, taint := range l.Node(node).Spec.Taints {
		got = append(got, taint.ToString())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.Errorf("node %s: %s", node, diff)
	}
}

// finish lets a pod run to its end.
func (l live) finish(pod string) {
	l.Helper()
	pods := l.Cluster.Client().CoreV1().Pods("default")
	l.Await("pod "+pod+" to run", func(ctx context.Context) (bool, error) {
		found, err := pods.Get(ctx, pod, metav1.GetOptions{})
		return err == nil && found.Status.Phase == corev1.PodRunning, err
	})
	patch := []byte(`{"status": {"phase": "Succeeded"}}`)
	if _, err := pods.Patch(l.Context(), pod, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		l.Fatal(err)
	}
}

// awaitReady waits until so many pods of the Deployment are ready.
func (l live) awaitReady(pods int32) {
	l.Helper()
	l.Await("the pods to be ready", func(ctx context.Context) (bool, error) {
		web, err := l.Cluster.Client().AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && web.Status.ReadyReplicas == pods && web.Status.ObservedGeneration == web.Generation, err
	})
}
