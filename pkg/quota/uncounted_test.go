package quota_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	notCounted = "group g: claimed devices are not counted (resourceClaims gpu): "
	noKey      = notCounted + "no key of the group stands for them"
	ofClass    = notCounted + "a key of a device class counts only what containers ask for as an extended resource"
)

// Devices that pods claim are charged to no key: whoever asks for more of them is told.
func TestClaimedDevicesAreNamed(t *testing.T) {
	cores := list("limits.cpu", "40")
	classes := list("limits.cpu", "40", "requests.deviceclass.resource.kubernetes.io/gpu.example.com", "0")
	plain := deployment(t, "g", 2, pod(list("cpu", "1")))
	claiming := with(plain, func(w *workload.Workload) {
		w.PodSets[0].Template = w.PodSets[0].Template.DeepCopy()
		w.PodSets[0].Template.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}}
	})
	tests := map[string]struct {
		hard   corev1.ResourceList
		change quota.Change
		want   []string
	}{
		"created":                          {cores, quota.Change{New: claiming}, []string{noKey}},
		"created beside a key of a class":  {classes, quota.Change{New: claiming}, []string{ofClass}},
		"a claim is added":                 {cores, quota.Change{Old: plain, New: claiming}, []string{noKey}},
		"scaled up":                        {cores, quota.Change{Old: claiming, New: scaled(claiming, 3)}, []string{noKey}},
		"scaled up beside a key":           {classes, quota.Change{Old: claiming, New: scaled(claiming, 3)}, []string{ofClass}},
		"scaled down":                      {cores, quota.Change{Old: claiming, New: scaled(claiming, 1)}, nil},
		"changed in what asks for no more": {cores, quota.Change{Old: claiming, New: claiming}, nil},
		"no claims":                        {cores, quota.Change{New: plain}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := quota.NewTree([]*quota.Group{newGroup("g", "", test.hard)}).CheckWorkload(test.change)
			if diff := cmp.Diff(test.want, check.Warnings, cmpopts.EquateEmpty()); diff != "" || !check.Allowed {
				t.Errorf("allowed %v, warnings (-want +got):\n%s", check.Allowed, diff)
			}
		})
	}
}

// What declares no pods says why it charges nothing, whatever is done with it.
func TestPodlessWorkloadsSaySo(t *testing.T) {
	tests := map[string]string{
		"rollouts.argoproj.io": "rollout.argoproj.io/web charges nothing itself: its pods are declared by another object (spec.workloadRef). " +
			"What it makes is charged where the labels of that object's pod template name group g",
		"jobsets.jobset.x-k8s.io": "jobset.jobset.x-k8s.io/web charges nothing: it declares no pods",
		"rayjobs.ray.io":          "rayjob.ray.io/web charges nothing: it declares no pods",
	}
	for resource, want := range tests {
		w := &workload.Workload{Kind: kindOf(t, resource), Namespace: "default", Name: "web", Group: "g"}
		tree := quota.NewTree([]*quota.Group{newGroup("g", "", list("limits.cpu", "4"))})
		for _, change := range []quota.Change{{New: w}, {Old: w, New: w}} {
			if diff := cmp.Diff([]string{want}, tree.CheckWorkload(change).Warnings); diff != "" {
				t.Errorf("%s (-want +got):\n%s", resource, diff)
			}
		}
	}
}

// What charges none of its group's keys says so when it is tied to the group.
func TestChargingNothingIsSaid(t *testing.T) {
	gpus := newGroup("g", "", list("requests.nvidia.com/gpu", "4", "cash/requests.nvidia.com/gpu", "100"))
	cores := newGroup("g", "", list("limits.cpu", "4"))
	plain := deployment(t, "g", 2, pod(list("cpu", "1")))
	daemon := with(plain, func(w *workload.Workload) {
		w.Kind = kindOf(t, "daemonsets.apps")
		w.PodSets[0].PerNode, w.PodSets[0].Template = true, w.PodSets[0].Template.DeepCopy()
		w.PodSets[0].Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	})
	nodes := []*corev1.Node{{}}
	noneAsked := []string{"group g: deployment.apps/web charges nothing: it asks for nothing that the group limits (cash/requests.nvidia.com/gpu, requests.nvidia.com/gpu)"}
	tests := map[string]struct {
		group  *quota.Group
		change quota.Change
		want   []string
	}{
		"no such resource":        {gpus, quota.Change{New: plain}, noneAsked},
		"moved there":             {gpus, quota.Change{Old: with(plain, func(w *workload.Workload) { w.Group = "other" }), New: plain}, noneAsked},
		"was there":               {gpus, quota.Change{Old: plain, New: scaled(plain, 3)}, nil},
		"scaled to nothing":       {gpus, quota.Change{New: scaled(plain, 0)}, nil},
		"suspended":               {gpus, quota.Change{New: with(plain, func(w *workload.Workload) { w.Suspended = true })}, nil},
		"one of the keys":         {cores, quota.Change{New: plain}, nil},
		"no eligible node":        {cores, quota.Change{New: daemon, Nodes: nodes}, []string{"group g: daemonset.apps/web charges nothing: no node is eligible; what runs once one is will be counted, whether or not it fits"}},
		"nodes that nobody knows": {cores, quota.Change{New: daemon}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := quota.NewTree([]*quota.Group{test.group}).CheckWorkload(test.change)
			if diff := cmp.Diff(test.want, check.Warnings, cmpopts.EquateEmpty()); diff != "" || !check.Allowed {
				t.Errorf("allowed %v, warnings (-want +got):\n%s", check.Allowed, diff)
			}
		})
	}
}
