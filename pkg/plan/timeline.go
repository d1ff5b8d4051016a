package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// arrival is a pod that gets a node: a replacement, or one that waited for a node.
type arrival struct {
	pod  *corev1.Pod
	node string
	// wave counts from 1; 0 is before any change. at is the time after the wave's
	// taints at which the pod gets its node.
	wave int
	at   time.Duration
}

// step is a pod that becomes ready (delta 1), or ceases to be (-1).
type step struct {
	pod   *corev1.Pod
	delta int32
	wave  int
	// at is the time after the taints of the wave, total that after those of the first.
	at, total time.Duration
	// move is what a pod ceases to be ready by.
	move *move
}

// timeline lays out the steps. A wave begins when in the one before all are ready that
// will be.
type timeline struct {
	*Planner
	workloads workloads
	// started is when in the wave the last pod of an ordered StatefulSet is ready.
	started map[controller]time.Duration
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
	t.started = map[controller]time.Duration{}
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
	case snapshot.Mirror(m.pod) || came == nil && !ready(m.pod):
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
		at = max(at, m.at+untilReplaced(m.pod))
	}
	owner := controllerOf(a.pod)
	_, ordered := t.controllers.ordered[owner]
	if ordered {
		at = max(at, t.started[owner])
	}
	at += t.workloads.of(a.pod).startTime()
	t.started[owner] = at
	return at
}

// untilReplaced is how long after its eviction a pod is replaced: the controllers of
// StatefulSets and DaemonSets wait until it is gone, which takes at most its grace
// period.
func untilReplaced(pod *corev1.Pod) time.Duration {
	switch controllerOf(pod).Kind {
	case "StatefulSet", "DaemonSet":
		grace := ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
		return time.Duration(grace) * time.Second
	}
	return 0
}

// ordinal is the number at the end of the name of a StatefulSet's pod; of all others 0.
func ordinal(pod *corev1.Pod) int {
	if controllerOf(pod).Kind != "StatefulSet" {
		return 0
	}
	number, err := strconv.Atoi(pod.Name[strings.LastIndex(pod.Name, "-")+1:])
	if err != nil {
		return 0
	}
	return number
}

// curve is how many of some pods are ready as time goes by.
type curve struct {
	before int32
	steps  []*step
}

// after is how many are ready when all is settled.
func (c *curve) after() int32 {
	count := c.before
	for _, s := range c.steps {
		count += s.delta
	}
	return count
}

// lowest is how few are ready at worst, and the first step to that; nil where there are
// never fewer than before.
func (c *curve) lowest() (lowest int32, first *step) {
	count := c.before
	lowest = count
	for _, s := range c.steps {
		if count += s.delta; count < lowest {
			lowest, first = count, s
		}
	}
	return lowest, first
}

// belowSeconds is for how long fewer are ready than desired: -1 when it stays so.
func (c *curve) belowSeconds(desired int32) int64 {
	var sum, since time.Duration
	count := c.before
	for _, s := range c.steps {
		below := count < desired
		count += s.delta
		switch {
		case !below && count < desired:
			since = s.total
		case below && count >= desired:
			sum += s.total - since
		}
	}
	if count < desired {
		return -1
	}
	return seconds(sum)
}

// breaking are the moves after which fewer are ready than desired.
func (c *curve) breaking(desired int32) []*move {
	var moves []*move
	count := c.before
	for _, s := range c.steps {
		if count += s.delta; s.delta < 0 && count < desired {
			moves = append(moves, s.move)
		}
	}
	return moves
}

// seconds rounds up: what is there for a moment is there for a second.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
