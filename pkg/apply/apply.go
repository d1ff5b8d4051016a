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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Options say how to apply.
type Options struct {
	// DryRun has the API server check the change of every node and store nothing.
	DryRun bool
	// Timeout is how long a wave may take to settle. Default: what the plan says, and
	// five minutes.
	Timeout time.Duration
	// Plan says how what is left of the plan is planned anew, as it was planned: of it,
	// the waves and Progress do not count.
	Plan plan.Options
	// Load takes a snapshot of the cluster as it is: of the resources that are named, or
	// of all where none is.
	Load func(ctx context.Context, resources ...string) (*snapshot.Snapshot, error)
	// Observer is told what happens; nil for nobody.
	Observer Observer
	// File is where the plan is saved, for errors that say how to go on; empty if it
	// is not known.
	File string
}

// Observer is told what happens, from one goroutine at a time.
type Observer interface {
	// Step is told of every step.
	Step(Step)
	// Planning is told how many of the evictions that are left are planned anew.
	Planning(done, total int)
}

// silence is an observer that keeps it to itself.
type silence struct{}

func (silence) Step(Step)         {}
func (silence) Planning(_, _ int) {}

// patience is how much longer than planned a wave may take: for images that are slow
// to come, say.
const patience = 5 * time.Minute

// polling is how long to wait between two looks at the cluster.
func polling() wait.Backoff {
	return wait.Backoff{Duration: 2 * time.Second, Factor: 1.3, Cap: 15 * time.Second, Steps: 10}
}

