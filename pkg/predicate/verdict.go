package predicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Failure is one plugin's rejection.
type Failure struct {
	Plugin string
	Status *fwk.Status
}

// Unresolvable is the name of the status code that no eviction of pods lifts.
var Unresolvable = fwk.UnschedulableAndUnresolvable.String()

// Resolvable says whether evicting pods might help.
func (f Failure) Resolvable() bool { return f.Status.Code() == fwk.Unschedulable }

// Verdict is a pod's evaluation on every node.
type Verdict struct {
	Pod *corev1.Pod
	// Gates are the PreEnqueue rejections; with any, the scheduler does not look
	// at the pod at all. Nodes is filled all the same.
	Gates []Failure
	// Rejections are the PreFilter plugins' rejections of the pod on all nodes.
	Rejections []Failure
	// Nodes names the nodes, in the order of Failures.
	Nodes []string
	// Failures holds, for each node, every filter plugin that rejects the pod, in
	// the profile's order; Rejections are not repeated. None and no Rejections =
	// the pod fits there.
	Failures [][]Failure
	// Message is the scheduler's text, without preemption: "0/3 nodes are
	// available: 3 Insufficient cpu." Empty when a node fits.
	Message string
	// Err is an internal error of a plugin: the scheduler would retry and the
	// verdict is unknown.
	Err error

	profile *profile
	state   fwk.CycleState
	// statuses is what the scheduler hands to preemption.
	statuses *framework.NodeToStatus
	// claimsUnseen is true when the scheduler ends the PreFilters before
	// DynamicResources has run.
	claimsUnseen bool
}

// Fits says whether the pod may go to the i-th node.
func (v *Verdict) Fits(i int) bool {
	return v.Err == nil && len(v.Rejections) == 0 && len(v.Failures[i]) == 0
}

// Fitting returns the names of the nodes that the pod may go to.
func (v *Verdict) Fitting() []string {
	var names []string
	for i, name := range v.Nodes {
		if v.Fits(i) {
			names = append(names, name)
		}
	}
	return names
}

// Schedulable says whether the scheduler would place the pod now.
func (v *Verdict) Schedulable() bool {
	if v.Err != nil || len(v.Gates) > 0 || len(v.Rejections) > 0 {
		return false
	}
	return slices.ContainsFunc(v.Failures, func(failures []Failure) bool { return len(failures) == 0 })
}

// Evaluate runs the pod's profile: PreEnqueue, every PreFilter, and every Filter
// on every node. The error is ErrUnknownScheduler, or that the profile cannot be
// built; a plugin's own error is in Verdict.Err.
func (e *Engine) Evaluate(ctx context.Context, pod *corev1.Pod) (*Verdict, error) {
	p, err := e.forPod(pod)
	if err != nil {
		return nil, err
	}
	run := newRun(ctx, e, p, pod)
	v := &Verdict{Pod: pod, profile: p, state: run.state}
	v.Gates = run.preEnqueue()
	run.preFilterAll()
	v.Rejections, v.Err, v.claimsUnseen = run.rejections, run.err, run.claimsUnseen
	nodes := e.lister.current.infos
	v.Nodes = make([]string, len(nodes))
	v.Failures = make([][]Failure, len(nodes))
	errs := make([]error, len(nodes))
	inParallel(len(nodes), e.workers, func(i int) {
		v.Nodes[i] = nodes[i].Node().Name
		v.Failures[i], errs[i] = run.filterAll(nodes[i])
	})
	v.Err = errors.Join(v.Err, firstError(errs))
	run.summarize(v)
	return v, nil
}

// FitsOn returns those of the named nodes (all, when nil) that pass every filter,
// stopping at a node's first failure. It is what verifies a remedy.
func (e *Engine) FitsOn(ctx context.Context, pod *corev1.Pod, names []string) ([]string, error) {
	run, err := e.prefiltered(ctx, pod)
	if run == nil || err != nil {
		return nil, err
	}
	nodes, err := e.lister.current.named(names)
	if err != nil {
		return nil, err
	}
	var passing []string
	for _, node := range run.passing(nodes) {
		passing = append(passing, node.Node().Name)
	}
	return passing, nil
}

// run is one pod's way through one profile.
type run struct {
	ctx     context.Context
	engine  *Engine
	profile *profile
	pod     *corev1.Pod
	nodes   []fwk.NodeInfo
	state   fwk.CycleState

	rejections []Failure
	err        error
	// disabled are plugins whose Filter must not run: they said Skip, or they
	// failed and left no state.
	disabled sets.Set[string]
	// filtering are the filter plugins that are left.
	filtering []fwk.FilterPlugin
	// allowed are the nodes that the PreFilters left, nil = all; narrowedBy are
	// the plugins that narrowed them.
	allowed    sets.Set[string]
	narrowedBy sets.Set[string]
	// preFilterMessage and preFilterStatus are what the scheduler would report
	// when a PreFilter rejects the pod on all nodes.
	preFilterStatus *fwk.Status
	claimsUnseen    bool
}

