package rig

import (
	"fmt"
	"time"

	"k8s.io/utils/clock"
)

// Clock started with the wall clock at Epoch and runs Rate times as fast.
type Clock struct {
	Epoch time.Time
	Rate  float64
}

// Now is the clock's time.
func (c Clock) Now() time.Time {
	return c.Epoch.Add(time.Duration(float64(time.Since(c.Epoch)) * c.Rate))
}

// Since is how long ago t was, by the clock.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Wall is how long it takes until d has passed by the clock.
func (c Clock) Wall(d time.Duration) time.Duration { return time.Duration(float64(d) / c.Rate) }

// MarshalText writes the clock for another process of this machine.
func (c Clock) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d %g", c.Epoch.UnixNano(), c.Rate), nil
}

// UnmarshalText reads what MarshalText wrote.
func (c *Clock) UnmarshalText(text []byte) error {
	var epoch int64
	if _, err := fmt.Sscanf(string(text), "%d %g", &epoch, &c.Rate); err != nil {
		return fmt.Errorf("clock %q: want its epoch in nanoseconds and its rate: %w", text, err)
	}
	c.Epoch = time.Unix(0, epoch)
	return nil
}

// scaled is a Clock with what waits by it. What a channel delivers is the wall clock's time.
type scaled struct{ Clock }

var _ clock.WithTicker = scaled{}

func (s scaled) After(d time.Duration) <-chan time.Time { return time.After(s.Wall(d)) }

func (s scaled) Sleep(d time.Duration) { time.Sleep(s.Wall(d)) }

func (s scaled) NewTimer(d time.Duration) clock.Timer {
	return scaledTimer{Timer: clock.RealClock{}.NewTimer(s.Wall(d)), clock: s.Clock}
}

func (s scaled) NewTicker(d time.Duration) clock.Ticker {
	return clock.RealClock{}.NewTicker(max(1, s.Wall(d)))
}

func (s scaled) Tick(d time.Duration) <-chan time.Time { return s.NewTicker(d).C() }

// scaledTimer is reset by the clock too.
type scaledTimer struct {
	clock.Timer
	clock Clock
}

func (t scaledTimer) Reset(d time.Duration) bool { return t.Timer.Reset(t.clock.Wall(d)) }
