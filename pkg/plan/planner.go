package plan

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Options says how to plan.
type Options struct {
	// SchedulerConfig is the text of a KubeSchedulerConfiguration; nil assumes the
	// default profile.
	SchedulerConfig []byte
	// Scheduler is what the scheduler has beyond the kube-scheduler: plugins that the
	// configuration may enable.
	Scheduler predicate.Options
	// Waves is into how many waves the nodes are split, in their order; 0 is one
	// wave. AutoWaves asks for as few sound ones as are found instead.
	Waves     int
	AutoWaves bool
	// Split are the waves themselves, by the names of their nodes, as a plan that is
	// made anew keeps them. It overrides Waves and AutoWaves.
	Split [][]string
	// StartTime is how long a new pod is taken to need until it is ready, where its
	// workload has no pods that say. Default: DefaultStartTime.
	StartTime time.Duration
	// Progress, when set, is told how many of the evicted pods have been re-placed.
	Progress func(done, total int)
}

// DefaultStartTime is how long a pod is taken to need until it is ready when nothing
// is known.
const DefaultStartTime = 30 * time.Second

// Planner plans on one snapshot. It is not safe for concurrent use.
type Planner struct {
	snap   *snapshot.Snapshot
	opts   Options
	now    time.Time
	owners *owner.Index
	// volumes are the persistent volumes by the claims that are bound to them.
	volumes   map[types.NamespacedName]*corev1.PersistentVolume
	explainer *explain.Explainer
	sim       *simulate.Simulation
	// schedulers are those whose decisions are simulated.
	schedulers []string
	state
}

// state is what has happened so far.
type state struct {
	undo        undo
	controllers *controllers
	// on are the pods that are or have been on each node of the change, gone those that
	// have left.
	on   map[string][]*corev1.Pod
	gone map[types.UID]bool
	// moves are all pods that have left their nodes so far, arrivals all that have got
	// one, in order.
	moves    []*move
	arrivals []*arrival
	// replaced is the move that a replacement stands for.
	replaced map[types.UID]*move
	// claimed are the new pods whose claims are made, followers those of StatefulSets
	// that there have not been before.
	claimed, followers map[types.UID]bool
	// waiting are the pods without a node, in the order of their coming.
	waiting []*corev1.Pod
	// budgets and short are of the waves that are over. Without waves there are none.
	budgets *budgets
	short   []report.WaveShortage
	// total is how many evictions Progress is told of, told how many of them it was
	// last; trying is true while what happens may be taken back.
	total, told int
	trying      bool
}

// New prepares the scheduler's plugins over a snapshot. Close releases them. The
// error names what is wrong with the scheduler configuration.
func New(ctx context.Context, snap *snapshot.Snapshot, opts Options) (*Planner, error) {
	explainer, err := explain.New(ctx, snap, explain.Options{SchedulerConfig: opts.SchedulerConfig, Scheduler: opts.Scheduler})
	if err != nil {
		return nil, err
	}
	opts.StartTime = cmp.Or(opts.StartTime, DefaultStartTime)
	p := &Planner{
		snap: snap, opts: opts, now: snap.Now().Time, owners: explainer.Owners().Index(), volumes: volumes(snap),
		explainer: explainer, sim: simulate.New(explainer.Engine()), schedulers: explainer.Engine().Config().Schedulers(),
	}
	p.sim.Placed = func() { p.progress(p.told + 1) }
	return p, nil
}

// volumes indexes the persistent volumes of a snapshot by their claims.
func volumes(snap *snapshot.Snapshot) map[types.NamespacedName]*corev1.PersistentVolume {
	byName := map[string]*corev1.PersistentVolume{}
	for _, volume := range snap.PersistentVolumes {
		byName[volume.Name] = volume
	}
	byClaim := map[types.NamespacedName]*corev1.PersistentVolume{}
	for _, claim := range snap.PersistentVolumeClaims {
		if volume := byName[claim.Spec.VolumeName]; volume != nil {
			byClaim[types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}] = volume
		}
	}
	return byClaim
}

// Close releases the engine's goroutines.
func (p *Planner) Close() { p.explainer.Close() }

// Warnings are one-line notes on what is assumed, for stderr.
func (p *Planner) Warnings() []string { return p.explainer.Warnings() }

// uid is the UID of a pod of the snapshot, empty for one that is still to be made.
func (p *Planner) uid(pod *corev1.Pod) types.UID {
	if known := p.snap.Pod(pod.Namespace, pod.Name); known != nil && known.UID == pod.UID {
		return pod.UID
	}
	return ""
}

// workload is a pod's top owner as Kind/name, empty for a bare pod.
func (p *Planner) workload(pod *corev1.Pod) string { return p.owners.Top(pod).String() }

// node is a node as it is now.
func (p *Planner) node(name string) *corev1.Node {
	node, ok := p.explainer.Engine().Node(name)
	if !ok {
		return &corev1.Node{}
	}
	return node.Node
}

// newcomer says whether a pod is on another node than in the snapshot, or not in it.
func (p *Planner) newcomer(pod *corev1.Pod) bool {
	known := p.snap.Pod(pod.Namespace, pod.Name)
	return known == nil || known.UID != pod.UID || known.Spec.NodeName == ""
}

// taintedNodes are the nodes of a plan.
func (p *Planner) taintedNodes(nodes []report.TaintedNode) []*tainted {
	list := make([]*tainted, len(nodes))
	for i, n := range nodes {
		node := p.snap.Node(n.Name)
		after := *node
		after.Spec.Taints = n.After
		list[i] = &tainted{before: node, after: &after}
	}
	return list
}

// mark adds a mark.
func (p *Planner) mark(m *move, mark report.Mark) {
	set(&p.undo, &m.marks, append(slices.Clip(m.marks), mark))
}

// progress tells that so many of the evictions have been worked out. Waves that are
// tried do not count.
func (p *Planner) progress(done int) {
	if done = min(done, p.total); p.opts.Progress != nil && !p.trying && done > p.told {
		p.told = done
		p.opts.Progress(done, p.total)
	}
}

// waypoint is how far things have gone: what happens after it can be taken back.
type waypoint struct{ undo, sim, moves, arrivals int }

func (p *Planner) here() waypoint {
	return waypoint{undo: len(p.undo.steps), sim: p.sim.Mark(), moves: len(p.moves), arrivals: len(p.arrivals)}
}

func (p *Planner) backTo(w waypoint) {
	p.sim.UndoTo(w.sim)
	p.undo.backTo(w.undo)
}
