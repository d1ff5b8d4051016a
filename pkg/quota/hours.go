package quota

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// historyLength is how many refill periods a status keeps.
const historyLength = 12

// Run is one pod's time on a node.
type Run struct {
	// Charge is what the pod charges, by canonical key.
	Charge corev1.ResourceList
	// From is when it was bound, To when it ended; zero while it runs.
	From, To time.Time
}

// Accrue charges the group's cash keys for what the runs used since
// status.lastReconcileTime, and moves that time to until: hours are a run's amount
// times its time in between. At each refill on the way the period goes to the
// history and the used cash starts again at 0. A clock that goes back charges
// nothing and moves nothing. A group that was never reconciled starts now.
func Accrue(group *Group, runs []Run, until time.Time) {
	until = until.Truncate(time.Microsecond)
	last := group.Status.LastReconcileTime
	if last == nil {
		group.Status.LastReconcileTime = &metav1.MicroTime{Time: until}
		return
	}
	from := last.Time
	if !until.After(from) {
		return
	}
	group.Status.SelfUsed = project(CanonicalList(group.Status.SelfUsed), group.Spec.Hard) // hard may be spelled anew
	for _, refill := range refills(group, from, until) {
		charge(group, runs, from, refill)
		endPeriod(group, refill)
		from = refill
	}
	charge(group, runs, from, until)
	group.Status.LastReconcileTime = &metav1.MicroTime{Time: until}
}

// refills are the group's refills after from, up to until. After a long absence
// only those that the history can hold matter.
func refills(group *Group, from, until time.Time) []time.Time {
	if group.Spec.Refill == nil {
		return nil
	}
	schedule, err := parseRefill(group.Spec.Refill)
	if err != nil {
		return nil // refused at admission; what was stored before that has none
	}
	var times []time.Time
	for next := schedule.Next(from); !next.IsZero() && !next.After(until); next = schedule.Next(next) {
		if times = append(times, next); len(times) > historyLength+2 {
			times = slices.Delete(times, 1, 2) // the first one ends the period that is charged now
		}
	}
	return times
}

// NextRefill is the group's next refill after a time; zero when it has none.
func NextRefill(group *Group, after time.Time) time.Time {
	if group.Spec.Refill == nil {
		return time.Time{}
	}
	schedule, err := parseRefill(group.Spec.Refill)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(after)
}

// endPeriod puts the used cash into the history and starts again at 0.
func endPeriod(group *Group, end time.Time) {
	status := &group.Status
	period := stowagev1alpha1.Period{Start: metav1.NewTime(periodStart(group)), End: metav1.NewTime(end), Used: corev1.ResourceList{}}
	for key := range group.Spec.Hard {
		if IsCash(key) {
			period.Used[key] = status.SelfUsed[key].DeepCopy()
			status.SelfUsed[key] = resource.Quantity{}
		}
	}
	status.History = append([]stowagev1alpha1.Period{period}, status.History...)
	status.History = status.History[:min(len(status.History), historyLength)]
}

// periodStart is when the current refill period began: at the last refill, or with
// the group.
func periodStart(group *Group) time.Time {
	if len(group.Status.History) > 0 {
		return group.Status.History[0].End.Time
	}
	return group.CreationTimestamp.Time
}

// charge adds the runs' use between from and to to the group's used cash.
func charge(group *Group, runs []Run, from, to time.Time) {
	for key := range group.Spec.Hard {
		if !IsCash(key) {
			continue
		}
		used := group.Status.SelfUsed[key].DeepCopy()
		used.Add(hours(runs, Uncash(Canonical(key)), from, to))
		group.Status.SelfUsed[key] = writable(used)
	}
}

// hours is the sum over runs of the amount of key times the hours between from
// and to, to a billionth.
func hours(runs []Run, key corev1.ResourceName, from, to time.Time) resource.Quantity {
	var sum, part big.Int // billionths of the unit x microseconds
	for _, run := range runs {
		amount, ok := run.Charge[key]
		if !ok {
			continue
		}
		part.Mul(nano(amount), big.NewInt(overlap(run, from, to).Microseconds()))
		sum.Add(&sum, &part)
	}
	if sum.Sign() == 0 {
		return resource.Quantity{}
	}
	const perHour = 3_600_000_000 // so many of them are a billionth of a unit-hour
	sum.Div(sum.Add(&sum, big.NewInt(perHour/2)), big.NewInt(perHour))
	return resource.MustParse(sum.String() + "n")
}

// overlap is how long the run lasted between from and to.
func overlap(run Run, from, to time.Time) time.Duration {
	if run.From.After(from) {
		from = run.From
	}
	if !run.To.IsZero() && run.To.Before(to) {
		to = run.To
	}
	return max(0, to.Sub(from))
}

// Pace is what the runs that last now use an hour, by canonical cash key.
func Pace(runs []Run) corev1.ResourceList {
	pace := corev1.ResourceList{}
	for _, run := range runs {
		if !run.To.IsZero() {
			continue
		}
		for key, amount := range run.Charge {
			sum := pace[cashKey(key)]
			sum.Add(amount)
			pace[cashKey(key)] = sum
		}
	}
	return pace
}

// RunsOut is when the first of the group's cash keys is used up at this pace, no
// later than a century on; ok is false when none ever is, or all already are.
func RunsOut(group *Group, pace corev1.ResourceList, now time.Time) (at time.Time, key corev1.ResourceName, ok bool) {
	const century = 100 * 365 * 24 * time.Hour
	for _, name := range Keys(group.Spec.Hard) {
		rate, left := pace[Canonical(name)], Left(group, name)
		if !IsCash(name) || rate.Sign() <= 0 || left.Sign() <= 0 {
			continue
		}
		hours := left.AsApproximateFloat64() / rate.AsApproximateFloat64()
		if hours > century.Hours() {
			continue
		}
		if end := now.Add(time.Duration(hours * float64(time.Hour))); !ok || end.Before(at) {
			at, key, ok = end, name, true
		}
	}
	return at, key, ok
}

// Uncash is the key whose hours a cash key counts; any other is as it is.
func Uncash(key corev1.ResourceName) corev1.ResourceName {
	return corev1.ResourceName(strings.TrimPrefix(string(key), cashPrefix))
}

// soon is how long hours must last not to be warned of.
const soon = 24 * time.Hour

// lasts says how long what is left of a cash key lasts at the pace of what the group's
// workloads are charged of the key itself now, where hard has it, and what is added to
// that; empty where it is a day or more. Whether it is refilled before is not looked at.
func lasts(group *Group, key corev1.ResourceName, growth corev1.ResourceList, left resource.Quantity) string {
	of := Uncash(Canonical(key))
	pace := growth[of].DeepCopy()
	if own, ok := spelled(group, of); ok {
		pace.Add(group.Status.SelfUsed[own])
	}
	hours := left.AsApproximateFloat64() / pace.AsApproximateFloat64()
	if hours >= soon.Hours() {
		return ""
	}
	after := time.Duration(hours * float64(time.Hour)).Round(time.Second)
	return fmt.Sprintf("%s: at %s the hours that are left last %s, and then nothing new is admitted", key, amountOf(of, pace), after)
}
