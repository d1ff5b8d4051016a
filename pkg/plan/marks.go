package plan

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// marks say what is special about a pod that leaves its node.
func (p *Planner) marks(pod *corev1.Pod, eviction taint.Eviction) []report.Mark {
	var marks []report.Mark
	add := func(mark report.Mark, holds bool) {
		if holds {
			marks = append(marks, mark)
		}
	}
	controller := owner.Of(pod)
	add(report.MarkFinished, snapshot.Finished(pod))
	add(report.MarkTerminating, pod.DeletionTimestamp != nil)
	add(report.MarkMirror, snapshot.Mirror(pod))
	add(report.MarkBare, controller.Kind == "")
	add(report.MarkDaemonSet, controller.Kind == "DaemonSet")
	add(report.MarkStatefulSet, controller.Kind == "StatefulSet")
	add(report.MarkUnknownOwner, controller.Kind != "" && !snapshot.Mirror(pod) && !p.controllers.knows(pod))
	add(report.MarkLocalVolume, !snapshot.Mirror(pod) && p.localVolume(pod))
	add(report.MarkCounting, eviction.Counting)
	add(report.MarkAgain, p.replaced[pod.UID] != nil)
	return marks
}

// foreign says whether another scheduler decides on the pod.
func (p *Planner) foreign(pod *corev1.Pod) bool {
	return !slices.Contains(p.schedulers, cmp.Or(pod.Spec.SchedulerName, corev1.DefaultSchedulerName))
}

// localVolume says whether a pod has data on its node.
func (p *Planner) localVolume(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool {
		if volume.EmptyDir != nil || volume.HostPath != nil {
			return true
		}
		pv := p.volumes[types.NamespacedName{Namespace: pod.Namespace, Name: owner.ClaimName(pod, &volume)}]
		return pv != nil && (pv.Spec.Local != nil || pv.Spec.HostPath != nil)
	})
}

// reasons says of replacements that have no node why.
func (p *Planner) reasons(ctx context.Context, moves []*move) error {
	alike := simulate.NewAlike(p.explainer.Engine().Config(), p.snap.Pods)
	known := map[string]string{}
	for _, m := range moves {
		if m.replacement == nil || m.node != "" || m.marked(report.MarkUnknownScheduler) {
			continue
		}
		if m.marked(report.MarkWaits) {
			set(&p.undo, &m.reason, "its StatefulSet makes it when all pods of lower ordinals are ready")
			continue
		}
		key := alike.Key(m.replacement)
		if known[key] == "" {
			reason, err := p.why(ctx, m.replacement)
			if err != nil {
				return err
			}
			known[key] = reason
		}
		set(&p.undo, &m.reason, known[key])
	}
	return nil
}

// why is the explanation of why-pending in short.
func (p *Planner) why(ctx context.Context, pod *corev1.Pod) (string, error) {
	item, err := p.explainer.Pod(ctx, pod)
	if err != nil {
		return "", err
	}
	reason := strings.TrimSuffix(item.Message, ".")
	if len(item.Causes) > 0 && item.Causes[0].Detail != "" {
		reason += " (" + item.Causes[0].Detail + ")"
	}
	return reason, nil
}
