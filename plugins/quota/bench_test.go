package quota_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// BenchmarkTree prints the tree of 10,000 groups in depth 6 from a dump.
func BenchmarkTree(b *testing.B) {
	dump := filepath.Join(b.TempDir(), "groups.json")
	f, err := os.Create(dump)
	if err != nil {
		b.Fatal(err)
	}
	if err := snapshot.Write(f, build.Snapshot(manyGroups(10_000, 6)...), snapshot.Format{JSON: true}); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for _, output := range []string{"", "wide", "json"} {
		b.Run("output="+output, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plugin().Run(b, "", "tree", "--snapshot", dump, "-o", output)
			}
		})
	}
}

// manyGroups are n groups in a tree of that depth, in which each group but those at
// the bottom has as many children as it takes.
func manyGroups(n, depth int) []snapshot.Object {
	fanOut := 1
	for size := 0; size < n; fanOut++ {
		size = 0
		for level, width := 0, 1; level < depth; level, width = level+1, width*fanOut {
			size += width
		}
	}
	var groups []snapshot.Object
	for i := range n {
		parent := ""
		if i > 0 {
			parent = fmt.Sprintf("group-%05d", (i-1)/(fanOut-1))
		}
		groups = append(groups, build.BizGroup(fmt.Sprintf("group-%05d", i), parent).
			Hard("limits.cpu=100,limits.memory=64Gi,requests.nvidia.com/gpu=8,cash/limits.cpu=1000").
			Used(fmt.Sprintf("limits.cpu=%d,limits.memory=%dGi,requests.nvidia.com/gpu=%d,cash/limits.cpu=%d", i%110, i%64, i%9, i%1000)).
			SelfUsed("limits.cpu=1,limits.memory=1Gi,requests.nvidia.com/gpu=1,cash/limits.cpu=1").Obj())
	}
	return groups
}