// Step is one thing done, or what is waited for.
type Step struct {
	// Wave counts from 1.
	Wave int
	// Object is what it was done to: "node/gpu-1", "wave/1".
	Object string
	// Done says what was done: of a node "tainted", "unchanged" or, in Rollback,
	// "restored", with " (server dry run)" in a dry run; of a wave "settled". Or why
	// nothing was: "not there any more" and, in Rollback, "not ours". Empty while
	// waiting.
	Done string
	// Waiting says for what, a line each; empty when done.
	Waiting []string
	// Found and Left are the taints of a node before and after; none where the node is
	// not there.
	Found, Left []corev1.Taint
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

// Compare returns a [DriftError] unless what is left of a plan may be applied to the
// cluster as it is now.
func Compare(ctx context.Context, p *report.TaintPlan, now *snapshot.Snapshot, opts Options) error {
	return newRun(nil, p, opts).compare(ctx, now)
}

// Run applies a plan wave by wave. Nodes that have had their change are left alone, so
// that it may be called again. An error says what is done; it wraps ctx's when that
// was cancelled, which ends Run after the nodes of the wave, and a [DriftError] when
// the rest of the plan is not to be applied.
func Run(ctx context.Context, client kubernetes.Interface, p *report.TaintPlan, opts Options) error {
	r := newRun(client, p, opts)
	r.unsure = true
	snap, err := opts.Load(ctx)
	if err != nil {
		return r.stopped(0, err)
	}
	r.unsure, r.changed = false, saved.DoneNodes(p, snap)
	begun, half := saved.Begun(p, snap)
	if err := r.readClock(ctx); err != nil {
		return r.stopped(max(0, int(begun)-1), err)
	}
	for i := range p.Waves {
		if snap, err = r.wave(ctx, i, int(begun), half, snap); err != nil {
			return r.stopped(i, err)
		}
	}
	return nil
}

// Rollback undoes what Run did of a plan, the last wave first. Taints that others have
// set since stay, and nodes that others gave the planned change. It may be called again;
// nodes that are gone are passed over.
func Rollback(ctx context.Context, client kubernetes.Interface, p *report.TaintPlan, opts Options) error {
	r := newRun(client, p, opts)
	if err := r.readClock(ctx); err != nil {
		return fmt.Errorf("%w; nothing was undone", err)
	}
	for i := range slices.Backward(p.Waves) {
		err := ctx.Err()
		if err == nil {
			err = r.each(ctx, i, r.restore)
		}
		if err != nil {
			return fmt.Errorf("wave %d of %d: %w; what is undone stays so: run %s again to go on", i+1, len(p.Waves), err, r.command("--rollback"))
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

	// ahead is how far the API server's clock is ahead of this one.
	ahead time.Duration

	mu sync.Mutex // guards what follows, and lets one report at a time
	// changed are the nodes that are as they are to be, as far as is known.
	changed map[string]bool
	// unsure says that there may be more of them.
	unsure bool
}

func newRun(client kubernetes.Interface, p *report.TaintPlan, opts Options) *run {
	if opts.Observer == nil {
		opts.Observer = silence{}
	}
	r := &run{client: client, plan: p, nodes: map[string]report.TaintedNode{}, changed: map[string]bool{}, opts: opts}
	for _, node := range p.Nodes {
		r.nodes[node.Name] = node
	}
	return r
}

// wave changes the nodes of a wave and waits until it has settled, which those before
// the last that was begun have. If only half of that one was, the rest comes when what
// the others displace has settled. before is the cluster as it was after the wave
// before; the result is the one after this.
func (r *run) wave(ctx context.Context, i, begun int, half bool, before *snapshot.Snapshot) (*snapshot.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	goesOn := i+1 == begun && half
	if goesOn && !r.opts.DryRun {
		var err error
		if before, err = r.settle(ctx, i, before, r.full); err != nil {
			return nil, err
		}
	}
	if (goesOn || i >= begun) && !r.opts.DryRun {
		if err := r.compare(ctx, before); err != nil {
			return nil, err
		}
	}
	if err := r.each(ctx, i, r.taint); err != nil {
		return nil, err
	}
	if r.opts.DryRun || i+1 < begun {
		return before, nil
	}
	look := r.full
	if i+1 == len(r.plan.Waves) { // nothing is compared any more
		look = r.watch
	}
	after, err := r.settle(ctx, i, before, look)
	if err == nil {
		r.report(Step{Wave: i + 1, Object: fmt.Sprintf("wave/%d", i+1), Done: "settled"})
	}
	return after, err
}

// compare is Compare, which knows the nodes that have been changed.
func (r *run) compare(ctx context.Context, now *snapshot.Snapshot) error {
	opts := r.opts.Plan
	opts.Progress = r.opts.Observer.Planning
	drift, err := saved.Drift(ctx, r.plan, now, opts)
	if err != nil {
		return err
	}
	if drift = append(r.reverted(now), drift...); len(drift) > 0 {
		return &DriftError{Drift: drift}
	}
	return nil
}

// reverted are the nodes that had their change and have it no more, as others have
// taken it back.
func (r *run) reverted(now *snapshot.Snapshot) []report.Drift {
	done := saved.DoneNodes(r.plan, now)
	var drift []report.Drift
	for _, node := range now.Nodes {
		if r.changed[node.Name] && !done[node.Name] && isPlanned(r.nodes[node.Name], node) {
			drift = append(drift, report.Drift{
				Object: "node/" + node.Name, Planned: saved.Taints(r.nodes[node.Name].After), Found: saved.Taints(node.Spec.Taints),
			})
		}
	}
	return drift
}

// parallel is how many nodes are written at a time.
const parallel = 16

// each changes the nodes of a wave together, whatever becomes of ctx meanwhile. After
// an error no further node is begun.
func (r *run) each(ctx context.Context, i int, change func(context.Context, report.TaintedNode) (Step, error)) error {
	ctx = context.WithoutCancel(ctx)
	group, failed := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, name := range r.plan.Waves[i] {
		group.Go(func() error {
			if failed.Err() != nil {
				return nil
			}
			step, err := change(ctx, r.nodes[name])
			if err != nil {
				// In words: who unwraps the API server's own error tells nothing of what is done.
				return errors.New("node " + name + ": " + err.Error())
			}
			step.Wave, step.Object = i+1, "node/"+name
			r.report(step)
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
		switch {
		case r.opts.DryRun:
			step.Done += " (server dry run)"
		case step.Done != gone:
			r.changed[name] = true
		}
	}
	r.opts.Observer.Step(step)
}

// settle waits until a wave has settled, and returns the cluster as it then is, by look.
// before is the cluster before the wave.
func (r *run) settle(ctx context.Context, i int, before *snapshot.Snapshot, look func(context.Context, int) (*snapshot.Snapshot, []string, error)) (*snapshot.Snapshot, error) {
	timeout := r.timeout(i, before)
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	step := Step{Wave: i + 1, Object: fmt.Sprintf("wave/%d", i+1), Waiting: []string{"the cluster is not read yet"}}
	var snap *snapshot.Snapshot
	err := polling().DelayFunc().Until(waiting, true, true, func(ctx context.Context) (bool, error) {
		now, unsettled, err := look(ctx, i)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil: // may pass: the API server is restarted
			step.Waiting = []string{"the cluster cannot be read: " + err.Error()}
		default:
			snap, step.Waiting = now, unsettled
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
	return snap, nil
}

// watch looks at what tells whether a wave has settled.
func (r *run) watch(ctx context.Context, i int) (*snapshot.Snapshot, []string, error) {
	return r.look(ctx, i, saved.Watched()...)
}

// full looks at the whole cluster, once a wave seems to have settled.
func (r *run) full(ctx context.Context, i int) (*snapshot.Snapshot, []string, error) {
	snap, waiting, err := r.watch(ctx, i)
	if err != nil || len(waiting) > 0 {
		return snap, waiting, err
	}
	return r.look(ctx, i)
}

// look loads resources, or all, and says what has not settled.
func (r *run) look(ctx context.Context, i int, resources ...string) (*snapshot.Snapshot, []string, error) {
	snap, err := r.opts.Load(ctx, resources...)
	if err != nil {
		return nil, nil, err
	}
	return snap, saved.Unsettled(r.plan, int32(i)+1, snap), nil
}

// timeout is how long a wave may take to settle: until its last eviction, as long as
// any of its pods may take to end and as the slowest workload needs to start, and
// patience.
func (r *run) timeout(i int, before *snapshot.Snapshot) time.Duration {
	if r.opts.Timeout > 0 {
		return r.opts.Timeout
	}
	leave := map[string]bool{}
	var after, grace, start int64
	for _, e := range r.plan.Evictions {
		if int(e.Wave) == i+1 {
			after = max(after, e.AfterSeconds)
		}
	}
	for _, v := range r.plan.Preempted {
		leave[v.Namespace+"/"+v.Name] = int(v.Wave) == i+1
	}
	for _, pod := range before.Pods {
		if leave[pod.Namespace+"/"+pod.Name] || slices.Contains(r.plan.Waves[i], pod.Spec.NodeName) {
			grace = max(grace, ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, 0))
		}
	}
	for _, w := range r.plan.Workloads {
		start = max(start, w.StartSeconds)
	}
	return time.Duration(after+grace+start)*time.Second + patience
}

// stopped is the error of a wave, with what is done and how to go on.
func (r *run) stopped(i int, err error) error {
	err = fmt.Errorf("wave %d of %d: %w", i+1, len(r.plan.Waves), err)
	if r.opts.DryRun {
		return err
	}
	var done []string
	for k, wave := range r.plan.Waves[:i+1] {
		changed := slices.DeleteFunc(slices.Clone(wave), func(name string) bool { return !r.changed[name] })
		switch {
		case len(changed) == 0:
		case k < i:
			done = append(done, fmt.Sprintf("wave %d (%s)", k+1, nodes(changed)))
		default:
			done = append(done, fmt.Sprintf("the taints of wave %d (%s)", k+1, nodes(changed)))
		}
	}
	_, drifted := errors.AsType[*DriftError](err)
	switch {
	case len(done) == 0 && r.unsure:
		return fmt.Errorf("%w; no node is known to be changed", err)
	case len(done) == 0:
		return fmt.Errorf("%w; no node was changed", err)
	case drifted:
		return fmt.Errorf("%w; done: %s; make a new plan for the rest, or %s to undo", err, strings.Join(done, ", "), r.command("--rollback"))
	}
	return fmt.Errorf("%w; done: %s; run %s again to continue, or %s to undo", err, strings.Join(done, ", "), r.command("--apply"), r.command("--rollback"))
}

// command is how a user goes on with the plan.
func (r *run) command(flag string) string {
	if r.opts.File == "" {
		return flag
	}
	return "kubectl taint-plan " + flag + " " + r.opts.File
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
