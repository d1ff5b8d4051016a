package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// evictNodes is how many nodes are searched for pods to evict.
	evictNodes int
	// planned is the workload of -f that is being asked about; its remedies change
	// the file.
	planned *planned
	// thorough asks for every node that a remedy reaches, also where that is
	// certain to be none but those it was worked out for.
	thorough bool
	warnings []string
}

func (e *Explainer) alike() *simulate.Alike {
	e.shared.alikeOnce.Do(func() { e.shared.alikeKeys = simulate.NewAlike(e.engine.Config(), e.world.snap.Pods) })
	return e.shared.alikeKeys
}

func (e *Explainer) classes() []*nodeClass {
	e.shared.classesOnce.Do(func() { e.shared.classes = nodeClasses(e.world.snap.Nodes) })
	return e.shared.classes
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
		engine: engine, world: newWorld(snap, opts.Kinds), opts: opts, evictNodes: 4, thorough: true,
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
	item.Message = verdict.Message
	details := e.detailer(pod)
	item.Nodes = details.nodeVerdicts(verdict)
	item.Causes = e.causes(pod, verdict, item.Nodes)
	if err := e.addPreemption(ctx, verdict, &item); err != nil {
		return item, err
	}
	item.Verdict = e.verdictOf(verdict)
	if err := e.addGates(ctx, pod, verdict, &item); err != nil {
		return item, err
	}
	item.Autoscaler = e.autoscalerNotes(pod)
	if e.opts.Remedies && item.Verdict == report.VerdictUnschedulable {
		found, note, err := details.remedies(ctx, verdict)
		if err != nil {
			return item, err
		}
		item.Remedies, item.RemedyNote = append(item.Remedies, found...), note
	}
	e.compareWithCluster(pod, &item)
	return item, nil
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
	item.Autoscaler = e.autoscalerNotes(pod)
}

func (d *detailer) nodeVerdicts(verdict *predicate.Verdict) []report.NodeVerdict {
	nodes := make([]report.NodeVerdict, len(verdict.Nodes))
	for i, name := range verdict.Nodes {
		nodes[i] = report.NodeVerdict{Name: name, Fits: verdict.Fits(i)}
		for _, failure := range verdict.Rejections {
			nodes[i].Failures = append(nodes[i].Failures, reportFailure(failure, nil))
		}
		node, _ := d.engine.Node(name)
		for _, failure := range verdict.Failures[i] {
			nodes[i].Failures = append(nodes[i].Failures, reportFailure(failure, d.detail(node, failure)))
		}
	}
	return nodes
}

func reportFailure(failure predicate.Failure, detail *report.Detail) report.Failure {
	return report.Failure{Plugin: failure.Plugin, Code: failure.Status.Code().String(), Reasons: failure.Status.Reasons(), Detail: detail}
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

// addGates names what keeps the pod out of the scheduler's queue.
func (e *Explainer) addGates(ctx context.Context, pod *corev1.Pod, verdict *predicate.Verdict, item *report.PendingItem) error {
	if len(verdict.Gates) == 0 {
		return nil
	}
	item.Gates = gates(pod)
	item.Preemption = nil
	item.Message = verdict.Gates[0].Reasons()
	var causes []report.Cause
	for _, gate := range verdict.Gates {
		cause := report.Cause{Reason: gate.Reasons(), Plugin: gate.Plugin}
		switch gate.Plugin {
		case predicate.SchedulingGates:
			item.Message = gatedMessage
			cause.Reason, cause.Detail = "scheduling gates", gateText(item.Gates)
			cause.Subject = strings.Join(gateNames(pod), ", ")
			cause.Text = cause.Subject
		case predicate.DynamicResources:
			var about point
			about, cause.Detail = listText(e.resourceClaimPoints(pod))
			cause.Subject, cause.Text = about.subject, about.text
		}
		causes = append(causes, cause)
	}
	item.Causes = append(causes, item.Causes...)
	if !e.opts.Remedies {
		return nil
	}
	byHand, err := e.removeGates(ctx, pod)
	if err != nil {
		return err
	}
	claims, err := e.gatedByClaim(ctx, pod)
	item.Remedies = e.rendered(pod, append(byHand, claims...))
	return err
}

// Owners are the controllers of the snapshot, and what pods they would make.
func (e *Explainer) Owners() *owner.Maker { return e.world.maker }
