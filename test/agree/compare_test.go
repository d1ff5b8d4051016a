package agree

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// oracle answers for one snapshot with the engine.
type oracle struct {
	snapshot *snapshot.Snapshot
	config   *predicate.Config
}

// answer is what the engine says of a pod.
type answer struct {
	// pod is as the API server has it; the verdict's is reduced to what is read.
	pod     *corev1.Pod
	verdict *predicate.Verdict
	// messages are the texts that the scheduler may give: more than one where it
	// chooses arbitrarily among nodes of equal preemption cost.
	messages []string
}

// ask evaluates a pod as the API server has it.
func (o oracle) ask(ctx context.Context, pod *corev1.Pod) (answer, error) {
	snap, reduced, err := withPod(o.snapshot, pod)
	if err != nil {
		return answer{}, err
	}
	engine, err := predicate.New(ctx, snap, o.config)
	if err != nil {
		return answer{}, err
	}
	defer engine.Close()
	verdict, err := engine.Evaluate(ctx, reduced)
	if err != nil {
		return answer{}, err
	}
	preemption, err := engine.Preempt(ctx, verdict)
	if err != nil {
		return answer{}, err
	}
	return answer{pod, verdict, messages(verdict, preemption)}, nil
}

// messages are the scheduler's texts for a verdict: its own and, after it, that
// of the preemption.
func messages(v *predicate.Verdict, p *predicate.Preemption) []string {
	if p == nil || p.Message == "" {
		return []string{v.Message}
	}
	texts := []string{v.Message + " " + p.Message}
	for _, tie := range p.Ties {
		texts = append(texts, v.Message+" "+strings.Replace(p.Message, "on node "+p.Node+",", "on node "+tie+",", 1))
	}
	return texts
}

// quiet says whether the scheduler is expected to say nothing: it does not look
// at a pod that a PreEnqueue plugin refuses.
func (a answer) quiet() bool { return len(a.verdict.Gates) > 0 }

// differs compares with what the scheduler did, and says how they differ; empty
// means that they agree.
func (a answer) differs(s said) string {
	v := a.verdict
	switch {
	case s.Node != "" && !v.Schedulable():
		return fmt.Sprintf("the scheduler bound the pod to %s; we say: %s", s.Node, strings.Join(a.messages, " or "))
	case s.Node != "" && !slices.Contains(v.Fitting(), s.Node):
		return fmt.Sprintf("the scheduler bound the pod to %s; we say that it fits on %v only", s.Node, v.Fitting())
	case s.Node != "":
		return ""
	case a.quiet():
		if s.Silent || s.Reason == corev1.PodReasonSchedulingGated {
			return ""
		}
		return fmt.Sprintf("the scheduler says %s; we say that it is gated by %s", s, v.Gates[0].Reasons())
	case v.Schedulable():
		return fmt.Sprintf("the scheduler says %s; we say that the pod fits on %v", s, v.Fitting())
	case !slices.Contains(a.messages, s.Message):
		return fmt.Sprintf("messages differ\n  the scheduler: %s\n  we:            %s", s.Message, strings.Join(a.messages, "\n  or:            "))
	}
	return ""
}

// nodeVerdicts is one line a node, for a report of a difference.
func (a answer) nodeVerdicts() string {
	var b strings.Builder
	for _, r := range a.verdict.Rejections {
		fmt.Fprintf(&b, "  all nodes: %s: %s\n", r.Plugin, r.Reasons())
	}
	for i, name := range a.verdict.Nodes {
		fmt.Fprintf(&b, "  %s:", name)
		for _, f := range a.verdict.Failures[i] {
			fmt.Fprintf(&b, " [%s: %s]", f.Plugin, f.Reasons())
		}
		b.WriteByte('\n')
	}
	return b.String()
}
