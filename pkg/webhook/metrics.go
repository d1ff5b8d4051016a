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

// meters are the package's metrics.
type meters struct {
	admissions *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	conflicts  prometheus.Counter
	unsettled  prometheus.Counter
	batchSize  prometheus.Histogram
	writes     prometheus.Counter
}

func newMeters() *meters {
	return &meters{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stowage_quota_admissions_total",
			Help: "Admission requests judged, by verdict: allowed, refused, error (not judged in time), skipped (nothing to charge).",
		}, []string{"resource", "operation", "verdict"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stowage_quota_admission_duration_seconds",
			Help:    "Time that an admission request took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"resource"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stowage_quota_ledger_conflicts_total",
			Help: "Writes of a group's ledger tried again because the group had changed.",
		}),
		unsettled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stowage_quota_ledger_unsettled_total",
			Help: "Requests whose time ran out before the ledger was written.",
		}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stowage_quota_ledger_batch_size",
			Help:    "Requests settled together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stowage_quota_ledger_writes_total",
			Help: "Writes of a group's ledger that succeeded.",
		}),
	}
}

func (m *meters) register(registry prometheus.Registerer) error {
	var errs []error
	for _, collector := range []prometheus.Collector{m.admissions, m.duration, m.conflicts, m.unsettled, m.batchSize, m.writes} {
		errs = append(errs, registry.Register(collector))
	}
	return errors.Join(errs...)
}