func newRun(ctx context.Context, e *Engine, p *profile, pod *corev1.Pod) *run {
	return &run{
		ctx:        quiet(ctx),
		engine:     e,
		profile:    p,
		pod:        pod,
		nodes:      e.lister.current.infos,
		state:      framework.NewCycleState(),
		disabled:   sets.New[string](),
		narrowedBy: sets.New[string](),
	}
}

// preEnqueue returns the rejections of the PreEnqueue plugins. The scheduler
// stops at the first; a pod may be gated twice, so all are given.
func (r *run) preEnqueue() []Failure {
	var gates []Failure
	for _, plugin := range r.profile.preEnqueue {
		if status := plugin.PreEnqueue(r.ctx, r.pod); !status.IsSuccess() {
			gates = append(gates, Failure{plugin.Name(), status.WithPlugin(plugin.Name())})
		}
	}
	return gates
}

func (r *run) preFilterAll() { r.preFilter(false) }

// preFilter mirrors RunPreFilterPlugins of the framework, but goes on after a
// rejection (unless stopEarly) and keeps every one. Which status the scheduler
// itself would report is decided by the same rules as there: the first
// unresolvable one ends it; else an empty intersection of nodes ends it; else the
// last resolvable one.
func (r *run) preFilter(stopEarly bool) {
	defer func() {
		r.filtering = slices.DeleteFunc(slices.Clone(r.profile.filter), func(plugin fwk.FilterPlugin) bool { return r.disabled.Has(plugin.Name()) })
	}()
	skipped := sets.New[string]()
	decided := false
	var result *fwk.PreFilterResult
	for _, plugin := range r.profile.preFilter {
		name := plugin.Name()
		r.claimsUnseen = r.claimsUnseen || decided && name == DynamicResources
		narrowed, status := plugin.PreFilter(r.ctx, r.state, r.pod, r.nodes)
		switch {
		case status.IsSkip():
			skipped.Insert(name)
			r.disabled.Insert(name)
			continue
		case status.IsRejected():
			status = status.WithPlugin(name)
			r.rejections = append(r.rejections, Failure{name, status})
			r.disabled.Insert(name)
			if !decided {
				r.preFilterStatus = status
				decided = status.Code() == fwk.UnschedulableAndUnresolvable
			}
			if stopEarly {
				return
			}
			continue
		case !status.IsSuccess() && decided:
			r.disabled.Insert(name) // The scheduler has stopped before.
			continue
		case !status.IsSuccess():
			r.err = fmt.Errorf("running PreFilter plugin %q: %w", name, status.AsError())
			r.disabled.Insert(name)
			if stopEarly {
				return
			}
			continue
		}
		if narrowed.AllNodes() {
			continue
		}
		r.narrowedBy.Insert(name)
		result = result.Merge(narrowed)
		if len(result.NodeNames) == 0 && !decided {
			decided = true
			r.preFilterStatus = fwk.NewStatus(fwk.UnschedulableAndUnresolvable, noNodeLeft(r.narrowedBy))
		}
	}
	r.state.SetSkipFilterPlugins(skipped)
	if !result.AllNodes() {
		r.allowed = result.NodeNames
	}
}

// noNodeLeft is the framework's text for PreFilter results that exclude each other.
func noNodeLeft(plugins sets.Set[string]) string {
	if len(plugins) == 1 {
		return fmt.Sprintf("node(s) didn't satisfy plugin %v", sets.List(plugins)[0])
	}
	return fmt.Sprintf("node(s) didn't satisfy plugin(s) %v simultaneously", sets.List(plugins))
}

// excluded is the framework's status for the nodes that a PreFilter left out.
func (r *run) excluded() *fwk.Status {
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(r.narrowedBy)))
}

func (r *run) isExcluded(node fwk.NodeInfo) bool {
	return r.allowed != nil && !r.allowed.Has(node.Node().Name)
}

// filterAll returns every filter's rejection on one node.
func (r *run) filterAll(node fwk.NodeInfo) ([]Failure, error) { return r.filter(node, true) }

// feasible says whether every filter accepts the node. It is passes without what the
// framework logs and counts, which for the nodes of every placement adds up.
func (r *run) feasible(node fwk.NodeInfo) bool {
	failures, err := r.filter(node, false)
	return len(failures) == 0 && err == nil
}

