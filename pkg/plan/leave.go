package plan

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// move is a pod that leaves its node.
func (p *Planner) move(pod *corev1.Pod, now point, eviction taint.Eviction, by *corev1.Pod) *move {
	m := &move{pod: pod, wave: now.wave, at: now.at, eviction: eviction, by: by, marks: p.marks(pod, eviction)}
	if earlier := p.replaced[pod.UID]; earlier != nil {
		m.fit = earlier.fit
	} else {
		m.fit = snapshot.Healthy(pod) || p.newcomer(pod)
	}
	return m
}

// leave takes a pod off its node. A static pod stays: only its image goes.
func (p *Planner) leave(m *move) error {
	if m.by == nil && !snapshot.Mirror(m.pod) {
		if err := p.sim.Evict(m.pod); err != nil {
			return err
		}
	}
	put(&p.undo, p.gone, m.pod.UID, true)
	set(&p.undo, &p.moves, append(p.moves, m))
	p.controllers.leave(m)
	return nil
}

// endJob deletes what is left of a Job that has failed.
func (p *Planner) endJob(now point, job owner.Ref) error {
	for _, pod := range slices.Backward(p.controllers.jobPods[job]) {
		if m := p.replaced[pod.UID]; m != nil && m.node == "" {
			set(&p.undo, &m.replacement, nil)
			set(&p.undo, &m.marks, without(m.marks, report.MarkUnknownScheduler))
		}
		if p.gone[pod.UID] || !active(pod) {
			continue
		}
		if pod.Spec.NodeName == "" {
			put(&p.undo, p.gone, pod.UID, true)
			continue
		}
		if err := p.leave(p.move(pod, now, taint.Eviction{}, nil)); err != nil {
			return err
		}
	}
	set(&p.undo, &p.waiting, slices.DeleteFunc(slices.Clone(p.waiting), func(pod *corev1.Pod) bool { return p.gone[pod.UID] }))
	return nil
}

// replace lets the controllers of pods that have left act: what they make at once,
// and what only when the pod is gone or after a pause.
func (p *Planner) replace(now point, left []*move) (prompt, late []*corev1.Pod, err error) {
	for _, m := range left {
		if m.marked(report.MarkJobFails) {
			if err := p.endJob(now, owner.Of(m.pod)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, m := range left {
		replaces, surplus := p.controllers.replaces(m.pod, p.node(m.pod.Spec.NodeName))
		if surplus {
			p.mark(m, report.MarkSurplus)
		}
		if !replaces {
			continue
		}
		if m.replacement, err = p.explainer.Owners().Replacement(m.pod); err != nil {
			return nil, nil, err
		}
		put(&p.undo, p.replaced, m.replacement.UID, m)
		made := p.controllers.create(m)
		if p.foreign(m.replacement) {
			p.mark(m, report.MarkUnknownScheduler)
			continue
		}
		if !made {
			continue
		}
		if _, waits := p.controllers.pause(m.pod); waits {
			late = append(late, m.replacement)
		} else {
			prompt = append(prompt, m.replacement)
		}
	}
	return prompt, late, nil
}
