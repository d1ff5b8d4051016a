package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/stowage-dev/stowage/test/lab"
)

// childEnv makes the test binary a process that owns a lab, prints its directory and waits to be killed.
const childEnv = "STOWAGE_LAB_TEST_CHILD"

var cluster *lab.Lab

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(ownLab())
	}
	lab.Main(m, &cluster, lab.Options{})
}

func TestPodsAreBoundAndRun(t *testing.T) {
	reset(t)
	objs := []runtime.Object{namespace("apps")}
	for i := range 3 {
		objs = append(objs, node(fmt.Sprintf("node-%d", i)))
	}
	for i := range 3 {
		objs = append(objs, pod("apps", fmt.Sprintf("pod-%d", i)))
	}
	create(t, objs...)

	eventually(t, "3 pods run on nodes", func(ctx context.Context) (bool, error) {
		pods, err := cluster.Client().CoreV1().Pods("apps").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		running := 0
		for _, p := range pods.Items {
			if p.Spec.NodeName != "" && p.Status.Phase == corev1.PodRunning {
				running++
			}
		}
		return running == 3, nil
	})
}

func TestStoppedSchedulerLeavesPodsAlone(t *testing.T) {
	reset(t)
	ctx := t.Context()
	if err := cluster.StopScheduler(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // a failure must not leave the next test without a scheduler
		if err := cluster.StartScheduler(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := cluster.StopScheduler(ctx); err != nil {
		t.Fatalf("stopping twice: %v", err)
	}
	create(t, node("node"), pod("default", "waiting"))
	eventually(t, "node is ready", nodeReady("node"))
	if got := nodeOf(t, "waiting"); got != "" {
		t.Fatalf("pod was bound to %q without a scheduler", got)
	}

	if err := cluster.StartScheduler(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pod is bound", func(context.Context) (bool, error) { return nodeOf(t, "waiting") == "node", nil })
}

func TestAPIServerAndEtcdRestart(t *testing.T) {
	reset(t)
	create(t, namespace("kept"))
	for _, c := range []lab.Component{lab.APIServer, lab.Etcd} {
		if err := cluster.Stop(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []lab.Component{lab.Etcd, lab.APIServer} {
		if err := cluster.Start(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cluster.Client().CoreV1().Namespaces().Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("namespace made before the restart: %v", err)
	}
}

func TestUnknownComponent(t *testing.T) {
	lab.Needed(t)
	err := cluster.Stop(t.Context(), "kubelet")
	if err == nil || !strings.Contains(err.Error(), `"kubelet"`) {
		t.Errorf("Stop(kubelet) = %v, want an error that names it", err)
	}
}

func TestCreateAllWritesStatus(t *testing.T) {
	reset(t)
	claim := &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "claim", Namespace: "default"},
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
			Name:    "gpu",
			Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1},
		}}}},
		Status: resourcev1.ResourceClaimStatus{Allocation: &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{
			Results: []resourcev1.DeviceRequestAllocationResult{{Request: "gpu", Driver: "gpu.example.com", Pool: "p", Device: "d"}},
		}}},
	}
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "budget", Namespace: "default"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
	}
	create(t, &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}, claim, budget, node("node"))

	stored, err := cluster.Client().ResourceV1().ResourceClaims("default").Get(t.Context(), "claim", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claim.Status, stored.Status); diff != "" {
		t.Errorf("claim's status (-want +got):\n%s", diff)
	}
	n, err := cluster.Client().CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Status.Allocatable.Cpu().String(); got != "8" {
		t.Errorf("node's allocatable cpu = %s, want 8", got)
	}
}

func TestCreateAllNamesTheObject(t *testing.T) {
	reset(t)
	create(t, pod("default", "twice"))
	err := cluster.CreateAll(t.Context(), pod("default", "twice"))
	if !apierrors.IsAlreadyExists(errors.Unwrap(err)) || !strings.Contains(err.Error(), "Pod default/twice") {
		t.Errorf("creating a pod twice = %v, want AlreadyExists of Pod default/twice", err)
	}
}

func TestResetLeavesOnlyTheSystem(t *testing.T) {
	reset(t)
	before := inventory(t)
	held := pod("apps", "held")
	held.Finalizers = []string{"example.com/never"}
	create(t, namespace("apps"), node("node"), held,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "apps"}},
		&resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}})
	reset(t)
	if diff := cmp.Diff(before, inventory(t)); diff != "" {
		t.Errorf("after Reset (-before +after):\n%s", diff)
	}
}

