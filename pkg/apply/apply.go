package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Options say how to apply.
type Options struct {
	// DryRun has the API server check the change of every node and store nothing.
	DryRun bool
	// Timeout is how long a wave may take to settle. Default: what the plan says, and
	// Patience.
	Timeout time.Duration
	// Load takes a snapshot of the cluster as it is.
	Load func(context.Context) (*snapshot.Snapshot, error)
	// Drift says what has changed of what matters since the plan was made; it is asked
	// before each wave but the first. See plan.Drift.
	Drift func(context.Context, *snapshot.Snapshot) ([]report.Drift, error)
	// Report is told of every step, from one goroutine at a time; nil for nobody.
	Report func(Step)
}

// Patience is how much longer than planned a wave may take: for pods that end slowly
// and images that are slow to come.
const Patience = 5 * time.Minute

// pollInterval is how long to wait between two looks at the cluster.
const pollInterval = 2 * time.Second

// Step is one thing done, or what is waited for.
type Step struct {
	// Wave counts from 1.
	Wave int
	// Object is what it was done to: "node/gpu-1", "wave/1".
	Object string
	// Done says what was done: of a node "tainted", "unchanged" or, in Rollback,
	// "restored", with " (server dry run)" in a dry run; of a wave "settled". Why
	// nothing was, where the node is not there any more. Empty while waiting.
	Done string
	// Waiting says for what, a line each; empty when done.
	Waiting []string
}

// DriftError refuses to go on with a plan.
type DriftError struct {
	// Drift is not empty.
	Drift []report.Drift
}

// Error names the first differences.
func (e *DriftError) Error() string {
	texts := make([]string, len(e.Drift))
	for i, d := range e.Drift {
		texts[i] = fmt.Sprintf("%s: planned %s, found %s", d.Object, d.Planned, d.Found)
	}
	return "the cluster is not as planned: " + some(texts)
}

// Run applies a plan wave by wave. Nodes that have had their change are left alone, so
// that it may be called again. An error says what is done; it wraps ctx's when that
// was cancelled, which ends Run after the nodes of the wave, and a [DriftError] when
// the rest of the plan is not to be applied.
func Run(ctx context.Context, client kubernetes.Interface, p *report.TaintPlan, opts Options) error {
	r := newRun(client, p, opts)
	snap, err := opts.Load(ctx)
	if err != nil {
		return r.stopped(0, err)
	}
	begun := int(plan.Begun(p, snap)) // an earlier call's last wave
	for i := range p.Waves {
		if snap, err = r.wave(ctx, i, begun, snap); err != nil {
			return r.stopped(i, err)
		}
	}
	return nil
}

// Rollback undoes what is done of a plan, the last wave first. Taints that others have
// set since stay. It may be called again; nodes that are gone are passed over.
func Rollback(ctx context.Context, client kubernetes.Interface, p *report.TaintPlan, opts Options) error {
	r := newRun(client, p, opts)
	for i := range slices.Backward(p.Waves) {
		err := ctx.Err()
		if err == nil {
			err = r.each(ctx, i, r.restore)
		}
		if err != nil {
			return fmt.Errorf("wave %d of %d: %w; what is undone stays so: run --rollback again to go on", i+1, len(p.Waves), err)
		}
	}
	return nil
}

// run is one call of Run or Rollback.
type run struct {
	client kubernetes.Interface
	plan   *report.TaintPlan
	nodes  map[string]report.TaintedNode
	opts   Options

	mu sync.Mutex // guards changed, and lets one report at a time
	// changed are the nodes of the wave that are as they are to be.
	changed []string
}

func newRun(client kubernetes.Interface, p *report.TaintPlan, opts Options) *run {
	r := &run{client: client, plan: p, nodes: map[string]report.TaintedNode{}, opts: opts}
	for _, node := range p.Nodes {
		r.nodes[node.Name] = node
	}
	return r
}

// wave changes the nodes of a wave and waits until it has settled, which those before
// the last that was begun have. before is the cluster as it was after the wave before;
// the result is the one after this.
func (r *run) wave(ctx context.Context, i, begun int, before *snapshot.Snapshot) (*snapshot.Snapshot, error) {
	r.changed = nil
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if i > 0 && i >= begun && !r.opts.DryRun {
		drift, err := r.opts.Drift(ctx, before)
		if err != nil {
			return nil, err
		}
		if len(drift) > 0 {
			return nil, &DriftError{Drift: drift}
		}
	}
	if err := r.each(ctx, i, r.taint); err != nil {
		return nil, err
	}
	if r.opts.DryRun || i+1 < begun {
		return before, nil
	}
	return r.settle(ctx, i)
}

