package snapshot_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// BenchmarkRead reads a dump of 10,000 pods.
func BenchmarkRead(b *testing.B) {
	var pods []snapshot.Object
	for i := range 10_000 {
		pods = append(pods, build.Pod("team", fmt.Sprintf("web-%05d", i)).Label("app", "web").Request("cpu=500m,memory=1Gi").
			Toleration("node.kubernetes.io/not-ready:NoExecute").Unschedulable("0/5 nodes are available: 5 Insufficient cpu.").Obj())
	}
	s := build.Snapshot(pods...)
	for name, format := range map[string]snapshot.Format{"YAML": {}, "JSON": {JSON: true}} {
		var dump bytes.Buffer
		if err := snapshot.Write(&dump, s, format); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(dump.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := snapshot.Read("bench", bytes.NewReader(dump.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
