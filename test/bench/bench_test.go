package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/fleet"
)

// source is a fleet to measure on, made on its first use.
type source struct {
	name string
	make func() (*snapshot.Snapshot, error)
}

func newSource(name string, draw func() (*fleet.Fleet, error)) source {
	return source{name, sync.OnceValues(func() (*snapshot.Snapshot, error) {
		f, err := draw()
		if err != nil {
			return nil, err
		}
		return Snapshot(f)
	})}
}

// sources are shared by the benchmarks: making one takes longer than most of them.
var sources = []source{
	newSource("generated", Generated),
	newSource("openb", func() (*fleet.Fleet, error) { return OpenB(context.Background(), "../..") }),
}

// onEach runs a benchmark on every fleet.
func onEach(b *testing.B, run func(b *testing.B, snap *snapshot.Snapshot)) {
	for _, s := range sources {
		b.Run(s.name, func(b *testing.B) {
			snap, err := s.make()
			if errors.Is(err, fleet.ErrNoTrace) {
				b.Skip(err)
			}
			if err != nil {
				b.Fatal(err)
			}
			run(b, snap)
		})
	}
}

// onPods runs a benchmark on the first pending pod of each priority, as that
// decides on whether there is anything to preempt.
func onPods(b *testing.B, run func(b *testing.B, snap *snapshot.Snapshot, pod *corev1.Pod)) {
	onEach(b, func(b *testing.B, snap *snapshot.Snapshot) {
		seen := map[string]bool{}
		for _, pod := range snap.PendingPods("") {
			class := pod.Spec.PriorityClassName
			if class == "" {
				class = "default"
			}
			if !seen[class] {
				seen[class] = true
				b.Run(class, func(b *testing.B) { run(b, snap, pod) })
			}
		}
	})
}

