package simulate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func node(name string) *build.NodeBuilder {
	return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10").Label(corev1.LabelHostname, name)
}

// schedule runs Schedule and returns "node", "" or "node < victims" for each pod.
func schedule(t *testing.T, s *simulate.Simulation, pods ...*corev1.Pod) []string {
	t.Helper()
	placements, err := s.Schedule(t.Context(), pods)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, p := range placements {
		if p.Pod.Name != pods[i].Name || p.Pod.Spec.NodeName != p.Node {
			t.Errorf("placement %d is of pod %s on %q, want %s on %q", i, p.Pod.Name, p.Pod.Spec.NodeName, pods[i].Name, p.Node)
		}
		text := p.Node
		for _, victim := range p.Victims {
			text += " < " + victim.Name
		}
		got = append(got, text)
	}
	return got
}

func TestSchedule(t *testing.T) {
	never := corev1.PreemptNever
	for name, tc := range map[string]struct {
		objects []snapshot.Object
		pods    []*corev1.Pod
		want    []string
	}{
		"by priority, then in the order given": {
			objects: []snapshot.Object{node("n").Obj()},
			pods: []*corev1.Pod{
				build.Pod("a", "first").Request("cpu=2").Obj(),
				build.Pod("a", "second").Request("cpu=2").Obj(),
				build.Pod("a", "high").Request("cpu=2").Priority("high", 10).Obj(),
			},
			want: []string{"n", "", "n"},
		},
		"to the emptier node": {
			objects: []snapshot.Object{node("m").Obj(), node("n").Obj(), build.Pod("a", "there").Request("cpu=2").Node("m").Obj()},
			pods:    []*corev1.Pod{build.Pod("a", "p").Request("cpu=3").Obj(), build.Pod("a", "q").Request("cpu=1").Obj()},
			want:    []string{"n", "m"},
		},
		"preempting the least important": {
			objects: []snapshot.Object{
				node("m").Obj(), node("n").Obj(),
				build.Pod("a", "low").Request("cpu=4").Priority("low", 1).Node("m").Obj(),
				build.Pod("a", "lower").Request("cpu=3").Node("n").Obj(),
			},
			pods: []*corev1.Pod{build.Pod("a", "p").Request("cpu=2").Priority("high", 10).Obj()},
			want: []string{"n < lower"},
		},
		"each preempting its own": {
			objects: []snapshot.Object{
				node("n").Obj(),
				build.Pod("a", "low-0").Request("cpu=2").Node("n").Obj(), build.Pod("a", "low-1").Request("cpu=2").Node("n").Obj(),
			},
			pods: []*corev1.Pod{
				build.Pod("a", "p").Request("cpu=2").Priority("high", 10).Obj(),
				build.Pod("a", "q").Request("cpu=2").Priority("high", 10).Obj(),
				build.Pod("a", "r").Request("cpu=2").Priority("high", 10).Obj(),
			},
			want: []string{"n < low-1", "n < low-0", ""},
		},
		"never preempting": {
			objects: []snapshot.Object{node("n").Obj(), build.Pod("a", "low").Request("cpu=4").Node("n").Obj()},
			pods: []*corev1.Pod{build.Pod("a", "p").Request("cpu=2").Priority("high", 10).
				With(func(p *corev1.Pod) { p.Spec.PreemptionPolicy = &never }).Obj()},
			want: []string{""},
		},
		"gated": {
			objects: []snapshot.Object{node("n").Obj()},
			pods:    []*corev1.Pod{build.Pod("a", "p").Gate("example.com/hold").Obj()},
			want:    []string{""},
		},
		"being deleted": {
			objects: []snapshot.Object{node("n").Obj()},
			pods: []*corev1.Pod{
				build.Pod("a", "p").With(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }).Obj(),
				build.Pod("a", "q").Obj(),
			},
			want: []string{"", "n"},
		},
		"near one that comes later": {
			objects: []snapshot.Object{node("m").Obj(), node("n").Obj()},
			pods: []*corev1.Pod{
				build.Pod("a", "p").PodAffinity("app=db", corev1.LabelHostname).Obj(),
				build.Pod("a", "db").Label("app", "db").Request("cpu=1").Obj(),
			},
			want: []string{"m", "m"},
		},
		"beside a pod nominated to the node, which then takes no more room": {
			objects: []snapshot.Object{node("n").Obj()},
			pods: []*corev1.Pod{
				build.Pod("a", "nominated").Nominated("n").Request("cpu=2").Priority("high", 10).Obj(),
				build.Pod("a", "p").Request("cpu=2").Obj(),
			},
			want: []string{"n", "n"},
		},
		"into room that one nominated to it loses to a more important one": {
			objects: []snapshot.Object{
				node("n").Obj(), build.Pod("a", "low").Request("cpu=4").Node("n").Obj(),
				build.Pod("a", "nominated").Nominated("n").Request("cpu=4").Priority("middle", 5).Obj(),
			},
			pods: []*corev1.Pod{
				build.Pod("a", "p").Request("cpu=2").Priority("high", 10).Obj(),
				build.Pod("a", "q").Request("cpu=2").Priority("low", 1).Obj(),
			},
			want: []string{"n < low", "n"},
		},
		"sharing a device": {
			objects: []snapshot.Object{
				node("n").Obj(), node("without").Obj(), build.DeviceClass("gpu", "gpu.example.com"),
				build.ResourceSlice("n", "gpu.example.com", "gpu-0"), build.ResourceClaim("a", "shared", "gpu", 1),
			},
			pods: []*corev1.Pod{build.Pod("a", "p").ResourceClaim("shared").Obj(), build.Pod("a", "q").ResourceClaim("shared").Obj()},
			want: []string{"n", "n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pod := range tc.pods {
				if pod.Status.NominatedNodeName != "" {
					tc.objects = append(tc.objects, pod)
				}
			}
			s := simulate.New(engine(t, tc.objects...))
			// Twice: whatever the first did must be undone.
			for range 2 {
				if diff := cmp.Diff(tc.want, schedule(t, s, tc.pods...)); diff != "" {
					t.Errorf("placements (-want +got):\n%s", diff)
				}
				s.Undo()
			}
		})
	}
}

