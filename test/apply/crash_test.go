package apply_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/plugins/taintplan"
	"github.com/stowage-dev/stowage/test/lab"
)

// childEnv makes the test binary a process that applies a plan: the lab's directory,
// planEnv the plan's file. commandEnv makes it kubectl-taint_plan.
const (
	childEnv   = "STOWAGE_TEST_APPLY_IN"
	planEnv    = "STOWAGE_TEST_APPLY_PLAN"
	commandEnv = "STOWAGE_TEST_TAINT_PLAN"
)

// child applies a plan up to the middle of its second wave: there it says so, and
// waits to be killed.
func child() int {
	if err := applyHalf(os.Getenv(childEnv), os.Getenv(planEnv)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func applyHalf(dir, path string) error {
	l, err := lab.Open(dir)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	p, err := saved.Read(path, file)
	if err != nil {
		return err
	}
	opts := options(l.RESTConfig())
	opts.Observer = observer(func(step apply.Step) {
		if step.Wave == 2 {
			fmt.Println(step.Object, step.Done)
			select {} // holds the others back, who report one at a time
		}
	})
	return apply.Run(context.Background(), l.Client(), p, opts)
}

// crashed is a plan of two waves of forty nodes each whose process was killed with
// SIGKILL when the second was on some of its nodes.
func crashed(t *testing.T) *report.TaintPlan {
	t.Helper()
	var nodes, tainted []string
	for i := range 84 {
		nodes = append(nodes, fmt.Sprintf("n%02d", i))
	}
	tainted = nodes[:80]
	fleet(t, nodes, build.Deployment("default", "web", 21, web()), build.PDB("default", "web", "10%", "app=web", 0))
	p := planned(t, 2, tainted, "maintenance:NoExecute")

	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), childEnv+"="+cluster.Dir(), planEnv+"="+save(t, p))
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill() }) // it is dead already unless the test failed
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process ended before the second wave: %v, after %q", err, line)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait() // killed

	done := doneNodes(t, p)
	if second := len(done) - 40; second < 1 || second >= 40 {
		t.Fatalf("%d nodes of the second wave have their taint, want some of 40", second)
	}
	return p
}

// doneNodes are the nodes of a plan that have their change.
func doneNodes(t *testing.T, p *report.TaintPlan) (names []string) {
	t.Helper()
	nodes := nodesNow(t)
	for _, node := range p.Nodes {
		if saved.Done(node, nodes[node.Name].Spec.Taints) {
			names = append(names, node.Name)
		}
	}
	return names
}

func TestRunGoesOnAfterACrash(t *testing.T) {
	p := crashed(t)
	notDrifted(t, p)
	done := doneNodes(t, p)
	steps, err := run(t, p)
	if err != nil {
		t.Fatal(err)
	}
	var unchanged []string
	for _, name := range done {
		unchanged = append(unchanged, "node/"+name+" unchanged")
	}
	got := slices.DeleteFunc(slices.Sorted(slices.Values(steps)), func(step string) bool { return !slices.Contains(unchanged, step) })
	if diff := cmp.Diff(unchanged, got); diff != "" {
		t.Errorf("nodes left alone (-done before +left alone):\n%s", diff)
	}
	if done := doneNodes(t, p); len(done) != 80 {
		t.Errorf("%d nodes have their taint, want 80", len(done))
	}
	if pods := podsOn(t, "web", "n80", "n81", "n82", "n83"); len(pods) != 21 {
		t.Errorf("%d pods on the other nodes, want 21", len(pods))
	}
}

func TestRollbackAfterACrash(t *testing.T) {
	p := crashed(t)
	done := doneNodes(t, p)
	var restored int
	for _, step := range rollback(t, p) {
		for _, name := range done {
			if step == "node/"+name+" restored" {
				restored++
			}
		}
	}
	if restored != len(done) {
		t.Errorf("%d nodes restored, want %d", restored, len(done))
	}
	hasTaints(t, map[string]string{})
	for key, fields := range managers(t) {
		if strings.Contains(key, " "+apply.FieldManager+" ") {
			t.Errorf("%s still owns %s", key, fields)
		}
	}
}

// taintPlan is what kubectl-taint_plan runs.
func taintPlan() int {
	env := cli.NewEnv()
	return cli.Execute(env, taintplan.NewCommand(env))
}

// command runs kubectl-taint_plan in processes of its own.
type command struct{ *testing.T }

// start starts the command on the lab.
func (c command) start(args ...string) (process *exec.Cmd, output *bytes.Buffer) {
	c.Helper()
	process, output = exec.Command(os.Args[0], args...), &bytes.Buffer{}
	process.Env = append(os.Environ(), commandEnv+"=1", "KUBECONFIG="+cluster.Kubeconfig())
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = process.Process.Kill() }) // it has ended already unless the test failed
	return process, output
}

// run waits until the command ends, with the exit code.
func (c command) run(code int, args ...string) {
	c.Helper()
	process, output := c.start(args...)
	_ = process.Wait() // the exit code says it
	if got := process.ProcessState.ExitCode(); got != code {
		c.Fatalf("%v: exit code %d, want %d:\n%s", args, got, code, output)
	}
}

// plan saves a plan that taints the nodes one by one.
func (c command) plan(nodes ...string) (path string) {
	c.Helper()
	path = filepath.Join(c.TempDir(), "plan.yaml")
	args := append([]string{"nodes"}, nodes...)
	c.run(cli.ExitNo, append(args, "maintenance:NoExecute", "maintenance:NoSchedule", "--waves", strconv.Itoa(len(nodes)), "--out", path)...)
	return path
}

// killed starts applying a plan and kills the process, with SIGKILL, as soon as a node
// has its taint.
func (c command) killed(plan, node string) {
	c.Helper()
	process, output := c.start("--apply", plan, "--yes")
	eventually(c.T, "node "+node+" is tainted", func(context.Context) (bool, error) {
		return len(nodesNow(c.T)[node].Spec.Taints) > 0, nil
	})
	if err := process.Process.Kill(); err != nil {
		c.Fatal(err)
	}
	_ = process.Wait() // killed
	if last := "node/" + node + " tainted\n"; strings.Contains(output.String(), last+"wave/") {
		c.Fatalf("the process was killed after its wave:\n%s", output)
	}
}

// TestCommandIsKilled does as a user would: save, apply, be killed, apply again, undo.
func TestCommandIsKilled(t *testing.T) {
	c := command{t}
	webFleet(t, patient(4)) // no wave settles before they have gone, and they tolerate no NoSchedule
	const tainted = "maintenance:NoExecute, maintenance:NoSchedule"
	before, managersBefore := others(nodesNow(t)), managers(t)
	path := c.plan("n1", "n2", "n3")
	c.killed(path, "n2")
	hasTaints(t, map[string]string{"n1": tainted, "n2": tainted})
	c.run(cli.ExitOK, "--apply", path, "--yes")
	hasTaints(t, map[string]string{"n1": tainted, "n2": tainted, "n3": tainted})
	if pods := podsOn(t, "web", "n4"); len(pods) != 8 {
		t.Errorf("pods on the node that is left: %v, want 8", pods)
	}
	c.run(cli.ExitOK, "--rollback", path, "--yes")

	path = c.plan("n4", "n1") // all pods are there now
	c.killed(path, "n4")
	c.run(cli.ExitOK, "--rollback", path, "--yes")
	if diff := cmp.Diff(before, others(nodesNow(t))); diff != "" {
		t.Errorf("nodes (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(managersBefore, managers(t)); diff != "" {
		t.Errorf("field managers (-before +after):\n%s", diff)
	}
}
