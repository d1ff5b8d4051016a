package plan

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// workloadKey names a workload, as Kind/name.
type workloadKey struct{ namespace, workload string }

func (k workloadKey) compare(other workloadKey) int {
	return cmp.Or(cmp.Compare(k.namespace, other.namespace), cmp.Compare(k.workload, other.workload))
}

// standing is how a workload stands before the change.
type standing struct {
	ready int32
	// starts are how long its ready pods needed to become so, in order; assumed is what
	// a pod is taken to need where none of them says.
	starts  []time.Duration
	assumed time.Duration
}

// startTime is the median of what the pods needed; of an even number of them the
// longer of the two in the middle.
func (s *standing) startTime() time.Duration {
	if len(s.starts) == 0 {
		return s.assumed
	}
	return s.starts[len(s.starts)/2]
}

// workloads are those with pods in a snapshot.
type workloads struct {
	planner *Planner
	all     map[workloadKey]*standing
}

func (p *Planner) workloads() workloads {
	w := workloads{planner: p, all: map[workloadKey]*standing{}}
	for _, pod := range p.snap.Pods {
		if !snapshot.Healthy(pod) {
			continue
		}
		s := w.of(pod)
		s.ready++
		if start, known := startTime(pod); known {
			s.starts = append(s.starts, start)
		}
	}
	for _, s := range w.all {
		slices.Sort(s.starts)
	}
	return w
}

func (w workloads) key(pod *corev1.Pod) workloadKey {
	return workloadKey{pod.Namespace, w.planner.workload(pod)}
}

// of is the standing of a pod's workload.
func (w workloads) of(pod *corev1.Pod) *standing { return w.get(w.key(pod)) }

func (w workloads) get(key workloadKey) *standing {
	if w.all[key] == nil {
		w.all[key] = &standing{assumed: w.planner.opts.StartTime}
	}
	return w.all[key]
}

// startTime is how long a pod needed from getting its node to being ready.
func startTime(pod *corev1.Pod) (start time.Duration, known bool) {
	bound, known := snapshot.BoundAt(pod)
	for _, c := range pod.Status.Conditions {
		if ready := c.LastTransitionTime; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && !ready.IsZero() {
			return ready.Sub(bound), known && !ready.Time.Before(bound)
		}
	}
	return 0, false
}
