package webhook

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The verdicts that admissions are counted by.
const (
	verdictAllowed = "allowed"
	verdictRefused = "refused"
	verdictError   = "error"
	verdictSkipped = "skipped"
)

// meters are a room's metrics of its answers.
type meters struct {
	admissions *prometheus.CounterVec
	duration   *prometheus.HistogramVec
}

func newMeters(room string) *meters {
	return &meters{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stowage_" + room + "_admissions_total",
			Help: "Admission requests judged, by verdict: allowed, refused, error (not judged in time), skipped (nothing to charge).",
		}, []string{"resource", "operation", "verdict"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stowage_" + room + "_admission_duration_seconds",
			Help:    "Time that an admission request took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"resource"}),
	}
}

func (m *meters) register(registry prometheus.Registerer) error {
	return errors.Join(registry.Register(m.admissions), registry.Register(m.duration))
}
