package snapshot

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// LastSeen is when what an event tells of was last seen: of a series, of those written in
// the old way and in the new, and at least when the event was made.
func LastSeen(event *corev1.Event) time.Time {
	switch {
	case event.Series != nil && !event.Series.LastObservedTime.IsZero():
		return event.Series.LastObservedTime.Time
	case !event.LastTimestamp.IsZero():
		return event.LastTimestamp.Time
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	}
	return event.CreationTimestamp.Time
}
