package explain_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestSearch has the rules of the search for remedies, one a case.
func TestSearch(t *testing.T) {
	node := func(name string) *build.NodeBuilder { return build.Node(name).Capacity("cpu=4,memory=8Gi,pods=10") }
	for name, tc := range map[string]struct {
		pod      *corev1.Pod
		objects  []snapshot.Object
		remedies []string
		note     string
	}{
		"pairs only where no single change helps": {
			pod:      build.Pod("a", "p").Obj(),
			objects:  []snapshot.Object{node("n").Taint("a=1:NoSchedule").Obj(), node("m").Taint("b=1:NoSchedule").Cordon().Obj()},
			remedies: []string{"AddToleration:a=1:NoSchedule", "Untaint:n:a=1:NoSchedule"},
		},
		"no more than two changes": {
			pod: build.Pod("a", "p").Request("cpu=5").NodeSelector("disk", "ssd").Obj(), note: "no change of two helps",
			objects: []snapshot.Object{node("n").Taint("a=1:NoSchedule").Obj()},
		},
		"one change for a failure of two plugins": {
			pod:      build.Pod("a", "p").Obj(),
			objects:  []snapshot.Object{node("n").Cordon().Taint(corev1.TaintNodeUnschedulable + ":NoSchedule").Obj()},
			remedies: []string{"Uncordon:n", "AddNodes:n"},
		},
		"nodes alike are one piece of advice": {
			pod:      build.Pod("a", "p").Obj(),
			objects:  []snapshot.Object{node("n1").Cordon().Obj(), node("n2").Cordon().Obj()},
			remedies: []string{"Uncordon:n1", "AddNodes:n1"},
		},
		"three of a kind": {
			pod: build.Pod("a", "p").Obj(),
			objects: []snapshot.Object{node("n1").Taint("a=1:NoSchedule").Obj(), node("n2").Taint("b=1:NoSchedule").Obj(),
				node("n3").Taint("c=1:NoSchedule").Obj(), node("n4").Taint("d=1:NoSchedule").Obj()},
			remedies: []string{"AddToleration:a=1:NoSchedule", "AddToleration:b=1:NoSchedule", "AddToleration:c=1:NoSchedule",
				"Untaint:n1:a=1:NoSchedule"},
		},
		"the least is given up": {
			pod:      build.Pod("a", "p").Request("cpu=5").Obj(),
			objects:  []snapshot.Object{build.Node("n").Capacity("cpu=2,memory=8Gi,pods=10").Obj(), build.Node("m").Capacity("cpu=3,memory=8Gi,pods=10").Obj()},
			remedies: []string{"LowerRequest:cpu:5:3"},
		},
		"the smallest set of victims, the least important": {
			pod: build.Pod("a", "p").Request("cpu=4").Priority("high", 10).Obj(),
			objects: []snapshot.Object{build.Node("n").Capacity("cpu=8,memory=8Gi,pods=10").Obj(),
				build.Pod("b", "small").Request("cpu=1").Node("n").Obj(), build.Pod("b", "large").Request("cpu=5").Node("n").Obj(),
				build.Pod("b", "important").Request("cpu=1").Priority("high", 5).Node("n").Obj()},
			remedies: []string{"LowerRequest:cpu:4:1", "AddNodes:n", "EvictPods:n:b/large"},
		},
		"a controller's taint is nobody's to remove": {
			pod:      build.Pod("a", "p").Obj(),
			objects:  []snapshot.Object{node("n").Taint(corev1.TaintNodeNotReady + ":NoSchedule").Obj()},
			remedies: []string{"AddNodes:n"},
		},
		"nothing helps a pod that is rejected as such": {
			pod: build.Pod("a", "p").PVC("data").Obj(), objects: []snapshot.Object{node("n").Obj()},
			note: "the pod itself is rejected on every node; no change of a node helps",
		},
		"there is no node": {pod: build.Pod("a", "p").Obj(), note: "there are no nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			item := explainPod(t, tc.pod, tc.objects...)
			var ids []string
			for _, remedy := range item.Remedies {
				ids = append(ids, remedy.ID)
			}
			sameIDs(t, ids, tc.remedies)
			if item.RemedyNote != tc.note {
				t.Errorf("note %q, want %q", item.RemedyNote, tc.note)
			}
		})
	}
}
