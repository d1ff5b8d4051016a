package simulate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func engine(t *testing.T, objects ...snapshot.Object) *predicate.Engine {
	t.Helper()
	return engineOf(t, inTree(t), objects...)
}

// inTree is the default configuration.
func inTree(t *testing.T) *predicate.Config {
	t.Helper()
	config, err := predicate.ParseConfig(nil, predicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func engineOf(t *testing.T, config *predicate.Config, objects ...snapshot.Object) *predicate.Engine {
	t.Helper()
	e, err := predicate.New(t.Context(), build.Snapshot(objects...), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func byName(pod *corev1.Pod) string { return pod.Name }

func TestPlaceAllFollowsTheQueueAndSeesEarlierPods(t *testing.T) {
	e := engine(t, build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj())
	pods := []*corev1.Pod{
		build.Pod("a", "low").Request("cpu=3").Obj(),
		build.Pod("a", "high").Request("cpu=3").Priority("high", 10).Obj(),
		build.Pod("a", "small").Request("cpu=1").Obj(),
	}
	s := simulate.New(e)
	nodes, err := s.PlaceAll(t.Context(), pods, byName)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "n", "n"}, nodes); diff != "" {
		t.Errorf("the high priority pod goes first and takes the low one's room (-want +got):\n%s", diff)
	}
	s.Undo()
	if fits, err := e.FitsOn(t.Context(), pods[0], nil); err != nil || len(fits) != 1 {
		t.Errorf("after Undo the pod fits on %v (%v), want the empty node", fits, err)
	}
}

// TestReserve: without it, two pods would be given the same volume, or device.
func TestReserve(t *testing.T) {
	for name, tc := range map[string]struct {
		objects []snapshot.Object
		pod     func(name string) *corev1.Pod
	}{
		"the only volume": {
			objects: []snapshot.Object{
				build.StorageClass("local", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer),
				build.PV("disk", "local", "10Gi", "example.com/disk", ""),
				build.PVC("a", "one", "local", "10Gi", ""), build.PVC("a", "two", "local", "10Gi", ""),
			},
			pod: func(name string) *corev1.Pod { return build.Pod("a", name).PVC(name).Obj() },
		},
		"the only device": {
			objects: []snapshot.Object{
				build.DeviceClass("gpu", "gpu.example.com"), build.ResourceSlice("n", "gpu.example.com", "gpu-0"),
				build.ResourceClaim("a", "one", "gpu", 1), build.ResourceClaim("a", "two", "gpu", 1),
			},
			pod: func(name string) *corev1.Pod { return build.Pod("a", name).ResourceClaim(name).Obj() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, append(tc.objects, build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj())...)
			s := simulate.New(e)
			pods := []*corev1.Pod{tc.pod("one"), tc.pod("two")}
			nodes, err := s.PlaceAll(t.Context(), pods, byName)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"n", ""}, nodes); diff != "" {
				t.Errorf("placements (-want +got):\n%s", diff)
			}
			s.Undo()
			if fits, err := e.FitsOn(t.Context(), pods[1], nil); err != nil || len(fits) != 1 {
				t.Errorf("after Undo the second pod fits on %v (%v), want n", fits, err)
			}
		})
	}
}
