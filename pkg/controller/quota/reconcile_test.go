package quota

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

const resync = 5 * time.Minute

func TestWorthWriting(t *testing.T) {
	condition := func(g *quota.Group, status metav1.ConditionStatus, message string) {
		g.Status.Conditions = []metav1.Condition{{Type: stowagev1alpha1.ConditionCashExhausted, Status: status, Message: message}}
	}
	tests := map[string]struct {
		cash   bool
		after  time.Duration
		before func(*quota.Group)
		change func(*quota.Group)
		want   bool
	}{
		"never counted":                  {before: func(g *quota.Group) { g.Status.LastReconcileTime = nil }, want: true},
		"nothing":                        {},
		"time alone":                     {after: time.Minute},
		"the time of a group with hours": {cash: true, after: time.Minute, want: true},
		"not every second of it":         {cash: true, after: time.Second},
		"all is written now and then":    {after: resync, want: true},
		"what was seen": {change: func(g *quota.Group) {
			g.Status.Observed = []stowagev1alpha1.ObservedVersion{{Resource: "pods", ResourceVersion: "7"}}
		}},
		"hours go on": {cash: true, after: time.Second, change: func(g *quota.Group) { g.Status.SelfUsed["cash/limits.cpu"] = resource.MustParse("7") }},
		"a child's hours": {cash: true, after: time.Second, change: func(g *quota.Group) {
			g.Status.Used = corev1.ResourceList{"cash/limits.cpu": resource.MustParse("50")}
		}, want: true},
		"use":                              {change: func(g *quota.Group) { g.Status.SelfUsed["limits.cpu"] = resource.MustParse("7") }, want: true},
		"the same, written in another way": {change: func(g *quota.Group) { g.Status.SelfUsed["limits.cpu"] = resource.MustParse("1000m") }},
		"a reservation":                    {change: func(g *quota.Group) { g.Status.Reservations = []stowagev1alpha1.Reservation{{UID: "x"}} }, want: true},
		"a generation":                     {change: func(g *quota.Group) { g.Status.ObservedGeneration++ }, want: true},
		"a period":                         {change: func(g *quota.Group) { g.Status.History = []stowagev1alpha1.Period{{}} }, want: true},
		"a condition, new and true":        {change: func(g *quota.Group) { condition(g, metav1.ConditionTrue, "") }, want: true},
		"a condition that changes":         {before: func(g *quota.Group) { condition(g, metav1.ConditionFalse, "") }, change: func(g *quota.Group) { condition(g, metav1.ConditionTrue, "") }, want: true},
		"a condition's message, which tells how far off": {before: func(g *quota.Group) { condition(g, metav1.ConditionTrue, "a") }, change: func(g *quota.Group) { condition(g, metav1.ConditionTrue, "b") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			before := group("nlp")
			if !test.cash {
				delete(before.Spec.Hard, "cash/limits.cpu")
			}
			before.Status.SelfUsed = corev1.ResourceList{"limits.cpu": resource.MustParse("1")}
			if test.before != nil {
				test.before(before)
			}
			after := before.DeepCopy()
			now := metav1.NewMicroTime(noon.Add(test.after))
			after.Status.LastReconcileTime = &now
			if test.change != nil {
				test.change(after)
			}
			f.at(test.after)
			r := &Reconciler{view: f.view, clock: f.clock, resync: resync}
			if got := r.worthWriting(before, after); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	reserved := func(expiry time.Duration) func(*feed, *quota.Group) {
		return func(_ *feed, g *quota.Group) {
			g.Status.Reservations = append(g.Status.Reservations, stowagev1alpha1.Reservation{Expiry: metav1.NewMicroTime(noon.Add(expiry))})
		}
	}
	const soon = 50 * time.Millisecond // more than what is added so as not to come too early
	tests := map[string]struct {
		given    func(*feed, *quota.Group)
		stood    time.Duration
		min, max time.Duration
	}{
		"nothing":                             {min: resync, max: resync},
		"a reservation":                       {given: reserved(time.Minute), min: time.Minute, max: time.Minute + soon},
		"a reservation by a clock far ahead":  {given: reserved(time.Hour), min: time.Minute, max: time.Minute + soon},
		"a reservation by a clock far behind": {given: reserved(-time.Hour), min: time.Minute, max: time.Minute + soon},
		"a reservation for a while":           {given: reserved(time.Minute), stood: 40 * time.Second, min: 20 * time.Second, max: 20*time.Second + soon},
		"an expired reservation that stands is not asked for without a pause": {given: reserved(-time.Minute), stood: time.Minute, min: catchUp, max: catchUp},
		"hours that are spent": {given: func(f *feed, _ *quota.Group) { f.put(newPod("one", "nlp", nil, 0)) }, min: cashInterval, max: cashInterval},
		"hours that run out": {given: func(f *feed, g *quota.Group) {
			f.put(newPod("one", "nlp", nil, 0))
			g.Status.Used = corev1.ResourceList{"cash/limits.cpu": resource.MustParse("999.9975")} // of 1000: 9 s
		}, min: 9 * time.Second, max: 9*time.Second + soon},
		"a refill": {given: func(_ *feed, g *quota.Group) {
			g.Spec.Refill = &stowagev1alpha1.Refill{Schedule: "1 12 * * *"}
		}, min: time.Minute, max: time.Minute + soon},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			g := group("nlp")
			f.put(g)
			if test.given != nil {
				test.given(f, g)
			}
			r := &Reconciler{view: f.view, clock: f.clock, resync: resync, stood: newStood(time.Minute)}
			if test.stood > 0 { // this process saw the reservations that long ago
				for _, reservation := range g.Status.Reservations {
					r.stood.expiry("nlp", reservation, noon.Add(-test.stood))
				}
			}
			if got := r.next(g); got < test.min || got > test.max {
				t.Errorf("in %s, want %s to %s", got, test.min, test.max)
			}
		})
	}
}

// A group that admission waits for is counted at once.
func TestDelay(t *testing.T) {
	f := newFeed(t)
	r := &Reconciler{view: f.view}
	counted, waiting := group("counted"), group("waiting")
	waiting.Generation = 2
	f.put(counted, waiting)
	for name, want := range map[string]time.Duration{"counted": settle, "waiting": 0, "unknown": settle} {
		if got := r.delay(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
