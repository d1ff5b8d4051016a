// Command lab starts and ends a control plane that outlives it, with a fleet on it: "make lab", "make lab-down".
//
//	go run ./hack/lab up   [--name NAME] [--fleet example|openb|none|DUMP] [--quota]
//	go run ./hack/lab load [--name NAME] --fleet example|openb|DUMP
//	go run ./hack/lab down [--name NAME]
//
// A lab is the directory .lab/NAME, see package test/lab. Its kubeconfig is .lab/NAME/kubeconfig; the default
// lab's is linked at .lab/kubeconfig too. Progress goes to stderr, what to export to stdout.
//
// With --quota the in-cluster component is installed, and one manager runs beside the control plane (package
// test/quota/rig); it ends with the lab. Of a dump, what nobody owns is created, business groups from the root down,
// and the lab's controllers make the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/stowage-dev/stowage/test/fleet"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

// defaultName is the lab whose kubeconfig is linked at .lab/kubeconfig.
const defaultName = "stowage"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // on what is loaded, which is as it is
	log.SetLogger(logr.Discard())
	if err := newCommand(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// options are the flags, and where to write.
type options struct {
	root, name, fleet, openB string
	quota                    bool
	out, progress            io.Writer
}

func newCommand(out, progress io.Writer) *cobra.Command {
	o := &options{out: out, progress: progress}
	cmd := &cobra.Command{
		Use: "lab", Short: "A real control plane on this machine, with a fleet on it",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.complete() },
	}
	cmd.PersistentFlags().StringVar(&o.root, "root", ".", "the repository")
	cmd.PersistentFlags().StringVar(&o.name, "name", defaultName, "name of the lab")
	cmd.PersistentFlags().StringVar(&o.openB, "openb-dir", "", "where the openb trace is (default $OPENB_DIR, else ../shared/data)")
	add := func(use, short, defaultFleet string, run func(*options, context.Context) error) {
		sub := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return run(o, c.Context())
		}}
		if defaultFleet != "" {
			sub.Flags().StringVar(&o.fleet, "fleet", defaultFleet, "what to load: example, openb, none, or the path of a dump")
		}
		if use == "up" {
			sub.Flags().BoolVar(&o.quota, "quota", false, "install and run the in-cluster quota component")
		}
		cmd.AddCommand(sub)
	}
	add("up", "Start the lab and load a fleet", "example", (*options).up)
	add("load", "Load a fleet into the running lab", "example", (*options).load)
	add("down", "End the lab", "", (*options).down)
	return cmd
}

// complete checks the flags and fills in what depends on them.
func (o *options) complete() error {
	if problems := validation.IsDNS1123Label(o.name); len(problems) > 0 {
		return fmt.Errorf("--name %q: %s", o.name, strings.Join(problems, "; "))
	}
	if o.openB == "" {
		o.openB = fleet.OpenBDir(o.root)
	}
	return nil
}

// dir is the lab's directory.
func (o *options) dir() string { return filepath.Join(o.root, ".lab", o.name) }

// link is where the default lab's kubeconfig is to be found.
func (o *options) link() string { return filepath.Join(o.root, ".lab", "kubeconfig") }

// up starts the lab. Until all of it succeeded, the lab ends with this process.
func (o *options) up(ctx context.Context) error {
	l, err := o.start(ctx)
	if err != nil {
		return err
	}
	return l.Detach()
}

// start starts the lab, which ends with this process unless it is detached.
func (o *options) start(ctx context.Context) (*lab.Lab, error) {
	if _, err := os.Stat(o.dir()); err == nil {
		return nil, fmt.Errorf("lab %s is there already: end it with make lab-down LAB_NAME=%s, or choose another LAB_NAME", o.name, o.name)
	}
	c, err := o.read()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	opts := lab.Options{Dir: o.dir(), Log: o.progress}
	if o.quota {
		opts = rig.LabOptions(opts)
	}
	l, err := lab.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.progress, "lab: control plane up in %s\n", since(began))
	if err := o.furnish(ctx, l, c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// furnish brings all that the lab is to have, and says how it is reached.
func (o *options) furnish(ctx context.Context, l *lab.Lab, c *cargo) error {
	if o.quota {
		if err := o.startQuota(ctx, l); err != nil {
			return err
		}
	}
	if err := o.fill(ctx, l, c); err != nil {
		return err
	}
	kubeconfig, err := o.publish(l)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "export KUBECONFIG=%s\n", kubeconfig)
	if !o.quota {
		return nil
	}
	kubectl, err := l.Binary("kubectl")
	if err != nil {
		return err
	}
	plugins, err := filepath.Abs(filepath.Join(o.root, "bin"))
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "export PATH=\"$PATH:%s:%s\"\n", plugins, filepath.Dir(kubectl)) // a kubectl of the user's own comes first
	return nil
}

