package quota_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// A group that is being deleted is none for who is new; who is there may stay and shrink.
func TestGroupBeingDeleted(t *testing.T) {
	going := withUsed(newGroup("nlp", "ai", list("limits.cpu", "10")), list("limits.cpu", "4"))
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: monday}, []string{"example.com/wait"}
	child := newGroup("child", "nlp", list("limits.cpu", "2"))
	tree := quota.NewTree([]*quota.Group{newGroup("ai", "", list("limits.cpu", "20")), going, child, newGroup("vision", "ai", list("limits.cpu", "1"))})
	cores := func(group string, replicas int64) quota.Change {
		return quota.Change{New: deployment(t, group, replicas, pod(list("cpu", "1")))}
	}
	from := func(before, after quota.Change) quota.Change { return quota.Change{Old: before.New, New: after.New} }
	grown, shrunk := child.DeepCopy(), child.DeepCopy()
	grown.Spec.Hard, shrunk.Spec.Hard = list("limits.cpu", "3"), list("limits.cpu", "1")

	const why = `group "nlp" is being deleted, and takes nothing new: name another group`
	for name, test := range map[string]struct {
		check *report.QuotaCheck
		want  string
	}{
		"a new workload":         {tree.CheckWorkload(cores("nlp", 1)), why},
		"a new one without pods": {tree.CheckWorkload(cores("nlp", 0)), why},
		"one from another group": {tree.CheckWorkload(from(cores("vision", 1), cores("nlp", 1))), why},
		"one that grows":         {tree.CheckWorkload(from(cores("nlp", 4), cores("nlp", 5))), why},
		"one that stays":         {tree.CheckWorkload(from(cores("nlp", 4), cores("nlp", 4))), ""},
		"one that shrinks":       {tree.CheckWorkload(from(cores("nlp", 4), cores("nlp", 3))), ""},
		"one that leaves":        {tree.CheckWorkload(from(cores("nlp", 1), cores("vision", 1))), ""},
		"no idle sibling":        {tree.CheckWorkload(cores("vision", 2)), "group vision: limits.cpu: needs 2, 1 of 1 left (short 1)"},
		"a new child":            {tree.CheckCreate(newGroup("new", "nlp", list("limits.cpu", "1"))), why},
		"a new child of nothing": {tree.CheckCreate(newGroup("new", "nlp", list("limits.cpu", "0"))), why},
		"a child that grows":     {tree.CheckUpdate(child, grown), why},
		"a child that shrinks":   {tree.CheckUpdate(child, shrunk), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := quota.Text(test.check)
			if allowed := test.check.Allowed; allowed != (test.want == "") || !strings.Contains(got, test.want) || strings.Contains(got, "idle") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
