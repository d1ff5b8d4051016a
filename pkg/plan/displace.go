package plan

import (
	"cmp"
	"context"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// move is one pod that leaves its node, and what comes in its stead.
type move struct {
	pod *corev1.Pod
	// wave counts from 1; at is the time after its taints.
	wave int
	at   time.Duration
	// eviction is why it leaves: a taint evicts it, or else by preempts it, or else its
	// Job has failed and deletes it.
	eviction taint.Eviction
	by       *corev1.Pod
	marks    []report.Mark
	// replacement is what its controller makes instead, nil for nothing; node is where
	// that goes, empty for nowhere, and reason why.
	replacement *corev1.Pod
	node        string
	reason      string
	// fit says that the pod is ready, or was about to be.
	fit bool
}

func (m *move) marked(mark report.Mark) bool { return slices.Contains(m.marks, mark) }

// moment is a time after the taints of a wave.
type moment struct {
	wave int
	at   time.Duration
}

// wave taints nodes, and lets happen what then does.
func (p *Planner) wave(ctx context.Context, number int, nodes []*tainted) error {
	var leaving []*move
	for _, node := range nodes {
		if err := p.sim.SetNode(node.after); err != nil {
			return err
		}
		leaving = append(leaving, p.leaving(number, node)...)
	}
	slices.SortFunc(leaving, func(a, b *move) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	daemons, err := p.startDaemons(nodes)
	if err != nil {
		return err
	}
	if err := p.place(ctx, moment{wave: number}, append(p.admitted(nodes), daemons...), nil); err != nil {
		return err
	}
	for len(leaving) > 0 {
		batch := 1
		for batch < len(leaving) && leaving[batch].at == leaving[0].at {
			batch++
		}
		if err := p.evict(ctx, leaving[:batch]); err != nil {
			return err
		}
		leaving = leaving[batch:]
	}
	p.progress(len(p.moves))
	return nil
}

// leaving are the pods that are evicted from a node by its new taints.
func (p *Planner) leaving(wave int, node *tainted) []*move {
	var leaving []*move
	for _, pod := range p.on[node.before.Name] {
		if p.gone[pod.UID] {
			continue
		}
		if eviction := p.eviction(pod, node); eviction.Evicted {
			leaving = append(leaving, p.move(pod, moment{wave, eviction.After}, eviction, nil))
		}
	}
	return leaving
}

// move is a pod that leaves its node.
func (p *Planner) move(pod *corev1.Pod, now moment, eviction taint.Eviction, by *corev1.Pod) *move {
	m := &move{pod: pod, wave: now.wave, at: now.at, eviction: eviction, by: by, marks: p.marks(pod, eviction)}
	if earlier := p.replaced[pod.UID]; earlier != nil {
		m.fit = earlier.fit
	} else {
		m.fit = ready(pod) || p.newcomer(pod)
	}
	return m
}

// eviction says whether and when the change of a node evicts a pod on it. What the
// taint-eviction controller leaves for a while, the DaemonSet controller may not: it goes
// by the tolerations of the set's template.
func (p *Planner) eviction(pod *corev1.Pod, node *tainted) taint.Eviction {
	before := node.before.Spec.Taints
	if p.newcomer(pod) {
		before = nil // It has not been counted down.
	}
	eviction := taint.Evict(pod, before, node.after.Spec.Taints, p.now)
	if set, ok := p.owners.Controller(pod).(*appsv1.DaemonSet); ok && keeps(set, node.before) && !keeps(set, node.after) {
		return taint.Eviction{Evicted: true}
	}
	return eviction
}

// newcomer says whether a pod is on another node than in the snapshot, or not in it.
func (p *Planner) newcomer(pod *corev1.Pod) bool {
	known := p.snap.Pod(pod.Namespace, pod.Name)
	return known == nil || known.UID != pod.UID || known.Spec.NodeName == ""
}

// keeps says whether the DaemonSet controller leaves a pod that runs on the node:
// taints that only keep pods away do not count.
func keeps(set *appsv1.DaemonSet, node *corev1.Node) bool {
	evicting := *node
	evicting.Spec.Taints = slices.DeleteFunc(slices.Clone(node.Spec.Taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
	return workload.Eligible(&set.Spec.Template, &evicting)
}

// evict lets pods go at one time, and places what comes in their stead.
func (p *Planner) evict(ctx context.Context, batch []*move) error {
	now := moment{batch[0].wave, batch[0].at}
	var left []*move
	for _, m := range batch {
		if p.gone[m.pod.UID] {
			continue // It has been preempted, or its Job has failed.
		}
		if err := p.leave(m); err != nil {
			return err
		}
		left = append(left, m)
	}
	prompt, late, err := p.replace(now, left)
	if err != nil {
		return err
	}
	return p.place(ctx, now, append(p.helped(left), prompt...), late)
}

// leave takes a pod off its node. A static pod stays: only its image goes.
func (p *Planner) leave(m *move) error {
	if m.by == nil && !snapshot.Mirror(m.pod) {
		if err := p.sim.Evict(m.pod); err != nil {
			return err
		}
	}
	put(&p.log, p.gone, m.pod.UID, true)
	set(&p.log, &p.moves, append(p.moves, m))
	p.controllers.leave(m)
	return nil
}

// replace lets the controllers of pods that have left act: what they make at once,
// and what only when the pod is gone or after a pause.
func (p *Planner) replace(now moment, left []*move) (prompt, late []*corev1.Pod, err error) {
	for _, m := range left {
		if m.marked(report.MarkJobFails) {
			if err := p.endJob(now, controllerOf(m.pod)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, m := range left {
		if !p.controllers.replaces(m, p.node(m.pod.Spec.NodeName)) {
			continue
		}
		if m.replacement, err = p.successor(m.pod); err != nil {
			return nil, nil, err
		}
		put(&p.log, p.replaced, m.replacement.UID, m)
		made := p.controllers.make(m)
		if p.foreign(m.replacement) {
			p.mark(m, report.MarkUnknownScheduler)
			continue
		}
		if !made {
			continue
		}
		switch controllerOf(m.pod).Kind {
		case "StatefulSet", "DaemonSet", "Job":
			late = append(late, m.replacement)
		default:
			prompt = append(prompt, m.replacement)
		}
	}
	return prompt, late, nil
}

// endJob deletes what is left of a Job that has failed.
func (p *Planner) endJob(now moment, job controller) error {
	for _, pod := range slices.Backward(p.controllers.jobPods[job]) {
		if m := p.replaced[pod.UID]; m != nil && m.node == "" {
			set(&p.log, &m.replacement, nil)
			set(&p.log, &m.marks, without(m.marks, report.MarkUnknownScheduler))
		}
		if p.gone[pod.UID] || !active(pod) {
			continue
		}
		if pod.Spec.NodeName == "" {
			put(&p.log, p.gone, pod.UID, true)
			continue
		}
		if err := p.leave(p.move(pod, now, taint.Eviction{}, nil)); err != nil {
			return err
		}
	}
	set(&p.log, &p.waiting, slices.DeleteFunc(slices.Clone(p.waiting), func(pod *corev1.Pod) bool { return p.gone[pod.UID] }))
	return nil
}

// progress tells that so many of the evictions have been worked out. Waves that are
// tried do not count.
func (p *Planner) progress(done int) {
	if done = min(done, p.total); p.opts.Progress != nil && !p.trying && done > p.told {
		p.told = done
		p.opts.Progress(done, p.total)
	}
}
