package print

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Time writes an instant in UTC, so that two people read the same text.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Age writes how long ago t was, as kubectl does ("5m", "3d4h"); "<unknown>" for
// a zero time on either side.
func Age(t, now time.Time) string {
	if t.IsZero() || now.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(t))
}
