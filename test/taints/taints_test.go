package taints

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/lab"
)

// defaultWorlds is how many worlds a plain `go test` compares.
const defaultWorlds = 40

var (
	worldsFlag   = flag.Int("n", fromEnvironment("TAINTS_N", defaultWorlds), "how many worlds to compare")
	seedFlag     = flag.Int("seed", fromEnvironment("TAINTS_SEED", 1), "seed of the generated worlds")
	firstFlag    = flag.Int("first", 0, "number of the first world")
	parallelFlag = flag.Int("worlds", 12, "how many worlds are there at a time")
)

func fromEnvironment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

var cluster *lab.Lab

func TestMain(m *testing.M) {
	lab.Main(m, &cluster, lab.Options{Without: []lab.Component{lab.Kwok}})
}

// TestAgree compares plans with what the controllers do in generated worlds.
func TestAgree(t *testing.T) {
	lab.Needed(t)
	rig, err := newRig(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{t: t, rig: rig, parallel: *parallelFlag, began: time.Now(), counts: figures{kinds: map[string]int{}}}
	if err := r.run(t.Context(), uint64(*seedFlag), *firstFlag, *worldsFlag); err != nil {
		t.Error(err)
	}
	r.report()
}

// TestComparisons says why no generated pod has a toleration by comparison.
func TestComparisons(t *testing.T) {
	lab.Needed(t)
	for _, operator := range []corev1.TolerationOperator{corev1.TolerationOpGt, corev1.TolerationOpLt} {
		pod := build.Pod(metav1.NamespaceDefault, "compares").With(func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: operator, Value: "1"}}
		}).Obj()
		_, err := cluster.Client().CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "tolerations[0].operator") {
			t.Errorf("operator %s: %v: expected to be refused; generate it if it is allowed", operator, err)
		}
	}
}

// runner compares worlds and counts.
type runner struct {
	t        *testing.T
	rig      *rig
	parallel int
	began    time.Time

	mu     sync.Mutex
	counts figures
	made   int // worlds, for their names
}

// figures are those of a run.
type figures struct {
	worlds, pods, evictions, pending, returning int
	// retried worlds were made anew because the machine was slow; once are those that
	// differed and then did not.
	retried, once, differences int
	worst                      time.Duration
	// kinds counts what was compared, by what is special about it.
	kinds map[string]int
}

const (
	// tries is how often a world is made on a slow machine.
	tries = 4
	// progressEvery is how many worlds there are between lines of progress.
	progressEvery = 20
	// maxDifferences is how many worlds may differ before the run ends.
	maxDifferences = 10
)

func (r *runner) run(ctx context.Context, seed uint64, first, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.parallel)
	for i := range n {
		if ctx.Err() != nil || r.failed() {
			break
		}
		group.Go(func() error {
			w := newWorld(seed, first+i)
			if err := r.compare(ctx, w); err != nil {
				return fmt.Errorf("seed %d, world %d: %w\n%s", w.Seed, w.Number, err, w)
			}
			return nil
		})
	}
	return group.Wait()
}

func (r *runner) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts.differences >= maxDifferences
}

// compare compares one world, again where it differs.
func (r *runner) compare(ctx context.Context, w *world) error {
	t, err := r.patiently(ctx, w)
	if err != nil {
		return err
	}
	if len(t.differences) > 0 {
		if t, err = r.confirm(ctx, w, t); err != nil {
			return err
		}
	}
	r.count(t)
	return nil
}

// confirm makes a world that differs twice more, and reports it.
func (r *runner) confirm(ctx context.Context, w *world, first *trial) (*trial, error) {
	for range 2 {
		t, err := r.patiently(ctx, w)
		if err != nil {
			return nil, err
		}
		if len(t.differences) == 0 {
			continue
		}
		r.mu.Lock()
		r.counts.differences++
		r.mu.Unlock()
		r.t.Errorf("seed %d, world %d differs:\n%s\n%s", w.Seed, w.Number, t, w)
		small, shrunk, err := r.shrink(ctx, w)
		if shrunk != nil {
			r.t.Errorf("seed %d, world %d, shrunk:\n%s\n%s", w.Seed, w.Number, shrunk, small)
		}
		return t, err
	}
	r.mu.Lock()
	r.counts.once++
	r.mu.Unlock()
	r.t.Logf("seed %d, world %d differed once in three times:\n%s\n%s", w.Seed, w.Number, first, w)
	return first, nil
}

// patiently tries a world until the machine is not too slow for it.
func (r *runner) patiently(ctx context.Context, w *world) (*trial, error) {
	var errs []error
	for range tries {
		t, err := r.once(ctx, w)
		if err == nil && t.late <= tolerance {
			return t, nil
		}
		if ignoreSlow(err) != nil {
			return nil, err
		}
		if err == nil {
			err = fmt.Errorf("%w: an eviction that was due at once took %s", errSlow, t.late)
		}
		errs = append(errs, err)
		r.mu.Lock()
		r.counts.retried++
		r.mu.Unlock()
	}
	return nil, errors.Join(errs...)
}

