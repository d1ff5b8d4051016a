package snapshot_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

func TestLastSeen(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	made := metav1.ObjectMeta{CreationTimestamp: metav1.Time{Time: at(1)}}
	for name, tc := range map[string]struct {
		event corev1.Event
		want  time.Time
	}{
		"a series": {corev1.Event{ObjectMeta: made, EventTime: metav1.MicroTime{Time: at(2)}, LastTimestamp: metav1.Time{Time: at(3)},
			Series: &corev1.EventSeries{LastObservedTime: metav1.MicroTime{Time: at(4)}}}, at(4)},
		"a series that does not say": {corev1.Event{ObjectMeta: made, LastTimestamp: metav1.Time{Time: at(3)}, Series: &corev1.EventSeries{}}, at(3)},
		"the old way":                {corev1.Event{ObjectMeta: made, EventTime: metav1.MicroTime{Time: at(2)}, LastTimestamp: metav1.Time{Time: at(3)}}, at(3)},
		"the new way":                {corev1.Event{ObjectMeta: made, EventTime: metav1.MicroTime{Time: at(2)}}, at(2)},
		"neither":                    {corev1.Event{ObjectMeta: made}, at(1)},
	} {
		if got := snapshot.LastSeen(&tc.event); !got.Equal(tc.want) {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
