package quota

import (
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// meters are the controller's metrics. Those of one group go with it.
type meters struct {
	used, hard, hoursLeft, drift *prometheus.GaugeVec
	conflicts                    prometheus.Counter
}

func newMeters(registry prometheus.Registerer) (*meters, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "stowage_quota_" + name, Help: help}, []string{"group", "key"})
	}
	m := &meters{
		used:      gauge("used", "What counts against a group's hard, in the resource's unit."),
		hard:      gauge("hard", "A group's hard, in the resource's unit."),
		hoursLeft: gauge("hours_left", "What a group has left of a cash key, in the resource's unit x hours."),
		drift:     gauge("ledger_drift", "A group's used in its ledger less what was counted anew; reservations that ended and objects that went since the last count are a passing drift."),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stowage_quota_count_conflicts_total", Help: "Writes of a count that an admission was ahead of, and that were done again.",
		}),
	}
	for _, collector := range []prometheus.Collector{m.used, m.hard, m.hoursLeft, m.drift, m.conflicts} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe shows a group as it was just counted.
func (m *meters) observe(group *quota.Group, drifts []quota.Drift) {
	m.forget(group.Name)
	for key, hard := range group.Spec.Hard {
		used := group.Status.Used[key]
		m.used.WithLabelValues(group.Name, string(key)).Set(number(used))
		m.hard.WithLabelValues(group.Name, string(key)).Set(number(hard))
		if quota.IsCash(key) {
			m.hoursLeft.WithLabelValues(group.Name, string(key)).Set(number(quota.Left(group, key)))
		} else {
			m.drift.WithLabelValues(group.Name, string(key)).Set(0)
		}
	}
	for _, drift := range drifts {
		m.drift.WithLabelValues(group.Name, string(drift.Key)).Set(number(drift.Ledger) - number(drift.Real))
	}
}

// forget drops what was shown of a group.
func (m *meters) forget(group string) {
	for _, vector := range []*prometheus.GaugeVec{m.used, m.hard, m.hoursLeft, m.drift} {
		vector.DeletePartialMatch(prometheus.Labels{"group": group})
	}
}

func number(quantity resource.Quantity) float64 { return quantity.AsApproximateFloat64() }

// conflictDelay is a short random while, so that writers of one group do not meet again.
func conflictDelay() time.Duration {
	return time.Duration(5+rand.IntN(20)) * time.Millisecond
}