// alternate times measured in alternation with floor. It reports the median of the
// ratios under the unit given, and the processor time of measured, which says more
// than wall time on a machine that does other things too.
func alternate(b *testing.B, unit string, measured, floor func() error) {
	b.Helper()
	b.ReportAllocs()
	timed := func(f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var ratios []float64
	var used time.Duration
	for b.Loop() {
		before := processorTime(b)
		took := timed(measured)
		used += processorTime(b) - before
		b.StopTimer()
		ratios = append(ratios, took.Seconds()/timed(floor).Seconds())
		b.StartTimer()
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], unit)
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// processorTime is what this process has used so far, on all cores.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkMatrix is every filter on every node for one pod, against upstream's own
// evaluation of the same nodes, which stops at a node's first failure.
func BenchmarkMatrix(b *testing.B) {
	onPods(b, func(b *testing.B, snap *snapshot.Snapshot, pod *corev1.Pod) {
		engine := newEngine(b, snap)
		defer engine.Close()
		alternate(b, "x-first-failure",
			func() error { return evaluate(b, engine, pod) },
			func() error {
				_, err := engine.FitsOn(b.Context(), pod, nil)
				return err
			})
	})
}

// BenchmarkFirstMatrix is the same from a snapshot, so with making the engine,
// against the matrix alone.
func BenchmarkFirstMatrix(b *testing.B) {
	onPods(b, func(b *testing.B, snap *snapshot.Snapshot, pod *corev1.Pod) {
		ready := newEngine(b, snap)
		defer ready.Close()
		alternate(b, "x-matrix",
			func() error {
				engine := newEngine(b, snap)
				defer engine.Close()
				defer engine.Close()
				return evaluate(b, engine, pod)
			},
			func() error { return evaluate(b, ready, pod) })
	})
}

// BenchmarkPreempt is the dry run of preemption.
func BenchmarkPreempt(b *testing.B) {
	onPods(b, func(b *testing.B, snap *snapshot.Snapshot, pod *corev1.Pod) {
		engine := newEngine(b, snap)
		defer engine.Close()
		verdict, err := engine.Evaluate(b.Context(), pod)
		if err != nil {
			b.Fatal(err)
		}
		alternate(b, "x-matrix",
			func() error {
				_, err := engine.Preempt(b.Context(), verdict)
				return err
			},
			func() error { return evaluate(b, engine, pod) })
	})
}

// explaining asks something of an explainer of its own, as a command does.
func explaining(b *testing.B, snap *snapshot.Snapshot, ask func(*explain.Explainer) error) error {
	explainer, err := explain.New(b.Context(), snap, explain.Options{Remedies: true})
	if err != nil {
		return err
	}
	defer explainer.Close()
	return ask(explainer)
}

// BenchmarkPod is all that the command does for one pod after the load: the
// matrix, the causes, preemption and the search for remedies.
func BenchmarkPod(b *testing.B) {
	onPods(b, func(b *testing.B, snap *snapshot.Snapshot, pod *corev1.Pod) {
		engine := newEngine(b, snap)
		defer engine.Close()
		alternate(b, "x-matrix",
			func() error {
				return explaining(b, snap, func(explainer *explain.Explainer) error {
					_, err := explainer.Pod(b.Context(), pod)
					return err
				})
			},
			func() error { return evaluate(b, engine, pod) })
	})
}

// BenchmarkAll is the same for every pending pod (--all), per pod in the ratio.
func BenchmarkAll(b *testing.B) {
	onEach(b, func(b *testing.B, snap *snapshot.Snapshot) {
		pods := snap.PendingPods("")
		engine := newEngine(b, snap)
		defer engine.Close()
		alternate(b, "x-matrix",
			func() error {
				return explaining(b, snap, func(explainer *explain.Explainer) error {
					answer, err := explainer.All(b.Context(), pods)
					if err == nil {
						checkUnschedulable(b, answer)
					}
					return err
				})
			},
			func() error { return evaluate(b, engine, pods[0]) })
		b.ReportMetric(float64(len(pods)), "pods")
	})
}

// BenchmarkRead reads a dump of 5,000 pods, against decoding the same text into
// untyped values.
func BenchmarkRead(b *testing.B) {
	f, err := fleet.Generate(fleet.Options{Seed: 1, Nodes: 500, Pods: 5000, Bound: 0.9})
	if err != nil {
		b.Fatal(err)
	}
	snap, err := Snapshot(f)
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		format snapshot.Format
		plain  snapshot.Format // what the floor decodes
		decode func(data []byte, v any) error
	}{
		{"YAML", snapshot.Format{}, snapshot.Format{}, func(data []byte, v any) error { return yaml.Unmarshal(data, v) }},
		{"JSON", snapshot.Format{JSON: true}, snapshot.Format{JSON: true}, json.Unmarshal},
		{"JSON.gz", snapshot.Format{JSON: true, Gzip: true}, snapshot.Format{JSON: true}, json.Unmarshal},
	} {
		b.Run(tc.name, func(b *testing.B) {
			dump, plain := written(b, snap, tc.format), written(b, snap, tc.plain)
			alternate(b, "x-untyped",
				func() error {
					_, err := snapshot.Read("dump", bytes.NewReader(dump))
					return err
				},
				func() error {
					var untyped any
					return tc.decode(plain, &untyped)
				})
			b.SetBytes(int64(len(plain)))
		})
	}
}

func newEngine(b *testing.B, snap *snapshot.Snapshot) *predicate.Engine {
	b.Helper()
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		b.Fatal(err)
	}
	engine, err := predicate.New(b.Context(), snap, config)
	if err != nil {
		b.Fatal(err)
	}
	return engine
}

// evaluate fails when the pod fits: then there is little to do.
func evaluate(b *testing.B, engine *predicate.Engine, pod *corev1.Pod) error {
	verdict, err := engine.Evaluate(b.Context(), pod)
	if err != nil {
		return err
	}
	if verdict.Err != nil || verdict.Schedulable() {
		b.Fatalf("pod %s/%s: fits or cannot be told (%v), want one that does not fit", pod.Namespace, pod.Name, verdict.Err)
	}
	return nil
}

// checkUnschedulable fails when a pod fits.
func checkUnschedulable(b *testing.B, answer *report.PendingReport) {
	b.Helper()
	for _, item := range answer.Items {
		if item.Verdict != report.VerdictUnschedulable {
			b.Fatalf("pod %s/%s is %s, want %s", item.Namespace, item.Name, item.Verdict, report.VerdictUnschedulable)
		}
	}
}

func written(b *testing.B, snap *snapshot.Snapshot, format snapshot.Format) []byte {
	b.Helper()
	var text bytes.Buffer
	if err := snapshot.Write(&text, snap, format); err != nil {
		b.Fatal(err)
	}
	return text.Bytes()
}