func TestScheduleUnknownScheduler(t *testing.T) {
	s := simulate.New(engine(t, node("n").Obj()))
	other := build.Pod("a", "p").With(func(p *corev1.Pod) { p.Spec.SchedulerName = "volcano" }).Obj()
	placements, err := s.Schedule(t.Context(), []*corev1.Pod{other, build.Pod("a", "q").Obj()})
	if err != nil {
		t.Fatal(err)
	}
	if p := placements[0]; p.Node != "" || !errors.Is(p.Err, predicate.ErrUnknownScheduler) {
		t.Errorf("placement on %q with error %v, want none and %v", p.Node, p.Err, predicate.ErrUnknownScheduler)
	}
	if p := placements[1]; p.Node != "n" || p.Err != nil {
		t.Errorf("the next pod: %q, %v; want n", p.Node, p.Err)
	}
}

// TestEvict: what a pod alone held is free once it is evicted.
func TestEvict(t *testing.T) {
	once := func(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		return c
	}
	attached := func(volume string) *storagev1.VolumeAttachment {
		return &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: volume}, Spec: storagev1.VolumeAttachmentSpec{
			Attacher: "example.com/disk", NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &volume}}}
	}
	volumes := []snapshot.Object{
		build.PV("pv-1", "", "1Gi", "example.com/disk", ""), build.PVC("a", "one", "", "1Gi", "pv-1"),
		build.PV("pv-2", "", "1Gi", "example.com/disk", ""), build.PVC("a", "two", "", "1Gi", "pv-2"),
		build.CSINode("n", "example.com/disk", 1), attached("pv-1"),
	}
	devices := []snapshot.Object{build.DeviceClass("gpu", "gpu.example.com"), build.ResourceSlice("n", "gpu.example.com", "gpu-0"), build.ResourceClaim("a", "other", "gpu", 1)}
	user := build.Pod("a", "user").ResourceClaim("mine").Node("n").Obj()
	second := build.Pod("a", "second").ResourceClaim("mine").Node("n").Obj()
	for name, tc := range map[string]struct {
		objects []snapshot.Object
		evicted *corev1.Pod
		pod     *corev1.Pod
		want    string
	}{
		"its room":                  {nil, build.Pod("a", "user").Request("cpu=3").Node("n").Obj(), build.Pod("a", "p").Request("cpu=2").Obj(), "n"},
		"a claim for one pod alone": {append(volumes[2:4:4], volumes[0], once(build.PVC("a", "one", "", "1Gi", "pv-1"))), build.Pod("a", "user").PVC("one").Node("n").Obj(), build.Pod("a", "p").PVC("one").Obj(), "n"},
		"its place among volumes":   {volumes, build.Pod("a", "user").PVC("one").Node("n").Obj(), build.Pod("a", "p").PVC("two").Obj(), "n"},
		"its device":                {append(devices, allocated("mine", user)), user, build.Pod("a", "p").ResourceClaim("other").Obj(), "n"},
		"not a device in use still": {append(devices, allocated("mine", user, second), second), user, build.Pod("a", "p").ResourceClaim("other").Obj(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate.New(engine(t, append(tc.objects, node("n").Obj(), tc.evicted)...))
			if diff := cmp.Diff([]string{""}, schedule(t, s, tc.pod)); diff != "" {
				t.Fatalf("before the eviction (-want +got):\n%s", diff)
			}
			mark := s.Mark()
			if err := s.Evict(tc.evicted); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, schedule(t, s, tc.pod)); diff != "" {
				t.Errorf("after the eviction (-want +got):\n%s", diff)
			}
			s.UndoTo(mark)
			if diff := cmp.Diff([]string{""}, schedule(t, s, tc.pod)); diff != "" {
				t.Errorf("after UndoTo (-want +got):\n%s", diff)
			}
		})
	}
}

