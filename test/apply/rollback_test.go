package apply_test

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/apply"
)

// managers are the fields of every manager of every node.
func managers(t *testing.T) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for name, node := range nodesNow(t) {
		for _, entry := range node.ManagedFields {
			fields[name+" "+entry.Manager+" "+string(entry.Operation)+" "+entry.Subresource] = string(entry.FieldsV1.GetRawBytes())
		}
	}
	return fields
}

// others are nodes without what the API server writes at every change, and what
// kubelets write all the time.
func others(nodes map[string]*corev1.Node) map[string]*corev1.Node {
	for _, node := range nodes {
		node.ResourceVersion, node.ManagedFields = "", nil
		for i := range node.Status.Conditions {
			node.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return nodes
}

// rollback undoes a plan.
func rollback(t *testing.T, p *report.TaintPlan) (steps []string) {
	t.Helper()
	err := apply.Rollback(t.Context(), cluster.Client(), p, apply.Options{Observer: observer(func(step apply.Step) {
		steps = append(steps, step.Object+" "+step.Done)
	})})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestRollbackLeavesNoTrace(t *testing.T) {
	webFleet(t, web())
	before, managersBefore := others(nodesNow(t)), managers(t)
	p := planned(t, 2, []string{"n1", "n2"}, "maintenance:NoExecute", "old:NoSchedule")
	if _, err := run(t, p); err != nil {
		t.Fatal(err)
	}

	t.Run("applied: all is as it was but for the taints", func(t *testing.T) {
		if diff := cmp.Diff(before, others(nodesNow(t)), cmpopts.IgnoreFields(corev1.NodeSpec{}, "Taints")); diff != "" {
			t.Errorf("nodes (-before +after):\n%s", diff)
		}
		want := maps.Clone(managersBefore)
		for _, name := range []string{"n1", "n2"} {
			want[name+" "+apply.FieldManager+" Apply "] = `{"f:spec":{"f:taints":{}}}`
		}
		if diff := cmp.Diff(want, managers(t)); diff != "" {
			t.Errorf("field managers (-want +got):\n%s", diff)
		}
	})
	t.Run("undone: all is as it was", func(t *testing.T) {
		if diff := cmp.Diff([]string{"node/n2 restored", "node/n1 restored"}, rollback(t, p)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(before, others(nodesNow(t))); diff != "" {
			t.Errorf("nodes (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(managersBefore, managers(t)); diff != "" {
			t.Errorf("field managers (-before +after):\n%s", diff)
		}
	})
	t.Run("undone again: nothing to do", func(t *testing.T) {
		if diff := cmp.Diff([]string{"node/n2 unchanged", "node/n1 unchanged"}, rollback(t, p)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

func TestRollbackLeavesWhatOthersHaveSet(t *testing.T) {
	const nodeTaints = `{"spec":{"taints":[{"key":"old","value":"1","effect":"NoSchedule"},{"key":"gone","effect":"PreferNoSchedule"}]}}`
	webFleet(t, web())
	for _, name := range []string{"n1", "n2", "n3"} {
		if err := patchNode(t.Context(), name, nodeTaints); err != nil {
			t.Fatal(err)
		}
	}
	p := planned(t, 1, []string{"n1", "n2", "n3"}, "maintenance:NoSchedule", "gone-")
	if _, err := run(t, p); err != nil {
		t.Fatal(err)
	}
	const planned = "maintenance:NoSchedule, old=1:NoSchedule"
	hasTaints(t, map[string]string{"n1": planned, "n2": planned, "n3": planned})

	// Others add one to what they have read, overwrite ours, and delete a node.
	if err := addTaint(t.Context(), "n1", corev1.Taint{Key: "new", Effect: corev1.TaintEffectNoSchedule}); err != nil {
		t.Fatal(err)
	}
	if err := patchNode(t.Context(), "n2", `{"spec":{"taints":[{"key":"maintenance","value":"theirs","effect":"NoSchedule"}]}}`); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Client().CoreV1().Nodes().Delete(t.Context(), "n3", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"node/n1 restored", "node/n2 not ours", "node/n3 not there any more"}
	if diff := cmp.Diff(want, rollback(t, p), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	hasTaints(t, map[string]string{
		"n1": "gone:PreferNoSchedule, new:NoSchedule, old=1:NoSchedule",
		"n2": "maintenance=theirs:NoSchedule",
	})
}

// addTaint adds to the taints of a node, as the node controller does.
func addTaint(ctx context.Context, name string, added corev1.Taint) error {
	nodes := cluster.Client().CoreV1().Nodes()
	node, err := nodes.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	node.Spec.Taints = append(node.Spec.Taints, added)
	_, err = nodes.Update(ctx, node, metav1.UpdateOptions{FieldManager: "another"})
	return err
}

func TestRemovalOfTheLastTaintAndBack(t *testing.T) {
	webFleet(t, web())
	if err := patchNode(t.Context(), "n1", `{"spec":{"taints":[{"key":"maintenance","effect":"NoSchedule"}]}}`); err != nil {
		t.Fatal(err)
	}
	p := planned(t, 1, []string{"n1"}, "maintenance-")
	if _, err := run(t, p); err != nil {
		t.Fatal(err)
	}
	hasTaints(t, map[string]string{})
	rollback(t, p)
	hasTaints(t, map[string]string{"n1": "maintenance:NoSchedule"})
}
