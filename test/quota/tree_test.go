package quota_test

import (
	"context"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// set sets a key of a group's hard.
func (w *world) set(name, key, quantity string) error {
	w.t.Helper()
	return update(w, &group{ObjectMeta: objectName(name)}, func(g *group) {
		g.Spec.Hard[corev1.ResourceName(key)] = resource.MustParse(quantity)
	})
}

func TestChildTakesFromItsParent(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10", "pods": "20"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "6", "pods": "10", "limits.memory": "1Gi"}) // more keys than the parent: fine
	w.used(ai, hard{"limits.cpu": "6", "pods": "10"})
	w.selfUsed(ai, hard{"limits.cpu": "0", "pods": "0"})

	w.refusedWith(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"limits.cpu": "5", "pods": "10"})),
		"group "+ai+": limits.cpu: needs 5, 4 of 10 left (short 1)")
	w.refusedWith(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"limits.cpu": "4"})), "pods", ai)
	w.group("vision", ai, hard{"limits.cpu": "4", "pods": "10"})
	w.used(ai, hard{"limits.cpu": "10", "pods": "20"})

	// By the difference, and back.
	w.refusedWith(w.set(nlp, "limits.cpu", "7"), "group "+ai+": limits.cpu: needs 1, 0 of 10 left (short 1)")
	w.admitted(w.set(nlp, "limits.cpu", "5"))
	w.used(ai, hard{"limits.cpu": "9"})
	w.admitted(w.set(nlp, "limits.cpu", "6"))
	w.used(ai, hard{"limits.cpu": "10"})
}

// A group's own workloads and its children share its hard.
func TestParentsOwnWorkloads(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	w.group("nlp", ai, hard{"limits.cpu": "6"})
	w.refusedWith(w.Create(t.Context(), w.deployment("web", ai, 5, cpu("1"))), "group "+ai+": limits.cpu: needs 5, 4 of 10 left (short 1)")
	w.create(w.deployment("web", ai, 4, cpu("1")))
	w.used(ai, hard{"limits.cpu": "10"})
	w.selfUsed(ai, hard{"limits.cpu": "4"})
	w.refusedWith(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"limits.cpu": "1"})), "limits.cpu: needs 1, 0 of 10 left (short 1)")
}

func TestParentNeverChanges(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	other := w.group("other", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "6"})
	for _, parent := range []string{other, ""} {
		w.refusedWith(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) { g.Spec.ParentBizGroup = parent }), "spec.parentBizGroup")
	}
	w.refusedWith(update(w, &group{ObjectMeta: objectName(ai)}, func(g *group) { g.Spec.ParentBizGroup = other }), "spec.parentBizGroup")
	w.admitted(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) { g.Labels = map[string]string{"team": "nlp"} }))
}

func TestNewKeyGoesToChildrenFirst(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "5"})
	vision := w.group("vision", ai, hard{"limits.cpu": "5"})
	w.refusedWith(w.set(ai, "pods", "20"), "pods", nlp, vision)
	w.admitted(w.set(nlp, "pods", "10"))
	err := w.set(ai, "pods", "20")
	w.refusedWith(err, "pods", vision)
	if text, _ := refusal(err); contains(text, nlp) {
		t.Errorf("%q names %s, which has the key", text, nlp)
	}
	w.admitted(w.set(vision, "pods", "10"))
	w.admitted(w.set(ai, "pods", "20"))
	w.used(ai, hard{"pods": "20"})
	// And away again: a child may keep what its parent has no more.
	w.admitted(update(w, &group{ObjectMeta: objectName(ai)}, func(g *group) { delete(g.Spec.Hard, "pods") }))
	w.refusedWith(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) { delete(g.Spec.Hard, "limits.cpu") }), "limits.cpu", ai)
}

func TestOnlyLeavesAreDeleted(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "6"})
	w.refusedWith(w.Delete(t.Context(), &group{ObjectMeta: objectName(ai)}), ai, nlp, "leaf")
	w.used(ai, hard{"limits.cpu": "6"})
	w.admitted(w.Delete(t.Context(), &group{ObjectMeta: objectName(nlp)}))
	w.used(ai, hard{"limits.cpu": "0"})
	w.admitted(w.Delete(t.Context(), &group{ObjectMeta: objectName(ai)}))
}

func TestGroupIsNotDeletedUnderItsWorkloads(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	w.create(w.deployment("web", nlp, 2, cpu("1")))
	w.refusedWith(w.Delete(t.Context(), &group{ObjectMeta: objectName(nlp)}), nlp, "limits.cpu 2", stowagev1alpha1.DeleteWithWorkloadsAnnotation)
	w.used(nlp, hard{"limits.cpu": "2"})
	w.refusedWith(w.Delete(t.Context(), &group{ObjectMeta: objectName(nlp)}), nlp, "limits.cpu 2", stowagev1alpha1.DeleteWithWorkloadsAnnotation)
	w.admitted(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) {
		g.Annotations = map[string]string{stowagev1alpha1.DeleteWithWorkloadsAnnotation: "true"}
	}))
	w.admitted(w.Delete(t.Context(), &group{ObjectMeta: objectName(nlp)}))
	// What runs stays, and may shrink and go, but not grow.
	web := w.deployment("web", nlp, 2, cpu("1"))
	w.refusedWith(update(w, web, func(d *deployment) { *d.Spec.Replicas = 3 }), nlp)
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 1 }))
	w.admitted(w.Delete(t.Context(), web))
}