// allocated is a claim that holds gpu-0 of n for its users.
func allocated(name string, users ...*corev1.Pod) *resourcev1.ResourceClaim {
	claim := build.ResourceClaim("a", name, "gpu", 1)
	claim.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{
		Results: []resourcev1.DeviceRequestAllocationResult{{Request: "devices", Driver: "gpu.example.com", Pool: "n", Device: "gpu-0"}}}}
	for _, user := range users {
		claim.Status.ReservedFor = append(claim.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: user.Name, UID: user.UID})
	}
	return claim
}

func TestEvictAFinishedPod(t *testing.T) {
	done := build.Pod("a", "done").Node("n").Phase(corev1.PodSucceeded).Obj()
	if err := simulate.New(engine(t, node("n").Obj(), done)).Evict(done); err != nil {
		t.Errorf("a finished pod holds nothing, yet: %v", err)
	}
}

// TestEvictWhatWasPlaced: a pod that the simulation has placed is evicted as any.
func TestEvictWhatWasPlaced(t *testing.T) {
	s := simulate.New(engine(t, node("n").Obj(), build.DeviceClass("gpu", "gpu.example.com"),
		build.ResourceSlice("n", "gpu.example.com", "gpu-0"), build.ResourceClaim("a", "one", "gpu", 1), build.ResourceClaim("a", "two", "gpu", 1)))
	one, two := build.Pod("a", "one").ResourceClaim("one").Obj(), build.Pod("a", "two").ResourceClaim("two").Obj()
	placements, err := s.Schedule(t.Context(), []*corev1.Pod{one})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{""}, schedule(t, s, two)); diff != "" {
		t.Fatalf("the only device is taken (-want +got):\n%s", diff)
	}
	if err := s.Evict(placements[0].Pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"n"}, schedule(t, s, two)); diff != "" {
		t.Errorf("the device is free again (-want +got):\n%s", diff)
	}
}

func TestSetNode(t *testing.T) {
	s := simulate.New(engine(t, node("n").Obj()))
	pod := build.Pod("a", "p").Request("cpu=1").Obj()
	if err := s.SetNode(node("n").Taint("maintenance:NoExecute").Obj()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{""}, schedule(t, s, pod)); diff != "" {
		t.Errorf("on the tainted node (-want +got):\n%s", diff)
	}
	if err := s.SetNode(node("n").Obj()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"n"}, schedule(t, s, pod)); diff != "" {
		t.Errorf("with the taint gone (-want +got):\n%s", diff)
	}
}

// fleet is a drawn cluster, and pods to place in it.
type drawn struct {
	objects []snapshot.Object
	running []*corev1.Pod
	pods    []*corev1.Pod
}

func drawFleet(t *rapid.T) drawn {
	var d drawn
	nodes := rapid.IntRange(1, 5).Draw(t, "nodes")
	for i := range nodes {
		d.objects = append(d.objects, node(fmt.Sprintf("n%d", i)).Zone(fmt.Sprintf("zone-%d", i%2)).Obj())
	}
	free := make([]int, nodes)
	for i := range free {
		free[i] = 4
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "running") {
		at := rapid.IntRange(0, nodes-1).Draw(t, "at")
		cpu := rapid.IntRange(1, 2).Draw(t, "cpu")
		if free[at] -= cpu; free[at] < 0 {
			free[at] += cpu
			continue
		}
		pod := drawPod(t, fmt.Sprintf("running-%d", i), cpu).Node(fmt.Sprintf("n%d", at)).Obj()
		d.objects, d.running = append(d.objects, pod), append(d.running, pod)
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "pods") {
		d.pods = append(d.pods, drawPod(t, fmt.Sprintf("p-%d", i), rapid.IntRange(1, 4).Draw(t, "cpu")).Obj())
	}
	return d
}

