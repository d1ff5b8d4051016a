package predicate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
	"k8s.io/kubernetes/pkg/scheduler/util"
)

// Preemption is what the scheduler's PostFilter would do for a pod.
type Preemption struct {
	// Eligible is false when the pod may not preempt at all.
	Eligible bool
	// Node and Victims are the chosen candidate; Node is empty when there is none.
	Node          string
	Victims       []*corev1.Pod
	PDBViolations int64
	// Ties are other candidate nodes that the scheduler's rules rank equal, in
	// which case it picks any of them.
	Ties []string
	// Message is the PostFilter's text, as the scheduler appends it to its own.
	Message string
}

// Preempt dry-runs the default preemption of the verdict's profile with
// upstream's evaluator, on all nodes, where the scheduler stops when it has found
// enough. Nothing is evicted. The result is nil when the profile has no default
// preemption or when the pod is schedulable or gated.
func (e *Engine) Preempt(ctx context.Context, v *Verdict) (*Preemption, error) {
	return e.preempt(ctx, v, everyNode)
}

// PreemptSampled is Preempt on as many nodes as the scheduler looks at
// (minCandidateNodesPercentage and -Absolute), from the start-th on where it begins
// with any.
func (e *Engine) PreemptSampled(ctx context.Context, v *Verdict, start int) (*Preemption, error) {
	return e.preempt(ctx, v, func(plugin *defaultpreemption.DefaultPreemption, nodes int) (offset, enough int) {
		_, wanted := plugin.GetOffsetAndNumCandidates(int32(nodes))
		return start % nodes, int(wanted)
	})
}

// sampling says from which of so many nodes on, and until how many candidates are
// found, to look.
type sampling func(plugin *defaultpreemption.DefaultPreemption, nodes int) (offset, enough int)

func everyNode(_ *defaultpreemption.DefaultPreemption, nodes int) (offset, enough int) {
	return 0, nodes
}

func (e *Engine) preempt(ctx context.Context, v *Verdict, sample sampling) (*Preemption, error) {
	if v.profile.preemption == nil || v.Err != nil || v.Schedulable() || len(v.Gates) > 0 || len(v.Nodes) == 0 {
		return nil, nil
	}
	ctx = quiet(ctx)
	released, err := e.releaseClaims(ctx, v)
	if err != nil {
		// The framework does not come to preemption and gives the error's text.
		return &Preemption{Message: err.Error()}, nil
	}
	result, err := e.dryRun(ctx, v, sample)
	if err != nil {
		// As the scheduler: a PostFilter's error is part of the message.
		return &Preemption{Message: "preemption: " + err.Error()}, nil
	}
	if released != "" && result.Node == "" {
		result.Message = released + ", " + result.Message
	}
	return result, nil
}

// releaseClaims runs the PostFilter of DynamicResources, which comes before
// preemption and gives up the allocation of claims that nobody uses and that are
// in the way. It returns that plugin's text, empty when there is nothing to
// release. As the API server's client refuses every request, nothing is released.
func (e *Engine) releaseClaims(ctx context.Context, v *Verdict) (released string, err error) {
	plugin := v.profile.release
	if plugin == nil {
		return "", nil
	}
	state := fwk.CycleState(framework.NewCycleState())
	switch {
	case v.claimsUnseen: // The plugin finds no state of its own, which is an error to it.
	case v.state.GetSkipFilterPlugins().Has(plugin.Name()):
		return "", nil
	default:
		e.filterClaims(ctx, v, state)
	}
	_, status := plugin.PostFilter(ctx, state, v.Pod, v.statuses)
	switch {
	case errors.Is(status.AsError(), errReadOnly) && v.Pod.Status.ExtendedResourceClaimStatus != nil:
		return "deletion of ResourceClaim completed", nil
	case errors.Is(status.AsError(), errReadOnly):
		return "deallocation of ResourceClaim completed", nil
	case !status.IsRejected():
		return "", status.AsError()
	}
	return status.Message(), nil
}

// filterClaims fills a new state as the scheduler does, which asks
// DynamicResources only about the nodes that pass all filters before it.
func (e *Engine) filterClaims(ctx context.Context, v *Verdict, state fwk.CycleState) {
	f := v.profile.framework
	if _, status, _ := f.RunPreFilterPlugins(ctx, state, v.Pod); !status.IsSuccess() {
		return
	}
	for i, node := range e.lister.current.infos {
		if len(v.Failures[i]) > 0 && v.Failures[i][0].Plugin == DynamicResources {
			f.RunFilterPluginsWithNominatedPods(ctx, state, v.Pod, node)
		}
	}
}

