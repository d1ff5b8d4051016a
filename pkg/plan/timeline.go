package plan

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// timeline lays out the steps. A wave begins when in the one before all are ready that
// will be.
type timeline struct {
	*Planner
	workloads workloads
	// started is when in the wave the last pod of an ordered StatefulSet is ready.
	started map[owner.Ref]time.Duration
	came    map[types.UID]*step
	steps   []*step
}

// timeline is what becomes ready and ceases to be, in order; of what happens at one
// time, losses come first.
func (p *Planner) timeline(known workloads) []*step {
	t := &timeline{Planner: p, workloads: known, came: map[types.UID]*step{}}
	last := 0
	moves, arrivals := map[int][]*move{}, map[int][]*arrival{}
	for _, m := range p.moves {
		moves[m.wave] = append(moves[m.wave], m)
		last = max(last, m.wave)
	}
	for _, a := range p.arrivals {
		arrivals[a.wave] = append(arrivals[a.wave], a)
		last = max(last, a.wave)
	}
	var begin time.Duration
	for wave := range last + 1 {
		begin += t.add(begin, moves[wave], arrivals[wave])
	}
	slices.SortStableFunc(t.steps, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.wave, b.wave), cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta))
	})
	return t.steps
}

// add lays out a wave that begins at a time, and says how long it takes.
func (t *timeline) add(begin time.Duration, moves []*move, arrivals []*arrival) (length time.Duration) {
	t.started = map[owner.Ref]time.Duration{}
	slices.SortStableFunc(arrivals, func(a, b *arrival) int { return cmp.Compare(ordinal(a.pod), ordinal(b.pod)) })
	for _, a := range arrivals {
		if m := t.replaced[a.pod.UID]; m != nil && !m.fit {
			continue // As little is known of it as of the one before.
		}
		at := t.readyAt(a)
		length = max(length, at)
		t.came[a.pod.UID] = &step{pod: a.pod, delta: 1, wave: a.wave, at: at, total: begin + at}
		t.steps = append(t.steps, t.came[a.pod.UID])
	}
	for _, m := range moves {
		length = max(length, m.at)
		t.lose(m, begin)
	}
	return length
}

// lose adds that a pod ceases to be ready, or, if it is not by then, that it never is.
func (t *timeline) lose(m *move, begin time.Duration) {
	came := t.came[m.pod.UID]
	switch {
	case snapshot.Mirror(m.pod) || came == nil && !snapshot.Healthy(m.pod):
	case came != nil && came.wave == m.wave && came.at >= m.at:
		came.delta = 0
	default:
		t.steps = append(t.steps, &step{pod: m.pod, delta: -1, wave: m.wave, at: m.at, total: begin + m.at, move: m})
	}
}

// readyAt is when a pod is ready, after the taints of the wave in which it gets its
// node. What got one before any change is taken to be ready then.
func (t *timeline) readyAt(a *arrival) time.Duration {
	if a.wave == 0 {
		return 0
	}
	at := a.at
	if m := t.replaced[a.pod.UID]; m != nil && m.wave == a.wave {
		pause, _ := t.controllers.pause(m.pod)
		at = max(at, m.at+pause)
	}
	controller := owner.Of(a.pod)
	_, ordered := t.controllers.ordered[controller]
	if ordered {
		at = max(at, t.started[controller])
	}
	at += t.workloads.of(a.pod).startTime()
	t.started[controller] = at
	return at
}
