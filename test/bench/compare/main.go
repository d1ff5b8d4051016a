// Command compare measures whole commands on a real control plane (package lab)
// and prints Markdown tables:
//
//	go run ./test/bench/compare [-bin bin] [-pairs 7] [-fleets generated,openb | -kubeconfig FILE]
//
// For each fleet it starts a control plane without scheduler and controllers, has
// kwok run the pods that have a node, stops kwok, and then runs the command that
// lists the same objects and drops them (floor) and each of kubectl-why_pending's
// questions in alternation. The first round is not counted. A ratio is the median
// of the pairs' ratios, so that what else the machine does weighs on both sides.
//
// With -kubeconfig it measures on that cluster, as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stowage-dev/stowage/test/bench"
	"github.com/stowage-dev/stowage/test/fleet"
	"github.com/stowage-dev/stowage/test/lab"
)

// options are the flags.
type options struct {
	bin        string
	pairs      int
	fleets     string
	kubeconfig string
	// fill makes this process create the fleet of that name in the lab of dir.
	fill, dir string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "where kubectl-why_pending is")
	flag.IntVar(&o.pairs, "pairs", 7, "how many pairs of runs to count")
	flag.StringVar(&o.fleets, "fleets", "generated,openb", "what to fill the control plane with, one after the other")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "a cluster to measure on as it is, instead of control planes of its own")
	flag.StringVar(&o.fill, "fill", "", "for itself: create this fleet")
	flag.StringVar(&o.dir, "lab", "", "for itself: in this lab")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if o.fill != "" {
		return fill(ctx, o.dir, o.fill)
	}
	floor, remove, err := buildFloor(ctx)
	if err != nil {
		return err
	}
	defer remove()
	if o.kubeconfig != "" {
		if err := o.measure(ctx, o.kubeconfig, o.kubeconfig, floor); err != nil {
			return err
		}
		return o.startUp(ctx)
	}
	for name := range strings.SplitSeq(o.fleets, ",") {
		err := o.onFleet(ctx, name, floor)
		if errors.Is(err, fleet.ErrNoTrace) {
			fmt.Printf("## %s\n\nNot measured: %v\n\n", name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return o.startUp(ctx)
}

// buildFloor builds command floor into a directory of its own.
func buildFloor(ctx context.Context) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "stowage-floor-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "floor")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./test/bench/floor")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		remove()
		return "", nil, fmt.Errorf("building command floor: %w", err)
	}
	return path, remove, nil
}

// fleetOf draws a fleet by its name.
func fleetOf(ctx context.Context, name string) (*fleet.Fleet, error) {
	switch name {
	case "generated":
		return bench.Generated()
	case "openb":
		return bench.OpenB(ctx, ".")
	}
	return nil, fmt.Errorf("fleet %q: expected generated or openb", name)
}

// fill creates a fleet. It runs in a process of its own: Linux counts what memory
// the parent has when it starts a child to the child's peak, so the parent of what
// is measured must stay small.
func fill(ctx context.Context, dir, name string) error {
	f, err := fleetOf(ctx, name)
	if err != nil {
		return err
	}
	l, err := lab.Open(dir)
	if err != nil {
		return err
	}
	return l.CreateAll(ctx, f.Manifests()...)
}

// onFleet measures on one fleet.
func (o *options) onFleet(ctx context.Context, name, floor string) error {
	if _, err := os.Stat(fleet.OpenBDir(".")); name == "openb" && err != nil {
		return fleet.ErrNoTrace
	}
	l, err := lab.Start(ctx, lab.Options{Without: []lab.Component{lab.ControllerManager, lab.Scheduler}, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer l.Close()
	if err := fillBy(ctx, l, name); err != nil {
		return err
	}
	if err := l.Stop(ctx, lab.Kwok); err != nil {
		return err
	}
	return o.measure(ctx, name, l.Kubeconfig(), floor)
}

// measure measures on one cluster.
func (o *options) measure(ctx context.Context, name, kubeconfig, floor string) error {
	questions, err := o.questions(ctx, kubeconfig)
	if err != nil {
		return err
	}
	rows, err := alternate(ctx, command{"floor", []string{floor, "-kubeconfig", kubeconfig}}, questions, o.pairs)
	if err != nil {
		return err
	}
	fmt.Printf("## %s\n\n", name)
	printTable(os.Stdout, rows)
	return nil
}

// fillBy has a process of its own create the fleet, and waits until kwok runs all
// pods that have a node.
func fillBy(ctx context.Context, l *lab.Lab, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-fill", name, "-lab", l.Dir())
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("creating the fleet: %w", err)
	}
	for {
		waiting, err := l.Client().CoreV1().Pods("").List(ctx, metav1.ListOptions{
			FieldSelector: "status.phase=Pending,spec.nodeName!=", Limit: 1,
		})
		if err != nil || len(waiting.Items) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
}

// questions are what kubectl-why_pending is asked: about the first pending pod of
// each priority, as that decides on whether there is anything to preempt, and
// about all of them.
func (o *options) questions(ctx context.Context, kubeconfig string) ([]command, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	pods, err := client.Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName="})
	if err != nil {
		return nil, err
	}
	ask := func(name string, args ...string) command {
		return command{name, append([]string{filepath.Join(o.bin, "kubectl-why_pending"), "--kubeconfig", kubeconfig}, args...)}
	}
	var questions []command
	seen := map[string]bool{}
	for i := range pods.Items {
		if pod := &pods.Items[i]; !seen[pod.Spec.PriorityClassName] {
			seen[pod.Spec.PriorityClassName] = true
			questions = append(questions, ask("POD "+priorityOf(pod), pod.Name, "-n", pod.Namespace))
		}
	}
	slices.SortFunc(questions, func(a, b command) int { return strings.Compare(a.name, b.name) })
	return append(questions, ask(fmt.Sprintf("--all -A (%d pods)", len(pods.Items)), "--all", "-A")), nil
}

func priorityOf(pod *corev1.Pod) string {
	if pod.Spec.PriorityClassName == "" {
		return "without a priority class"
	}
	return "of class " + pod.Spec.PriorityClassName
}

// startUp measures what takes no cluster, against kubectl.
func (o *options) startUp(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(cache, "stowage", "*", "bin", "kubectl"))
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("no kubectl among the lab's binaries: run hack/lab/build.sh"))
	}
	plugin := filepath.Join(o.bin, "kubectl-why_pending")
	rows, err := alternate(ctx, command{"kubectl version --client", []string{found[len(found)-1], "version", "--client"}}, []command{
		{"--help", []string{plugin, "--help"}},
		{"version", []string{plugin, "version"}},
	}, 5*o.pairs)
	if err != nil {
		return err
	}
	fmt.Printf("## start-up\n\n")
	printTable(os.Stdout, rows)
	return nil
}
