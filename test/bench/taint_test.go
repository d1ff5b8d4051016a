package bench

import (
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// services is the fleet of Services, with the nodes to taint.
type services struct {
	snap    *snapshot.Snapshot
	tainted []string
}

var servicesOnce = sync.OnceValues(func() (services, error) {
	snap, tainted, err := Services()
	return services{snap, tainted}, err
})

var maintenance = corev1.Taint{Key: "maintenance", Effect: corev1.TaintEffectNoExecute}

// BenchmarkTaintPlan plans a NoExecute taint on Tainted nodes, the engine included:
// all at once, and in waves in which no budget breaks.
func BenchmarkTaintPlan(b *testing.B) {
	for name, opts := range map[string]plan.Options{"at-once": {}, "auto-waves": {AutoWaves: true}} {
		b.Run(name, func(b *testing.B) {
			s, err := servicesOnce()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				planner, err := plan.New(b.Context(), s.snap, opts)
				if err != nil {
					b.Fatal(err)
				}
				p, err := planner.Plan(b.Context(), s.tainted, taint.Change{Add: []corev1.Taint{maintenance}})
				if err != nil {
					b.Fatal(err)
				}
				planner.Close()
				b.ReportMetric(float64(len(p.Evictions)), "evicted")
				b.ReportMetric(float64(len(p.Waves)), "waves")
			}
			b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkReplace is the placing of replacements alone: with Tainted nodes out of
// the way, all pods that were on them go to others, one after another.
func BenchmarkReplace(b *testing.B) {
	s, err := servicesOnce()
	if err != nil {
		b.Fatal(err)
	}
	engine := newEngine(b, s.snap)
	defer engine.Close()
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		simulation := simulate.New(engine)
		replacements := displace(b, simulation, s)
		placements, err := simulation.Schedule(b.Context(), replacements)
		if err != nil {
			b.Fatal(err)
		}
		placed := 0
		for _, placement := range placements {
			if placement.Node != "" {
				placed++
			}
		}
		b.ReportMetric(float64(placed), "placed")
		b.ReportMetric(float64(len(replacements)-placed), "pending")
		simulation.Undo()
	}
	b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// displace taints the nodes, evicts the pods on them and returns what is made in
// their stead.
func displace(b *testing.B, simulation *simulate.Simulation, s services) []*corev1.Pod {
	b.Helper()
	away := map[string]bool{}
	for _, name := range s.tainted {
		away[name] = true
		tainted := s.snap.Node(name).DeepCopy()
		tainted.Spec.Taints = append(tainted.Spec.Taints, maintenance)
		if err := simulation.SetNode(tainted); err != nil {
			b.Fatal(err)
		}
	}
	var replacements []*corev1.Pod
	for _, pod := range s.snap.Pods {
		if !away[pod.Spec.NodeName] {
			continue
		}
		if err := simulation.Evict(pod); err != nil {
			b.Fatal(err)
		}
		replacement := &corev1.Pod{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
		replacement.Name, replacement.UID, replacement.Spec.NodeName = pod.Name+"-new", pod.UID+"-new", ""
		replacements = append(replacements, replacement)
	}
	return replacements
}
