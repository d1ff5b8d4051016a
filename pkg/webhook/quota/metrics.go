package quota

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the ledger's metrics.
type meters struct {
	conflicts prometheus.Counter
	unsettled prometheus.Counter
	batchSize prometheus.Histogram
	writes    prometheus.Counter
}

func newMeters() *meters {
	return &meters{
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
	for _, collector := range []prometheus.Collector{m.conflicts, m.unsettled, m.batchSize, m.writes} {
		errs = append(errs, registry.Register(collector))
	}
	return errors.Join(errs...)
}
