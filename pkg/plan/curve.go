package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

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