// dryRun follows Evaluator.Preempt up to where it would evict.
func (e *Engine) dryRun(ctx context.Context, v *Verdict, sample sampling) (*Preemption, error) {
	evaluator := v.profile.preemption.Evaluator
	nominated := v.statuses.Get(v.Pod.Status.NominatedNodeName)
	if ok, why := evaluator.PodEligibleToPreemptOthers(ctx, v.Pod, nominated); !ok {
		return &Preemption{Message: "preemption: " + why}, nil
	}
	nodes, err := v.statuses.NodesForStatusCode(e.lister.NodeInfos(), fwk.Unschedulable)
	if err != nil {
		return nil, err
	}
	statuses := framework.NewDefaultNodeToStatus()
	candidates, err := e.victims(ctx, v, nodes, sample, statuses)
	if err != nil && len(candidates) == 0 {
		return nil, err
	}
	if len(candidates) == 0 {
		statuses.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "Preemption is not helpful for scheduling"))
		fit := &framework.FitError{Pod: v.Pod, NumAllNodes: len(v.Nodes), Diagnosis: framework.Diagnosis{NodeToStatus: statuses}}
		return &Preemption{Eligible: true, Message: "preemption: " + fit.Error()}, nil
	}
	return chosen(ctx, evaluator, candidates), nil
}

// victims finds candidates among the nodes, in windows of as many as are enough, so
// that which ones it finds does not depend on which of the evaluator's goroutines is
// the fastest. As the evaluator, it goes on until one violates no budget. Why the
// others are none goes into statuses.
func (e *Engine) victims(ctx context.Context, v *Verdict, nodes []fwk.NodeInfo, sample sampling, statuses *framework.NodeToStatus) (found []preemption.Candidate, err error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	offset, enough := sample(v.profile.preemption, len(nodes))
	if enough < len(nodes) {
		nodes = slices.SortedFunc(slices.Values(nodes), func(a, b fwk.NodeInfo) int { return strings.Compare(a.Node().Name, b.Node().Name) })
		nodes = slices.Concat(nodes[offset:], nodes[:offset])
	}
	honoured, budgets := false, e.budgets.now()
	for window := range slices.Chunk(nodes, enough) {
		if len(found) >= enough && honoured {
			break
		}
		candidates, refused, problem := v.profile.preemption.Evaluator.DryRunPreemption(ctx, v.state, v.Pod, window, budgets, 0, int32(len(window)))
		err = errors.Join(err, problem)
		found = append(found, candidates...)
		honoured = honoured || slices.ContainsFunc(candidates, func(c preemption.Candidate) bool { return c.Victims().NumPDBViolations == 0 })
		refused.ForEachExplicitNode(func(name string, status *fwk.Status) { statuses.Set(name, status) })
	}
	return found, err
}

// chosen picks the candidate as the scheduler does, and among those that its
// ranking cannot tell apart the first by name, where the scheduler takes any.
func chosen(ctx context.Context, evaluator *preemption.Evaluator, candidates []preemption.Candidate) *Preemption {
	sort.Slice(candidates, func(i, j int) bool { return candidates[i].Name() < candidates[j].Name() })
	wanted := cost(evaluator.SelectCandidate(ctx, candidates))
	equals := slices.DeleteFunc(candidates, func(c preemption.Candidate) bool { return cost(c) != wanted })
	best := equals[0]
	result := &Preemption{
		Eligible:      true,
		Node:          best.Name(),
		Victims:       best.Victims().Pods,
		PDBViolations: best.Victims().NumPDBViolations,
		Message: fmt.Sprintf("preemption: found a potential placement for pod on node %v, preempting %d victims",
			best.Name(), len(best.Victims().Pods)),
	}
	for _, equal := range equals[1:] {
		result.Ties = append(result.Ties, equal.Name())
	}
	return result
}

// ranking is what upstream's pickOneNodeForPreemption ranks candidates by, so
// that candidates of equal ranking are exactly those it picks among arbitrarily.
type ranking struct {
	violations      int64
	highestPriority int32
	sumOfPriorities int64
	victims         int
	earliestStart   int64
}

func cost(c preemption.Candidate) ranking {
	victims := c.Victims()
	r := ranking{violations: victims.NumPDBViolations, victims: len(victims.Pods)}
	for i, pod := range victims.Pods {
		if i == 0 {
			r.highestPriority = corev1helpers.PodPriority(pod)
		}
		r.sumOfPriorities += int64(corev1helpers.PodPriority(pod))
	}
	// A victim that has not started counts as starting now, whenever that is asked.
	r.earliestStart = math.MaxInt64
	start := util.GetEarliestPodStartTime(victims)
	if slices.ContainsFunc(victims.Pods, func(p *corev1.Pod) bool { return p.Status.StartTime != nil && p.Status.StartTime.Equal(start) }) {
		r.earliestStart = start.UnixNano()
	}
	return r
}

// quiet drops the scheduler's logging from a context.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, logr.Discard()) }
