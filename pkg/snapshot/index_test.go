package snapshot_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func TestCluster(t *testing.T) {
	system := build.Namespace("kube-system", "")
	for want, namespace := range map[types.UID]*corev1.Namespace{system.UID: system, "": build.Namespace("other", "")} {
		if got := build.Snapshot(namespace).Cluster(); got != want {
			t.Errorf("cluster of a snapshot with namespace %s: %q, want %q", namespace.Name, got, want)
		}
	}
}