func TestTwoChildrenForTheLastCore(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	w.group("nlp", ai, hard{"limits.cpu": "9"})
	const children = 6
	errs := make([]error, children)
	var all errgroup.Group
	for i := range children {
		name := w.name(string(rune('a' + i)))
		w.deleteAfter(name)
		all.Go(func() error {
			errs[i] = w.Create(t.Context(), newGroup(name, ai, hard{"limits.cpu": "1"}))
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	w.oneAdmitted(errs, "group "+ai+": limits.cpu: needs 1, 0 of 10 left (short 1)")
	w.used(ai, hard{"limits.cpu": "10"})
}

// oneAdmitted checks that one of some requests was admitted and the others refused with this text.
func (w *world) oneAdmitted(errs []error, part string) {
	w.t.Helper()
	admitted := 0
	for _, err := range errs {
		if err == nil {
			admitted++
			continue
		}
		w.refusedWith(err, part)
	}
	if admitted != 1 {
		w.t.Errorf("%d requests admitted, want 1", admitted)
	}
}

func TestLoweringBelowUsed(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	web := w.deployment("web", nlp, 6, cpu("1"))
	w.create(web)
	w.used(nlp, hard{"limits.cpu": "6"})
	w.warnings.take()
	w.admitted(w.set(nlp, "limits.cpu", "4"))
	w.warned("limits.cpu", "4", "6")
	w.condition(nlp, stowagev1alpha1.ConditionOvercommitted, true)

	w.refusedWith(w.Create(t.Context(), w.deployment("more", nlp, 1, cpu("1"))), "group "+nlp+": limits.cpu: needs 1, -2 of 4 left (short 3); largest that fits: 0 replicas")
	w.refusedWith(update(w, web, func(d *deployment) { *d.Spec.Replicas = 7 }), "limits.cpu")
	w.admitted(update(w, web, func(d *deployment) { d.Labels["team"] = "nlp"; d.Annotations = map[string]string{"a": "b"} }))
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 5 })) // still over: shrinking is never refused
	w.used(nlp, hard{"limits.cpu": "5"})
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 3 }))
	w.condition(nlp, stowagev1alpha1.ConditionOvercommitted, false)
	w.used(nlp, hard{"limits.cpu": "3"}) // a pod is charged until it is gone
	w.create(w.deployment("more", nlp, 1, cpu("1")))
}

// A parent lowered below what its children have.
func TestLoweringAParent(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "10"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "6"})
	w.used(ai, hard{"limits.cpu": "6"})
	w.warnings.take()
	w.admitted(w.set(ai, "limits.cpu", "5"))
	w.warned("limits.cpu", "5", "6")
	w.condition(ai, stowagev1alpha1.ConditionOvercommitted, true)
	w.refusedWith(w.set(nlp, "limits.cpu", "7"), "group "+ai+": limits.cpu: needs 1, -1 of 5 left (short 2)")
	w.admitted(w.set(nlp, "limits.cpu", "5"))
	w.condition(ai, stowagev1alpha1.ConditionOvercommitted, false)
}

// condition waits for a condition of a group.
func (w *world) condition(name, kind string, want bool) {
	w.t.Helper()
	var got stowagev1alpha1.BizGroupResourceQuotaStatus
	if !w.eventually(func(ctx context.Context) (bool, error) {
		var g group
		if err := w.Get(ctx, client.ObjectKey{Name: name}, &g); err != nil {
			return false, err
		}
		got = g.Status
		return meta.IsStatusConditionTrue(got.Conditions, kind) == want && meta.FindStatusCondition(got.Conditions, kind) != nil, nil
	}) {
		w.t.Fatalf("group %s: conditions %+v, want %s=%t", name, got.Conditions, kind, want)
	}
}

// What is above a group and over its hard stops what grows, and nothing else.
func TestAncestorsOverStopGrowth(t *testing.T) {
	w := newWorld(t)
	root := w.group("root", "", hard{"limits.cpu": "20"})
	ai := w.group("ai", root, hard{"limits.cpu": "20"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "10"})
	web := w.deployment("web", nlp, 4, cpu("1"))
	w.create(web)
	w.admitted(w.set(root, "limits.cpu", "5"))
	stopped := "group " + root + ": limits.cpu: 20 of 5 used: nothing below it grows until it fits"
	if !w.eventually(func(ctx context.Context) (bool, error) { // each manager sees for itself
		text, _ := refusal(w.Create(ctx, w.deployment("second", nlp, 1, cpu("1"))))
		return text == stopped, nil
	}) {
		t.Error("a creation below a group that is over was not refused by its name")
	}
	w.refused(update(w, web, func(d *deployment) { *d.Spec.Replicas = 5 }), stopped)
	w.admitted(update(w, web, func(d *deployment) { d.Annotations = map[string]string{"note": "same"} }))
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 2 }))
}
