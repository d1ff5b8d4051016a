package quota_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// The keys of a group in benchmarks: the specification's example.
func manyKeys() []string {
	return []string{
		"limits.cpu", "100k", "limits.cpu.A4", "40k", "limits.memory", "640Ti", "requests.nvidia.com/gpu", "8k", "requests.nvidia.com/gpu.A30", "2k",
		"pods", "50k", "cash/limits.cpu", "100k", "cash/requests.nvidia.com/gpu.A30", "1k",
	}
}

func BenchmarkCheckWorkload(b *testing.B) {
	w := deployment(b, "nlp", 10, pod(list("cpu", "2", "memory", "4Gi", "nvidia.com/gpu", "1")))
	w.Models = workload.Models{CPU: "A4", GPU: "A30"}
	siblings := []*quota.Group{newGroup("ai", "", list(manyKeys()...)), newGroup("nlp", "ai", list(manyKeys()...))}
	for i := range 100 {
		siblings = append(siblings, newGroup("sibling-"+strconv.Itoa(i), "ai", list(manyKeys()...)))
	}
	tree := quota.NewTree(siblings)
	b.Run("allowed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !tree.CheckWorkload(quota.Change{New: w}).Allowed {
				b.Fatal("refused")
			}
		}
	})
	b.Run("deep", func(b *testing.B) { // as the webhook judges: by the group and those above it
		line := []*quota.Group{newGroup("nlp", "level-0", list(manyKeys()...))}
		for i := range 6 {
			line = append(line, newGroup("level-"+strconv.Itoa(i), "level-"+strconv.Itoa(i+1), list(manyKeys()...)))
		}
		b.ReportAllocs()
		for b.Loop() {
			if !quota.NewTree(line).CheckWorkload(quota.Change{New: w}).Allowed {
				b.Fatal("refused")
			}
		}
	})
	b.Run("refused", func(b *testing.B) {
		large := scaled(w, 100_000)
		b.ReportAllocs()
		for b.Loop() {
			if tree.CheckWorkload(quota.Change{New: large}).Allowed {
				b.Fatal("allowed")
			}
		}
	})
}

func BenchmarkSettle(b *testing.B) {
	group := newGroup("nlp", "", list(manyKeys()...))
	amounts := quota.Charge(deployment(b, "nlp", 10, pod(list("cpu", "2", "memory", "4Gi"))), quota.Options{})
	versions := map[types.UID]string{}
	for i := range 1000 {
		reserve(group, fmt.Sprintf("request-%d", i), fmt.Sprintf("object-%d", i), "100", amounts)
		versions[types.UID(fmt.Sprintf("object-%d", i))] = strconv.Itoa(100 + i%2) // every other one has ended
	}
	seen := quota.Seen{
		Self: amounts, Versions: map[string]string{"deployments.apps": "1000"},
		Version: func(uid types.UID) string { return versions[uid] },
	}
	b.ReportAllocs()
	for b.Loop() {
		if status := quota.Settle(group, seen, metav1.NewTime(monday)); len(status.Reservations) != 500 {
			b.Fatalf("%d reservations", len(status.Reservations))
		}
	}
}

func BenchmarkSelfUsed(b *testing.B) {
	ix := quota.NewIndex(table)
	workloads := make([]*workload.Workload, 10_000)
	one := deployment(b, "nlp", 10, pod(list("cpu", "2", "memory", "4Gi", "nvidia.com/gpu", "1")))
	for i := range workloads {
		workloads[i] = with(one, func(w *workload.Workload) { w.UID = types.UID(strconv.Itoa(i)) })
		ix.Put(workloads[i])
	}
	group := newGroup("nlp", "", list(manyKeys()...))
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			ix := quota.NewIndex(table)
			for _, w := range workloads {
				ix.Put(w)
			}
			b.StartTimer()
			ix.SelfUsed(group)
		}
	})
	b.Run("again", func(b *testing.B) {
		ix.SelfUsed(group)
		b.ReportAllocs()
		for b.Loop() {
			ix.SelfUsed(group)
		}
	})
}

// BenchmarkNewTree builds the tree of 10,000 groups, 6 deep.
func BenchmarkNewTree(b *testing.B) {
	var groups []*quota.Group
	level := []string{""}
	for depth := 1; depth <= 6 && len(groups) < 10_000; depth++ {
		var next []string
		for _, parent := range level {
			for range 5 {
				name := fmt.Sprintf("group-%d", len(groups))
				groups = append(groups, newGroup(name, parent, list("limits.cpu", "10", "pods", "100")))
				next = append(next, name)
			}
		}
		level = next
	}
	groups = groups[:10_000]
	b.ReportAllocs()
	for b.Loop() {
		if tree := quota.NewTree(groups); len(tree.Roots()) != 5 {
			b.Fatal("no 5 roots")
		}
	}
}

func BenchmarkAccrue(b *testing.B) {
	runs := make([]quota.Run, 10_000)
	for i := range runs {
		runs[i] = quota.Run{Charge: list("limits.cpu", "2", "requests.nvidia.com/gpu.A30", "1"), From: monday}
	}
	group := newGroup("nlp", "", list(manyKeys()...))
	group.Status.SelfUsed["cash/limits.cpu"] = resource.MustParse("123456789n")
	b.ReportAllocs()
	for b.Loop() {
		quota.Accrue(group.DeepCopy(), runs, at(30*time.Second))
	}
}
