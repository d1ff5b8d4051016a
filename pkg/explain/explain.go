package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Options says how to explain.
type Options struct {
	// SchedulerConfig is the text of a KubeSchedulerConfiguration; nil assumes
	// the default profile.
	SchedulerConfig []byte
	// Scheduler is what the scheduler has beyond the kube-scheduler: plugins that the
	// configuration may enable.
	Scheduler predicate.Options
	// Remedies asks for the search for remedies.
	Remedies bool
	// NodeDetails keeps every node's verdict in the answers of All.
	NodeDetails bool
	// Kinds is the table of workload kinds; nil for those that Stowage knows.
	Kinds *workload.Kinds
	// Progress, when set, is told how many of the pods are done.
	Progress func(done, total int)
}

// Explainer answers for the pods and workloads of one snapshot. It is not safe
// for concurrent use.
type Explainer struct {
	engine *predicate.Engine
	world  *world
	opts   Options
	shared *shared
	limits
	warnings []string
}

func (e *Explainer) alike() *simulate.Alike {
	e.shared.alikeOnce.Do(func() { e.shared.alikeKeys = simulate.NewAlike(e.engine.Config(), e.world.snap.Pods) })
	return e.shared.alikeKeys
}

// New prepares the scheduler's plugins over a snapshot. Close releases them. The
// error names what is wrong with the scheduler configuration.
func New(ctx context.Context, snap *snapshot.Snapshot, opts Options) (*Explainer, error) {
	if _, err := predicate.Emulate(snap.ServerVersion); err != nil {
		return nil, err
	}
	config, err := predicate.ParseConfig(opts.SchedulerConfig, opts.Scheduler)
	if err != nil {
		return nil, err
	}
	engine, err := predicate.New(ctx, snap, config)
	if err != nil {
		return nil, err
	}
	if opts.Kinds == nil {
		opts.Kinds = workload.Default()
	}
	return &Explainer{
		engine: engine, world: newWorld(snap, opts.Kinds), opts: opts, limits: limits{evictNodes: 4, thorough: true},
		shared:   &shared{usesOf: map[corev1.ResourceName][]use{}, plans: map[planKey]plan{}},
		warnings: warnings(config),
	}, nil
}

func warnings(config *predicate.Config) []string {
	var list []string
	if config.Assumed {
		list = append(list, "the default scheduler profile is assumed; give the cluster's own with --scheduler-config")
	}
	if len(config.Unknown) > 0 {
		list = append(list, fmt.Sprintf("the profiles name plugins that are not built in (%s): what fits here may still be refused by them", strings.Join(config.Unknown, ", ")))
	}
	if len(config.Extenders) > 0 {
		list = append(list, fmt.Sprintf("the scheduler has extenders (%s), which are not called: what fits here may still be refused by them", strings.Join(config.Extenders, ", ")))
	}
	return list
}

// fork is an explainer for another goroutine.
func (e *Explainer) fork() (*Explainer, error) {
	engine, err := e.engine.Fork()
	if err != nil {
		return nil, err
	}
	forked := *e
	forked.engine = engine
	return &forked, nil
}

// Close releases the engine's goroutines.
func (e *Explainer) Close() { e.engine.Close() }

// Engine is what the explanations are worked out on; it may be edited between them.
func (e *Explainer) Engine() *predicate.Engine { return e.engine }

// Warnings are one-line notes on what is assumed (a default profile, a plugin
// that is not known), for stderr.
func (e *Explainer) Warnings() []string { return e.warnings }

// Pod explains one pod of the snapshot, or one that does not exist yet. A pod that
// has a node or has finished is answered with that.
func (e *Explainer) Pod(ctx context.Context, pod *corev1.Pod) (report.PendingItem, error) {
	return e.pod(ctx, pod, nil, true)
}

// pod explains one pod; from is the workload of -f that it comes from, nodes asks for
// every node's verdict in the answer.
func (e *Explainer) pod(ctx context.Context, pod *corev1.Pod, from *planned, nodes bool) (report.PendingItem, error) {
	item := e.newItem(pod)
	if pod.Spec.NodeName != "" || snapshot.Finished(pod) {
		item.Verdict = report.VerdictSchedulable
		item.Message = fmt.Sprintf("the pod is on node %s (%s)", pod.Spec.NodeName, cmp.Or(pod.Status.Phase, corev1.PodPending))
		return item, nil
	}
	verdict, err := e.engine.Evaluate(ctx, pod)
	if errors.Is(err, predicate.ErrUnknownScheduler) {
		e.foreign(pod, &item)
		return item, nil
	}
	if err != nil {
		return item, err
	}
	details := newDetailer(e.engine, e.world, e.shared, pod)
	judged := details.judge(verdict)
	item.Verdict, item.Message, item.Causes = e.verdictOf(verdict), verdict.Message, details.causes(verdict, judged)
	if nodes {
		item.Nodes = nodeVerdicts(verdict, judged)
	}
	if err := e.addPreemption(ctx, verdict, &item); err != nil {
		return item, err
	}
	e.world.nameGates(verdict, &item)
	item.Autoscaler = e.world.autoscalerNotes(pod)
	if e.opts.Remedies {
		if err := e.addRemedies(ctx, newSearch(details, e.limits), from, verdict, judged, &item); err != nil {
			return item, err
		}
	}
	compareWithCluster(pod, e.engine.Len(), &item)
	return item, nil
}