func TestWithoutSchedulerAndControllerManager(t *testing.T) {
	lab.Needed(t)
	l, err := lab.Start(t.Context(), lab.Options{Without: []lab.Component{lab.Scheduler, lab.ControllerManager}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	bound := pod("default", "bound")
	bound.Spec.NodeName = "node"
	if err := l.CreateAll(t.Context(), node("node"), bound); err != nil {
		t.Fatal(err)
	}
	eventually(t, "kwok runs the bound pod", func(ctx context.Context) (bool, error) {
		p, err := l.Client().CoreV1().Pods("default").Get(ctx, "bound", metav1.GetOptions{})
		return err == nil && p.Status.Phase == corev1.PodRunning, err
	})
	if err := l.Start(t.Context(), lab.Scheduler); err == nil {
		t.Error("starting a scheduler that the lab was made without succeeded")
	}
}

func TestSchedulerConfig(t *testing.T) {
	lab.Needed(t)
	path := filepath.Join(t.TempDir(), "scheduler.yaml")
	config := "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n- schedulerName: other\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Start(t.Context(), lab.Options{SchedulerConfig: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	p := pod("default", "pod")
	p.Spec.SchedulerName = "other"
	if err := l.CreateAll(t.Context(), node("node"), p); err != nil {
		t.Fatal(err)
	}
	eventually(t, "profile other binds its pod", func(ctx context.Context) (bool, error) {
		p, err := l.Client().CoreV1().Pods("default").Get(ctx, "pod", metav1.GetOptions{})
		return err == nil && p.Spec.NodeName == "node", err
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	lab.Needed(t)
	l, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(processesOf(t, l.Dir())); n < 5 {
		t.Errorf("%d processes run under %s, want 5 at least", n, l.Dir())
	}
	for range 2 { // closing twice is fine
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !gone(t, l.Dir()) {
		t.Errorf("the lab in %s outlives Close", l.Dir())
	}
}

func TestDetachAndRemove(t *testing.T) {
	lab.Needed(t)
	dir := filepath.Join(t.TempDir(), "detached")
	l, err := lab.Start(t.Context(), lab.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(l.Detach(), l.Close()); err != nil {
		t.Fatal(err)
	}
	opened, err := lab.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Client().Discovery().ServerVersion(); err != nil {
		t.Errorf("a detached lab does not serve: %v", err)
	}
	if _, err := lab.Start(t.Context(), lab.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("starting in a used directory = %v, want an error that names it", err)
	}
	if err := lab.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if !gone(t, dir) {
		t.Errorf("the lab in %s outlives Remove", dir)
	}
}

func TestKilledOwnerLeavesNothing(t *testing.T) {
	child, dir := startOwner(t)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"
	eventually(t, "its guard removes the lab", func(context.Context) (bool, error) { return gone(t, dir), nil })
}

func TestStartReapsWhatOwnerAndGuardLeft(t *testing.T) {
	child, dir := startOwner(t)
	for _, pid := range guardsOf(t, dir) {
		if err := kill(pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // "signal: killed"
	if gone(t, dir) {
		t.Fatal("nothing is left to reap")
	}
	l, err := lab.Start(t.Context(), lab.Options{Without: []lab.Component{lab.Scheduler, lab.ControllerManager, lab.Kwok}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if !gone(t, dir) {
		t.Errorf("the abandoned lab in %s is still there", dir)
	}
}

// ownLab is the child process.
func ownLab() int {
	l, err := lab.Start(context.Background(), lab.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(l.Dir())
	select {}
}

// startOwner starts a child process that owns a lab, and returns the lab's directory.
func startOwner(t *testing.T) (child *exec.Cmd, dir string) {
	t.Helper()
	lab.Needed(t)
	child = exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() }) // it is dead already unless the test failed
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child started no lab: %v", err)
	}
	return child, strings.TrimSpace(line)
}

// gone says whether a lab has neither files nor processes.
func gone(t *testing.T, dir string) bool {
	t.Helper()
	_, err := os.Stat(dir)
	return errors.Is(err, os.ErrNotExist) && len(processesOf(t, dir)) == 0
}

// processesOf returns the processes whose program is inside dir.
func processesOf(t *testing.T, dir string) []string {
	return processes(t, func(cmdline string) bool { return strings.HasPrefix(cmdline, dir+"/") })
}

// guardsOf returns the guard of the lab in dir.
func guardsOf(t *testing.T, dir string) []string {
	return processes(t, func(cmdline string) bool { return strings.HasSuffix(cmdline, "\x00"+dir+"\x00guard\x00") })
}

func processes(t *testing.T, match func(cmdline string) bool) (pids []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		// A process that has ended meanwhile has no file: not a match.
		if cmdline, err := os.ReadFile(path); err == nil && match(string(cmdline)) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// kill kills a process and waits until it is gone.
func kill(pid string) error {
	if err := exec.Command("kill", "-9", pid).Run(); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		cmdline, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		return err != nil || len(cmdline) == 0, nil
	})
}

// inventory lists what Reset must restore, of the kinds that the tests make.
func inventory(t *testing.T) map[string][]string {
	t.Helper()
	core, found := cluster.Client().CoreV1(), map[string][]string{}
	namespaces, err := core.Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range namespaces.Items {
		found["namespaces"] = append(found["namespaces"], o.Name)
	}
	nodes, err := core.Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range nodes.Items {
		found["nodes"] = append(found["nodes"], o.Name)
	}
	pods, err := core.Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range pods.Items {
		found["pods"] = append(found["pods"], o.Namespace+"/"+o.Name)
	}
	maps, err := core.ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range maps.Items {
		found["configmaps"] = append(found["configmaps"], o.Namespace+"/"+o.Name)
	}
	classes, err := cluster.Client().ResourceV1().DeviceClasses().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range classes.Items {
		found["deviceclasses"] = append(found["deviceclasses"], o.Name)
	}
	return found
}

func reset(t *testing.T) {
	t.Helper()
	lab.Needed(t)
	if err := cluster.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, objs ...runtime.Object) {
	t.Helper()
	if err := cluster.CreateAll(t.Context(), objs...); err != nil {
		t.Fatal(err)
	}
}

// eventually waits a minute at most for something that takes moments.
func eventually(t *testing.T, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func nodeReady(name string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		n, err := cluster.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return len(n.Spec.Taints) == 0, nil
			}
		}
		return false, nil
	}
}

func nodeOf(t *testing.T, pod string) string {
	t.Helper()
	p, err := cluster.Client().CoreV1().Pods("default").Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Spec.NodeName
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func node(name string) *corev1.Node {
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status:     corev1.NodeStatus{Capacity: resources, Allocatable: resources},
	}
}

func pod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "example.com/app",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
		}}},
	}
}