func drawPod(t *rapid.T, name string, cpu int) *build.PodBuilder {
	app := rapid.SampledFrom([]string{"web", "db"}).Draw(t, "app")
	pod := build.Pod("a", name).Label("app", app).Request(fmt.Sprintf("cpu=%d", cpu))
	pod.Priority("drawn", rapid.Int32Range(0, 2).Draw(t, "priority"))
	switch rapid.IntRange(0, 9).Draw(t, "terms") {
	case 0:
		pod.PodAntiAffinity("app="+app, corev1.LabelHostname)
	case 1:
		pod.PodAffinity("app=web", corev1.LabelTopologyZone)
	case 2:
		pod.Spread(1, corev1.LabelTopologyZone, "app="+app)
	}
	return pod
}

// bound is where every pod is.
func bound(e *predicate.Engine) map[string]string {
	where := map[string]string{}
	for n := range e.Nodes() {
		for pod := range n.Pods() {
			where[pod.Name] = n.Name
		}
	}
	return where
}

// TestScheduleProperties: no node is over its capacity, victims are of lower
// priority and gone, what is pending fits nowhere, and UndoTo restores all.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawFleet(rt)
		e := engine(t, d.objects...)
		s := simulate.New(e)
		before := bound(e)
		placements, err := s.Schedule(t.Context(), d.pods)
		if err != nil {
			rt.Fatal(err)
		}
		where := bound(e)
		for i, p := range placements {
			for _, victim := range p.Victims {
				if corev1helpers.PodPriority(victim) >= corev1helpers.PodPriority(d.pods[i]) {
					rt.Errorf("%s of priority %d preempts %s of %d", p.Pod.Name, *p.Pod.Spec.Priority, victim.Name, *victim.Spec.Priority)
				}
				if where[victim.Name] != "" {
					rt.Errorf("the victim %s is still on %s", victim.Name, where[victim.Name])
				}
				delete(where, victim.Name)
			}
			if len(p.Victims) > 0 && p.Node == "" {
				rt.Errorf("%s preempts for nothing", p.Pod.Name)
			}
		}
		for n := range e.Nodes() {
			if used := n.Usage(); used.Free(corev1.ResourceCPU) < 0 {
				rt.Errorf("node %s: %dm of %dm cpu are requested", n.Name, used.Requested.MilliCPU, used.Allocatable.MilliCPU)
			}
		}
		for i, p := range placements {
			if preempted(placements, d.pods[i]) {
				continue
			}
			if where[p.Pod.Name] != p.Node {
				rt.Errorf("%s is on %q, said to be on %q", p.Pod.Name, where[p.Pod.Name], p.Node)
			}
			if fits, err := e.FitsOn(t.Context(), d.pods[i], nil); p.Node == "" && (err != nil || len(fits) > 0) {
				rt.Errorf("%s is left pending but fits on %v (%v)", p.Pod.Name, fits, err)
			}
		}
		s.UndoTo(0)
		if diff := cmp.Diff(before, bound(e)); diff != "" {
			rt.Errorf("after UndoTo (-want +got):\n%s", diff)
		}
		again, err := s.Schedule(t.Context(), d.pods)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range again {
			if again[i].Node != placements[i].Node {
				rt.Errorf("%s: on %q the second time, %q the first", d.pods[i].Name, again[i].Node, placements[i].Node)
			}
		}
	})
}

// preempted says whether a pod that was placed has then become a victim.
func preempted(placements []simulate.Placement, pod *corev1.Pod) bool {
	for _, p := range placements {
		for _, victim := range p.Victims {
			if victim.UID == pod.UID {
				return true
			}
		}
	}
	return false
}

// TestScheduleStops: when its context ends, what it has done until then is undone as
// anything else.
func TestScheduleStops(t *testing.T) {
	e := engine(t, node("n").Obj())
	s := simulate.New(e)
	ctx, cancel := context.WithCancel(t.Context())
	s.Placed = cancel
	_, err := s.Schedule(ctx, []*corev1.Pod{build.Pod("a", "p").Obj(), build.Pod("a", "q").Obj()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff(map[string]string{"p": "n"}, bound(e)); diff != "" {
		t.Errorf("placed when it stopped (-want +got):\n%s", diff)
	}
	s.Undo()
	if diff := cmp.Diff(map[string]string{}, bound(e)); diff != "" {
		t.Errorf("after Undo (-want +got):\n%s", diff)
	}
}