// filter returns the rejections on one node, the first only or all. As the scheduler,
// it filters twice where pods of at least the same priority are nominated to the
// node: with them placed, and, when that passes, without.
func (r *run) filter(node fwk.NodeInfo, all bool) ([]Failure, error) {
	state, withNominated, err := r.addNominated(node)
	if err != nil {
		return nil, err
	}
	failures, err := r.filters(state, withNominated, all)
	if len(failures) == 0 && err == nil && withNominated != node {
		failures, err = r.filters(r.state, node, all)
	}
	if len(failures) == 0 && err == nil && r.isExcluded(node) {
		failures = []Failure{{sets.List(r.narrowedBy)[0], r.excluded()}}
	}
	return failures, err
}

func (r *run) filters(state fwk.CycleState, node fwk.NodeInfo, all bool) ([]Failure, error) {
	var failures []Failure
	for _, plugin := range r.filtering {
		status := plugin.Filter(r.ctx, state, r.pod, node)
		if status.IsSuccess() {
			continue
		}
		name := plugin.Name()
		if !status.IsRejected() && len(failures) > 0 {
			continue // The scheduler stops at the first rejection and never sees it.
		}
		if !status.IsRejected() {
			return nil, fmt.Errorf("running %q filter plugin: %w", name, status.AsError())
		}
		failures = append(failures, Failure{name, status.WithPlugin(name)})
		if !all {
			break
		}
	}
	return failures, nil
}

// passes says whether every filter accepts the node, with the framework's own
// two passes for nominated pods.
func (r *run) passes(node fwk.NodeInfo) bool {
	if r.isExcluded(node) {
		return false
	}
	return r.profile.framework.RunFilterPluginsWithNominatedPods(r.ctx, r.state, r.pod, node).IsSuccess()
}

// addNominated mirrors the framework's addGENominatedPods: the node and the
// state with the nominated pods of at least the pod's priority in place. The
// node comes back unchanged when there are none.
func (r *run) addNominated(node fwk.NodeInfo) (fwk.CycleState, fwk.NodeInfo, error) {
	if len(r.engine.nominator.byNode) == 0 {
		return r.state, node, nil
	}
	nominated := r.engine.nominator.NominatedPodsForNode(node.Node().Name)
	nominated = slices.DeleteFunc(slices.Clone(nominated), func(info fwk.PodInfo) bool {
		return info.GetPod().UID == r.pod.UID || corev1helpers.PodPriority(info.GetPod()) < corev1helpers.PodPriority(r.pod)
	})
	if len(nominated) == 0 {
		return r.state, node, nil
	}
	state, changed := r.state.Clone(), node.Snapshot()
	// A plugin that rejected the pod has no state to add pods to.
	state.SetSkipFilterPlugins(r.disabled)
	for _, info := range nominated {
		changed.AddPodInfo(info)
		if status := r.profile.framework.RunPreFilterExtensionAddPod(r.ctx, state, r.pod, info, changed); !status.IsSuccess() {
			return nil, nil, status.AsError()
		}
	}
	return state, changed, nil
}

// summarize puts together what the scheduler would report: a FitError from each
// node's first failure, as findNodesThatFitPod collects them.
func (r *run) summarize(v *Verdict) {
	fit := &framework.FitError{Pod: r.pod, NumAllNodes: len(r.nodes), Diagnosis: framework.Diagnosis{NodeToStatus: framework.NewDefaultNodeToStatus()}}
	v.statuses = fit.Diagnosis.NodeToStatus
	switch {
	case len(r.nodes) == 0:
		v.Message = noNodes
		return
	case v.Err != nil:
		v.Message = v.Err.Error()
		return
	case r.preFilterStatus != nil:
		v.statuses.SetAbsentNodesStatus(r.preFilterStatus)
		fit.Diagnosis.PreFilterMsg = r.preFilterStatus.Message()
	default:
		if r.allowed != nil {
			v.statuses.SetAbsentNodesStatus(r.excluded())
		}
		for i, node := range r.nodes {
			if r.isExcluded(node) {
				continue
			}
			if len(v.Failures[i]) == 0 {
				return
			}
			v.statuses.Set(v.Nodes[i], v.Failures[i][0].Status)
		}
	}
	v.Message = fit.Error()
}

// noNodes is the scheduler's ErrNoNodesAvailable, which it keeps in a package
// that would bring the whole scheduler with it.
const noNodes = "no nodes available to schedule pods"

// named returns the nodes of those names, in the list's order; nil names = all.
func (l *nodeList) named(names []string) ([]fwk.NodeInfo, error) {
	if names == nil {
		return l.infos, nil
	}
	nodes := make([]fwk.NodeInfo, 0, len(names))
	for _, name := range names {
		node, err := l.Get(name)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// firstError keeps one of many errors that are alike: a plugin that fails
// usually fails on every node.
func firstError(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// Reasons joins a failure's reasons.
func (f Failure) Reasons() string { return strings.Join(f.Status.Reasons(), ", ") }