// addRemedies searches for what would help: with a pod that is kept out of the queue,
// what lets it in; with one that no node takes, what makes one take it.
func (e *Explainer) addRemedies(ctx context.Context, s *search, from *planned, verdict *predicate.Verdict, nodes []judged, item *report.PendingItem) error {
	var found []verified
	var err error
	switch item.Verdict {
	case report.VerdictGated:
		found, err = s.lifted(ctx)
	case report.VerdictUnschedulable:
		found, item.RemedyNote, err = s.remedies(ctx, verdict, nodes)
	}
	if err != nil {
		return err
	}
	item.Remedies = e.rendered(s.pod, from, found)
	return nil
}

// rendered are verified changes as remedies, the least disturbing first; those
// that disturb alike stay in the order in which they were found.
func (e *Explainer) rendered(pod *corev1.Pod, from *planned, found []verified) []report.Remedy {
	slices.SortStableFunc(found, func(a, b verified) int { return cmp.Compare(a.disturbance(), b.disturbance()) })
	remedies := make([]report.Remedy, len(found))
	for i, v := range found {
		e.shared.keepPlan(keyOf(pod), plan{pod, v.candidate})
		remedies[i] = e.world.remedy(pod, from, v.candidate, v.fits)
	}
	return remedies
}

// Edits are what a remedy of an item changes: the pod as it is then, and the edits of
// the cluster. On the snapshot that was explained, the pod passes every filter of the
// remedy's nodes with the edits in force. The error says that no such remedy was given
// for the item, or that it changes nothing that the scheduler looks at (a quota).
func (e *Explainer) Edits(item *report.PendingItem, remedyID string) (*corev1.Pod, []predicate.Edit, error) {
	p, ok := e.shared.plan(itemKey(item), remedyID)
	if !ok {
		return nil, nil, fmt.Errorf("%s/%s: expected the ID of one of its remedies that the scheduler's filters have passed, found %q", item.Namespace, item.Name, remedyID)
	}
	pod, err := p.changed(p.pod)
	return pod, p.edits(), err
}

func (e *Explainer) newItem(pod *corev1.Pod) report.PendingItem {
	item := report.PendingItem{
		Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Workload: e.world.owners.Top(pod).String(), Replicas: 1,
		Nodes: []report.NodeVerdict{}, Causes: []report.Cause{}, Remedies: []report.Remedy{},
		Agrees: report.AgreesUnknown, Confidence: e.confidence(),
	}
	if pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
		item.SchedulerName = pod.Spec.SchedulerName
	}
	if created := pod.CreationTimestamp; !created.IsZero() {
		item.PendingSince = &created
	}
	if condition := scheduledCondition(pod); condition != nil {
		item.ClusterMessage = condition.Message
	}
	return item
}

func (e *Explainer) confidence() report.Confidence {
	config := e.engine.Config()
	switch {
	case len(config.Unknown) > 0 || len(config.Extenders) > 0:
		return report.ConfidenceUnknownPlugin
	case config.Assumed:
		return report.ConfidenceProfileAssumed
	default:
		return report.ConfidenceExact
	}
}

// verdictOf is "Unknown", never "Schedulable", where somebody else may refuse.
func (e *Explainer) verdictOf(verdict *predicate.Verdict) report.Verdict {
	switch {
	case len(verdict.Gates) > 0:
		return report.VerdictGated
	case verdict.Err != nil:
		return report.VerdictUnknown
	case !verdict.Schedulable():
		return report.VerdictUnschedulable
	case e.confidence() == report.ConfidenceUnknownPlugin:
		return report.VerdictUnknown
	default:
		return report.VerdictSchedulable
	}
}

// foreign answers for a pod of a scheduler that we have no profile of.
func (e *Explainer) foreign(pod *corev1.Pod, item *report.PendingItem) {
	item.Verdict, item.Confidence = report.VerdictUnknown, report.ConfidenceUnknownPlugin
	item.Message = fmt.Sprintf("scheduler %q decides on this pod; the verdict is unknown", pod.Spec.SchedulerName)
	item.Disagreement = fmt.Sprintf("no profile of that name: known are %s", strings.Join(e.engine.Config().Schedulers(), ", "))
	detail := "nothing has been reported by it"
	if item.ClusterMessage != "" {
		detail = "it says: " + item.ClusterMessage
	}
	for _, event := range e.world.podEvents(pod) {
		if event.Reason == "FailedScheduling" && item.ClusterMessage == "" {
			detail = "it says: " + event.Message
		}
	}
	item.Causes = []report.Cause{{Reason: "another scheduler", Plugin: pod.Spec.SchedulerName, Detail: detail, Subject: pod.Spec.SchedulerName, Text: detail}}
	item.RemedyNote = "the rules of that scheduler are not known here"
	item.Autoscaler = e.world.autoscalerNotes(pod)
}

// addPreemption appends the scheduler's preemption text to the message, as the
// scheduler does.
func (e *Explainer) addPreemption(ctx context.Context, verdict *predicate.Verdict, item *report.PendingItem) error {
	result, err := e.engine.Preempt(ctx, verdict)
	if err != nil || result == nil {
		return err
	}
	item.Message += " " + result.Message
	item.Preemption = &report.Preemption{
		Eligible: result.Eligible, Node: result.Node, PDBViolations: result.PDBViolations,
		Reason: strings.TrimPrefix(result.Message, "preemption: "), NominatedNode: verdict.Pod.Status.NominatedNodeName,
		EqualNodes: result.Ties,
	}
	for _, victim := range result.Victims {
		item.Preemption.Victims = append(item.Preemption.Victims, reference(victim))
	}
	return nil
}

// Owners are the controllers of the snapshot, and what pods they would make.
func (e *Explainer) Owners() *owner.Maker { return e.world.maker }
