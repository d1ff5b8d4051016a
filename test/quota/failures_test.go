package quota_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Creating what exists holds nothing: the others have what they had.
func TestCreatingWhatExistsTakesNothing(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "40"})
	w.create(w.deployment("web", nlp, 9, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "9"})
	for range 4 {
		if err := w.Create(t.Context(), w.deployment("web", nlp, 9, cpu("1"))); !apierrors.IsAlreadyExists(err) {
			t.Fatalf("got %v, want AlreadyExists", err)
		}
	}
	if n := len(w.status(nlp).Reservations); n > 0 {
		t.Errorf("%d reservations stand for what exists", n)
	}
	w.create(w.deployment("innocent", nlp, 31, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "40"})
}

// What no one can have is refused, though the group counts only the hours of it.
func TestAbsurdAmountsAreRefused(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"cash/limits.cpu": "1000"})
	err := w.Create(t.Context(), w.pod("absurd", nlp, cpu("10376293541461622784")))
	w.refusedWith(err, "spec.containers[0].resources.limits[cpu]: 10376293541461622784 is absurd: expected at most 1e18")
}

// A group that waits for a finalizer takes no child and no workload.
func TestGroupBeingDeletedTakesNothing(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "5"}, func(g *group) { g.Finalizers = []string{"example.com/wait"} })
	w.admitted(w.Delete(t.Context(), &group{ObjectMeta: metav1.ObjectMeta{Name: nlp}}))
	for what, err := range map[string]error{
		"a pod":   w.Create(t.Context(), w.pod("late", nlp, cpu("1"))),
		"a child": w.Create(t.Context(), newGroup(w.name("child"), nlp, hard{"limits.cpu": "1"})),
	} {
		if err == nil || !strings.Contains(err.Error(), "is being deleted") {
			t.Errorf("%s: got %v, want a refusal", what, err)
		}
	}
	w.admitted(update(w, &group{ObjectMeta: objectName(nlp)}, func(g *group) { g.Finalizers = nil }))
}
