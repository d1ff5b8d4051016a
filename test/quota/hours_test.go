package quota_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// A hundred core-hours are one core for 100 h, two for 50 h, a hundred for 1 h.
func hundredCoreHours(t *testing.T, w *world) {
	const budget = 100
	names := map[int32]string{}
	webs := map[int32]*deployment{}
	for _, cores := range []int32{1, 2, 100} {
		names[cores] = w.group(fmt.Sprintf("cash-%d", cores), "", hard{"cash/limits.cpu": "100"})
		webs[cores] = w.deployment(fmt.Sprintf("web-%d", cores), names[cores], cores, cpu("1"))
		w.create(webs[cores])
	}
	for cores, name := range names {
		w.running(name, int(cores))
		w.condition(name, stowagev1alpha1.ConditionCashExhausted, true)
		w.charges(name, float64(cores))
		w.refusedWith(w.Create(t.Context(), w.deployment("more", name, 1, cpu("1"))), "group "+name+": cash/limits.cpu: used up", "of 100")
		w.refusedWith(w.scale(webs[cores], cores+1), "cash/limits.cpu: used up")
		w.running(name, int(cores)) // what runs stays
		if !w.eventually(func(ctx context.Context) (bool, error) {
			texts, err := w.events(ctx, metav1.NamespaceDefault, name)
			return slices.ContainsFunc(texts, func(text string) bool { return contains(text, "cash/limits.cpu") }), err
		}) {
			t.Errorf("no event says that group %s has used up its hours", name)
		}
		if used := w.status(name).Used["cash/limits.cpu"]; used.AsApproximateFloat64() < budget {
			t.Errorf("group %s: %s hours used when they were used up", name, &used)
		}
	}
	leader, err := w.rig.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := w.rig.Metrics(t.Context(), leader)
	if err != nil {
		t.Fatal(err)
	}
	if !contains(text, `group="`+names[1]+`"`) {
		t.Error("no metric tells of the group")
	}
}

// charges checks that between two of the ledger's times, hours were charged as so many cores make them.
func (w *world) charges(name string, cores float64) {
	w.t.Helper()
	first := w.countedAfter(name, w.rig.Now())
	second := w.countedAfter(name, first.LastReconcileTime.Add(time.Hour))
	hours := func(s stowagev1alpha1.BizGroupResourceQuotaStatus) float64 {
		quantity := s.SelfUsed["cash/limits.cpu"]
		return quantity.AsApproximateFloat64()
	}
	got, want := hours(second)-hours(first), cores*second.LastReconcileTime.Sub(first.LastReconcileTime.Time).Hours()
	if math.Abs(got-want) > want/1000 {
		w.t.Errorf("group %s: %g core-hours charged, want %g for %g cores", name, got, want, cores)
	}
}

// countedAfter waits until a group's hours are charged up to some time, and returns its status.
func (w *world) countedAfter(name string, at time.Time) stowagev1alpha1.BizGroupResourceQuotaStatus {
	w.t.Helper()
	var status stowagev1alpha1.BizGroupResourceQuotaStatus
	if !w.eventually(func(context.Context) (bool, error) {
		status = w.status(name)
		return status.LastReconcileTime != nil && status.LastReconcileTime.After(at), nil
	}) {
		w.t.Fatalf("group %s: the ledger stays at %s, want it after %s", name, status.LastReconcileTime, at)
	}
	return status
}

// Hours end with the pods.
func hoursEndWithThePods(t *testing.T, w *world) {
	nlp := w.group("nlp", "", hard{"cash/limits.cpu": "1M", "limits.cpu": "10"})
	web := w.deployment("web", nlp, 3, cpu("1"))
	w.create(web)
	w.running(nlp, 3)
	w.charges(nlp, 3)
	w.admitted(w.scale(web, 1))
	w.running(nlp, 1)
	w.used(nlp, hard{"limits.cpu": "1"})
	w.charges(nlp, 1)
	w.admitted(w.Delete(t.Context(), web, client.PropagationPolicy("Foreground")))
	w.running(nlp, 0)
	w.used(nlp, hard{"limits.cpu": "0"})
	w.charges(nlp, 0)
}

// Every midnight in Shanghai the used hours go to the history and start again at 0.
func refill(t *testing.T, w *world) {
	nlp := w.group("nlp", "", hard{"cash/limits.cpu": "10"}, func(g *group) {
		g.Spec.Refill = &stowagev1alpha1.Refill{Schedule: "0 0 * * *", TimeZone: "Asia/Shanghai"}
	})
	w.create(w.deployment("web", nlp, 1, cpu("1")))
	admits := func(want string) { // "" for all
		t.Helper()
		text, denied := "", false
		if !w.eventually(func(ctx context.Context) (bool, error) {
			text, denied = refusal(w.Create(ctx, w.pod("more", nlp, cpu("1")), client.DryRunAll))
			return denied == (want != "") && contains(text, want), nil
		}) {
			t.Fatalf("got %q, want %q", text, want)
		}
	}
	admits("; refills at \"0 0 * * *\" Asia/Shanghai") // 10 of a day's 24 hours are used up
	admits("")
	w.running(nlp, 1)
	w.used(nlp, hard{}) // with no reservation left
	before := w.rig.Now()
	var history []stowagev1alpha1.Period
	if !w.eventually(func(context.Context) (bool, error) {
		history = w.status(nlp).History
		return len(history) > 2 && history[1].Start.After(before), nil
	}) {
		t.Fatalf("history %v, want two whole days after %s", history, before)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	for i, period := range history[:2] { // whole days
		if end := period.End.In(zone); end.Hour() != 0 || period.End.Sub(period.Start.Time) != 24*time.Hour {
			t.Errorf("period %d is from %s to %s, want a day that ends at midnight in Shanghai", i, period.Start, end)
		}
		if used := period.Used["cash/limits.cpu"]; math.Abs(used.AsApproximateFloat64()-24) > 0.024 {
			t.Errorf("period %d: %s core-hours, want 24", i, &used)
		}
	}
}

// A group's children's hours are taken out of its own.
func TestHoursInTheTree(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"cash/limits.cpu": "100"})
	w.group("nlp", ai, hard{"cash/limits.cpu": "60"})
	w.used(ai, hard{"cash/limits.cpu": "60"})
	w.refusedWith(w.Create(t.Context(), newGroup(w.name("vision"), ai, hard{"cash/limits.cpu": "41"})), "cash/limits.cpu")
	w.group("vision", ai, hard{"cash/limits.cpu": "40"})
	w.used(ai, hard{"cash/limits.cpu": "100"})
	w.condition(ai, stowagev1alpha1.ConditionCashExhausted, true)
	w.refusedWith(w.Create(t.Context(), w.deployment("web", ai, 1, cpu("1"))), "cash/limits.cpu")
	var unset corev1.ResourceRequirements
	w.refusedWith(w.Create(t.Context(), w.deployment("web", ai, 1, unset)), "must specify limits.cpu for: main")
}