// publish links the default lab's kubeconfig and returns the path to export.
func (o *options) publish(l *lab.Lab) (string, error) {
	if o.name != defaultName {
		return l.Kubeconfig(), nil
	}
	if err := os.Remove(o.link()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(filepath.Join(o.name, "kubeconfig"), o.link()); err != nil {
		return "", err
	}
	return filepath.Abs(o.link())
}

// load loads a fleet into the running lab.
func (o *options) load(ctx context.Context) error {
	c, err := o.read()
	if err != nil {
		return err
	}
	l, err := lab.Open(o.dir())
	if err != nil {
		return fmt.Errorf("%w; start it with make lab LAB_NAME=%s", err, o.name)
	}
	return o.fill(ctx, l, c)
}

// down ends the lab: what up started, and nothing else.
func (o *options) down(context.Context) error {
	if _, err := os.Stat(o.dir()); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(o.progress, "lab: no lab %s\n", o.name)
		return nil
	}
	if err := lab.Remove(o.dir()); err != nil {
		return err
	}
	if o.name == defaultName {
		if err := os.Remove(o.link()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	fmt.Fprintf(o.progress, "lab: %s is gone\n", o.name)
	return nil
}

// read returns the fleet that was asked for.
func (o *options) read() (*cargo, error) {
	switch o.fleet {
	case "example":
		return ofFleet(fleet.Example())
	case "openb":
		return ofFleet(fleet.OpenB(o.openB, fleet.OpenBDefault))
	case "none":
		return &cargo{}, nil
	}
	if _, err := os.Stat(o.fleet); err != nil {
		return nil, fmt.Errorf("--fleet %q: expected example, openb, none, or the path of a dump: %w", o.fleet, err)
	}
	return ofDump(o.fleet)
}

// fill creates the fleet's objects and waits until the scheduler has judged every pod.
func (o *options) fill(ctx context.Context, l *lab.Lab, c *cargo) error {
	if c.nodes == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := informers.NewSharedInformerFactory(l.Client(), 0)
	nodes, pods := watched.Core().V1().Nodes().Lister(), watched.Core().V1().Pods().Lister()
	nodesSynced, podsSynced := watched.Core().V1().Nodes().Informer().HasSynced, watched.Core().V1().Pods().Informer().HasSynced
	watched.Start(ctx.Done())
	began := time.Now()

	if err := l.CreateAll(ctx, c.first...); err != nil {
		return err
	}
	err := o.await(ctx, l, func() (string, bool) {
		n := countReady(nodes)
		return fmt.Sprintf("%d of %d nodes ready", n, c.nodes), nodesSynced() && n >= c.nodes
	})
	if err != nil {
		return err
	}
	if err := o.createGroups(ctx, l, c); err != nil {
		return err
	}
	if err := l.CreateAll(ctx, c.then...); err != nil {
		return err
	}
	stands := steady(c.pods)
	err = o.await(ctx, l, func() (string, bool) {
		bound, pending, all := countJudged(pods)
		return fmt.Sprintf("%d pods bound, %d pending", bound, pending), podsSynced() && stands(bound+pending, all)
	})
	if err == nil && o.quota {
		err = o.charge(ctx, l, c)
	}
	if err == nil {
		fmt.Fprintf(o.progress, "lab: fleet %s loaded in %s\n", o.fleet, since(began))
	}
	return err
}

// steady says whether all pods are judged: as many as there are to be or, where that is not known (0), for some
// seconds neither more of them nor more judged. Pods with a gate or a scheduler of their own never are.
func steady(want int) func(judged, all int) bool {
	const seconds = 3
	var last [2]int
	same := 0
	return func(judged, all int) bool {
		if want > 0 {
			return judged >= want
		}
		if now := [2]int{judged, all}; now != last {
			last, same = now, 0
		}
		same++
		return judged > 0 && same > seconds
	}
}

// await says how far things are, every fifth second and at the end, until they are done or the lab was ended.
func (o *options) await(ctx context.Context, l *lab.Lab, state func() (said string, done bool)) error {
	seconds := 0
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) {
		if _, err := os.Stat(l.Kubeconfig()); err != nil {
			return false, fmt.Errorf("lab %s was ended meanwhile: %w", o.name, err)
		}
		said, done := state()
		if seconds++; done || seconds%5 == 0 {
			fmt.Fprintln(o.progress, "lab:", said)
		}
		return done, nil
	})
}

// countReady counts the nodes that are ready and no longer tainted for it.
func countReady(lister corelisters.NodeLister) (ready int) {
	nodes, err := lister.List(labels.Everything())
	if err != nil {
		return 0 // a lister of everything reads memory only
	}
	for _, n := range nodes {
		tainted := false
		for _, taint := range n.Spec.Taints {
			tainted = tainted || taint.Key == corev1.TaintNodeNotReady
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && !tainted {
				ready++
			}
		}
	}
	return ready
}

// countJudged counts the pods that have a node, those that the scheduler found none for, and all.
func countJudged(lister corelisters.PodLister) (bound, pending, all int) {
	pods, err := lister.List(labels.Everything())
	if err != nil {
		return 0, 0, 0 // a lister of everything reads memory only
	}
	for _, p := range pods {
		switch {
		case p.Spec.NodeName != "":
			bound++
		case unschedulable(p):
			pending++
		}
	}
	return bound, pending, len(pods)
}

func unschedulable(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return true
		}
	}
	return false
}

// since is how long ago began was, in tenths of a second.
func since(began time.Time) time.Duration {
	return time.Since(began).Round(100 * time.Millisecond)
}
