package explain_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestGroupsSayTheirCauseWhole: what is said of a group's cause has commas and
// parentheses of its own, and is not cut at them.
func TestGroupsSayTheirCauseWhole(t *testing.T) {
	node := func(name, zone string) *build.NodeBuilder {
		return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10").Label(corev1.LabelTopologyZone, zone)
	}
	for name, tc := range map[string]struct {
		pod     *corev1.Pod
		objects []snapshot.Object
		want    string
	}{
		"spread": {
			build.Pod("a", "p").Label("app", "web").Spread(1, corev1.LabelTopologyZone, "app=web").Obj(),
			[]snapshot.Object{node("n", "z1").Obj(), node("m", "z2").Cordon().Obj(), build.Pod("a", "w").Label("app", "web").Node("n").Obj()},
			"node(s) didn't match pod topology spread constraints: topology.kubernetes.io/zone=z1 has 1 matching, the least is 0, maxSkew 1",
		},
		"a claim that waits for a volume": {
			build.Pod("a", "p").PVC("data").Obj(),
			[]snapshot.Object{node("n", "z1").Obj(), build.StorageClass("slow", "example.com/p", storagev1.VolumeBindingImmediate), build.PVC("a", "data", "slow", "1Gi", "")},
			"pod has unbound immediate PersistentVolumeClaims: data is not bound (storage class slow)",
		},
		"pods of another's workload": {
			build.Pod("a", "p").Label("app", "db").PodAntiAffinity("app=db", corev1.LabelTopologyZone).Obj(),
			[]snapshot.Object{node("n", "z1").Obj(), build.Pod("a", "db-0").Label("app", "db").Node("n").Obj(), build.Pod("a", "db-1").Label("app", "db").Node("n").Obj()},
			"node(s) didn't match pod anti-affinity rules: app=db by topology.kubernetes.io/zone: 2 pods (a/db-0, a/db-1)",
		},
		"another scheduler's words": {
			build.Pod("a", "p").With(func(p *corev1.Pod) {
				p.Spec.SchedulerName = "volcano"
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Message: "pod group is not ready, 1 Pending, 2 minAvailable"}}
			}).Obj(),
			[]snapshot.Object{node("n", "z1").Obj()},
			"another scheduler: it says: pod group is not ready, 1 Pending, 2 minAvailable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := explainer(t, append(tc.objects, tc.pod)...).All(t.Context(), []*corev1.Pod{tc.pod})
			if err != nil || len(result.Groups) != 1 {
				t.Fatalf("groups %+v, error %v, want one group", result, err)
			}
			if got := result.Groups[0].Cause; got != tc.want {
				t.Errorf("cause\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}