func ignoreSlow(err error) error {
	if errors.Is(err, errSlow) {
		return nil
	}
	return err
}

// once makes a world, compares it and removes it.
func (r *runner) once(ctx context.Context, w *world) (t *trial, err error) {
	r.mu.Lock()
	r.made++
	namespace := fmt.Sprintf("w%d-%d", w.Number, r.made)
	r.mu.Unlock()
	defer func() { err = errors.Join(err, r.rig.remove(ctx, w, namespace)) }()
	if err := r.rig.build(ctx, w, namespace); err != nil {
		return nil, err
	}
	return r.rig.try(ctx, namespace, w.changed(namespace), w.Change)
}

func (r *runner) count(t *trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.counts
	c.worlds++
	c.pods += len(t.before.Pods)
	c.evictions += t.evictions
	c.pending += t.pending
	c.returning += t.returning
	c.worst = max(c.worst, t.worst)
	for kind, n := range t.kinds() {
		c.kinds[kind] += n
	}
	if c.worlds%progressEvery == 0 {
		fmt.Fprintf(os.Stderr, "taints: %s\n", r.summary())
	}
}

// summary is the figures on a line.
func (r *runner) summary() string {
	c := r.counts
	return fmt.Sprintf("%s: %d worlds, %d pods: %d evictions (worst delay off by %s), %d pending, %d workloads that return; %d worlds differ, %d did once in three times, %d retried",
		time.Since(r.began).Round(time.Second), c.worlds, c.pods, c.evictions, c.worst, c.pending, c.returning, c.differences, c.once, c.retried)
}

func (r *runner) report() {
	for _, kind := range slices.Sorted(maps.Keys(r.counts.kinds)) {
		fmt.Fprintf(os.Stderr, "taints: %5d %s\n", r.counts.kinds[kind], kind)
	}
	fmt.Fprintf(os.Stderr, "taints: seed %d, %s\n", *seedFlag, r.summary())
}

// kinds counts what a plan has, by what is special about it.
func (t *trial) kinds() map[string]int {
	kinds := map[string]int{}
	for _, taint := range t.plan.Change.Add {
		kinds["changes that set "+string(taint.Effect)]++
	}
	if len(t.plan.Change.Remove) > 0 {
		kinds["changes that remove"]++
	}
	if t.plan.Change.Overwrite {
		kinds["changes that overwrite"]++
	}
	for _, e := range t.plan.Evictions {
		if e.AfterSeconds > 0 {
			kinds["evictions after some seconds"]++
		}
		if kind, _, ok := strings.Cut(e.Workload, "/"); ok {
			kinds["evictions of a "+kind]++
		}
		for _, mark := range e.Marks {
			kinds["evictions marked "+string(mark)]++
		}
		if e.PendingReason != "" {
			kinds["evictions whose pod then waits"]++
		}
	}
	for _, d := range t.plan.Daemons {
		kinds["daemons that start"] += len(d.Starts)
		kinds["daemons that stop"] += len(d.Stops)
	}
	kinds["waiting pods that get a node"] += len(t.plan.Freed)
	kinds["pods that are preempted"] += len(t.plan.Preempted)
	return kinds
}

// String is how a trial differs, with what was planned.
func (t *trial) String() string {
	var b strings.Builder
	for _, difference := range t.differences {
		fmt.Fprintf(&b, "  - %s\n", difference)
	}
	for _, e := range t.plan.Evictions {
		fmt.Fprintf(&b, "  plan: evict %s (%s) from %s after %d s %v -> %s%s\n", e.Name, e.Workload, e.Node, e.AfterSeconds, e.Marks, e.NewNode, e.PendingReason)
	}
	for _, p := range t.plan.Preempted {
		fmt.Fprintf(&b, "  plan: preempt %s (%s) on %s for %s -> %s%s\n", p.Name, p.Workload, p.Node, p.By, p.NewNode, p.PendingReason)
	}
	for _, f := range t.plan.Freed {
		fmt.Fprintf(&b, "  plan: free %s (%s) -> %s\n", f.Name, f.Workload, f.Node)
	}
	for _, pod := range t.before.Pods {
		fmt.Fprintf(&b, "  before: %s on %q, %s\n", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	}
	for _, pod := range present(t.lives) {
		fmt.Fprintf(&b, "  after: %s on %q, %s%s\n", pod.Name, pod.Spec.NodeName, pod.Status.Phase, refusal(pod))
	}
	return b.String()
}

// refusal is what the scheduler says of a pod that waits.
func refusal(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf(" (%s: %s)", c.LastTransitionTime.Format(time.TimeOnly), c.Message)
		}
	}
	return ""
}