// parallel is how many nodes are written at a time.
const parallel = 16

// each changes the nodes of a wave together, whatever becomes of ctx meanwhile. After
// an error no further node is begun.
func (r *run) each(ctx context.Context, i int, change func(context.Context, report.TaintedNode) (string, error)) error {
	ctx = context.WithoutCancel(ctx)
	group, failed := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range r.plan.Waves[i] {
		group.Go(func() error {
			if failed.Err() != nil {
				return nil
			}
			done, err := change(ctx, r.nodes[name])
			if err != nil {
				// In words: who unwraps the API server's own error tells nothing of what is done.
				return errors.New("node " + name + ": " + err.Error())
			}
			r.report(Step{Wave: i + 1, Object: "node/" + name, Done: done})
			return nil
		})
	}
	return group.Wait()
}

// report tells of a step, and notes the nodes that are done.
func (r *run) report(step Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name, isNode := strings.CutPrefix(step.Object, "node/"); isNode {
		r.changed = append(r.changed, name)
		if r.opts.DryRun {
			step.Done += " (server dry run)"
		}
	}
	if r.opts.Report != nil {
		r.opts.Report(step)
	}
}

// settle waits until a wave has settled, and returns the cluster as it then is.
func (r *run) settle(ctx context.Context, i int) (*snapshot.Snapshot, error) {
	timeout := r.timeout(i)
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	step := Step{Wave: i + 1, Object: fmt.Sprintf("wave/%d", i+1), Waiting: []string{"the cluster is not read yet"}}
	var snap *snapshot.Snapshot
	err := wait.PollUntilContextCancel(waiting, pollInterval, true, func(ctx context.Context) (bool, error) {
		now, err := r.opts.Load(ctx)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil: // may pass: the API server is restarted
			step.Waiting = []string{"the cluster cannot be read: " + err.Error()}
		default:
			snap, step.Waiting = now, plan.Unsettled(r.plan, int32(i)+1, now)
		}
		if len(step.Waiting) > 0 {
			r.report(step)
		}
		return len(step.Waiting) == 0, nil
	})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w while waiting: %s", ctx.Err(), some(step.Waiting))
	case err != nil:
		return nil, fmt.Errorf("not settled after %s: %s", timeout, some(step.Waiting))
	}
	step.Done = "settled"
	r.report(step)
	return snap, nil
}

// timeout is how long a wave may take to settle: until its last eviction, and as long
// as the slowest workload needs to start, and Patience.
func (r *run) timeout(i int) time.Duration {
	if r.opts.Timeout > 0 {
		return r.opts.Timeout
	}
	var after, start int64
	for _, e := range r.plan.Evictions {
		if int(e.Wave) == i+1 {
			after = max(after, e.AfterSeconds)
		}
	}
	for _, w := range r.plan.Workloads {
		start = max(start, w.StartSeconds)
	}
	return time.Duration(after+start)*time.Second + Patience
}

// stopped is the error of a wave, with what is done and how to go on.
func (r *run) stopped(i int, err error) error {
	err = fmt.Errorf("wave %d of %d: %w", i+1, len(r.plan.Waves), err)
	if r.opts.DryRun {
		return err
	}
	var done []string
	for k, wave := range r.plan.Waves[:i] {
		done = append(done, fmt.Sprintf("wave %d (%s)", k+1, nodes(wave)))
	}
	if len(r.changed) > 0 {
		slices.Sort(r.changed)
		done = append(done, fmt.Sprintf("the taints of wave %d (%s)", i+1, nodes(r.changed)))
	}
	if len(done) == 0 {
		return fmt.Errorf("%w; no node was changed", err)
	}
	next := "run --apply again to continue"
	if _, drifted := errors.AsType[*DriftError](err); drifted {
		next = "make a new plan for the rest"
	}
	return fmt.Errorf("%w; done: %s; %s, or --rollback to undo", err, strings.Join(done, ", "), next)
}

// nodes lists nodes: "node a", "nodes a, b".
func nodes(names []string) string {
	if len(names) == 1 {
		return "node " + names[0]
	}
	return "nodes " + some(names)
}

// some lists the first of many.
func some(texts []string) string {
	const most = 5
	if len(texts) <= most {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), len(texts)-most)
}
