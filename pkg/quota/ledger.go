package quota

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/sets"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Counted says whether the group's status counts its spec: until then, nothing is
// known of what the group has left.
func Counted(group *Group) bool {
	return group.Status.LastReconcileTime != nil && group.Status.ObservedGeneration == group.Generation
}

// Reserve adds a reservation to the group's ledger, unless the same request made it
// before. It holds what counts there: the keys of hard, and what its hours are of. Asked
// again for the same, it takes the place of the earlier one, and holds the larger of both.
// The caller has checked that it fits what Besides leaves, and writes the status.
func Reserve(group *Group, reservation stowagev1alpha1.Reservation) {
	status := &group.Status
	if slices.ContainsFunc(status.Reservations, func(r stowagev1alpha1.Reservation) bool { return r.UID == reservation.UID }) {
		return
	}
	reservation.Amounts = held(group, reservation)
	if i := askedBefore(group, reservation.Object, reservation.BaseResourceVersion); i >= 0 {
		earlier := status.Reservations[i]
		status.Used = without(group, earlier)
		status.Reservations = slices.Delete(status.Reservations, i, i+1)
		reservation = together(earlier, reservation)
	}
	status.Reservations = append(status.Reservations, reservation)
	used := project(reservation.Amounts, group.Spec.Hard)
	add(used, status.Used)
	status.Used = used
}

// Besides is the group as a request for the object is judged by: without what an earlier
// request for the same holds, as that one and this one cannot both come true. base is
// the version of the object that is changed; empty for a creation, which is known by its
// name.
func Besides(group *Group, object stowagev1alpha1.ObjectReference, base string) *Group {
	i := askedBefore(group, object, base)
	if i < 0 {
		return group
	}
	besides := *group
	besides.Status.Used = without(group, group.Status.Reservations[i])
	return &besides
}

// askedBefore is where in the ledger an earlier request for the same stands: the creation
// of an object of that name, or a change of that version of it; -1 where none does.
func askedBefore(group *Group, object stowagev1alpha1.ObjectReference, base string) int {
	return slices.IndexFunc(group.Status.Reservations, func(r stowagev1alpha1.Reservation) bool {
		return r.BaseResourceVersion == base && r.Object.Name == object.Name && r.Object.Namespace == object.Namespace &&
			r.Object.Resource == object.Resource && object.Name != "" && (base == "" || r.Object.UID == object.UID)
	})
}

// without is what the group has used without a reservation.
func without(group *Group, reservation stowagev1alpha1.Reservation) corev1.ResourceList {
	used := group.Status.Used.DeepCopy()
	for key, amount := range project(reservation.Amounts, group.Spec.Hard) {
		used[key] = minus(used[key], amount)
	}
	return used
}

// together is one reservation for two requests of which at most one comes true. Which
// one is not known of creations, whose objects differ: it names none, and stands until
// neither can be under way.
func together(earlier, later stowagev1alpha1.Reservation) stowagev1alpha1.Reservation {
	both := later
	if earlier.Object.UID != later.Object.UID {
		both.Object.UID = ""
	}
	both.Amounts = earlier.Amounts.DeepCopy()
	add(both.Amounts, Increase(earlier.Amounts, later.Amounts))
	if both.Expiry.Before(&earlier.Expiry) {
		both.Expiry = earlier.Expiry
	}
	return both
}

// held is what a reservation has to hold in the group: of a workload's amounts, those that
// count there. A child's are all needed: a key that its parent comes to have must be in
// each child first, and counts there from then on.
func held(group *Group, reservation stowagev1alpha1.Reservation) corev1.ResourceList {
	if reservation.Object.Resource == GroupResource {
		return reservation.Amounts
	}
	amounts := corev1.ResourceList{}
	for key := range countedKeys(group.Spec.Hard) {
		if amount, ok := reservation.Amounts[key]; ok {
			amounts[key] = amount
		}
	}
	return amounts
}

// countedKeys are the keys that workloads are charged by where a group has such a hard.
func countedKeys(hard corev1.ResourceList) sets.Set[corev1.ResourceName] {
	keys := sets.New[corev1.ResourceName]()
	for key := range hard {
		if key = Canonical(key); IsCash(key) {
			key = Uncash(key)
		}
		keys.Insert(key)
	}
	return keys
}

// Seen is what a controller has seen at one instant of what charges a group.
type Seen struct {
	// Self is what the group's counted workloads charge, Children the sum of the
	// children's hard, both by canonical key.
	Self, Children corev1.ResourceList
	// Workloads is the number of the group's counted workloads.
	Workloads int
	// Versions is how far each kind was seen, by resource ("deployments.apps").
	Versions map[string]string
	// Latest is the newest version of each kind that something seen had: the ledger
	// notes this one, as others see the same thing, and may hear later that nothing
	// came after it. nil where Versions are such.
	Latest map[string]string
	// Version is the version at which an object was seen; "" when it is not there.
	Version func(types.UID) string
	// Departed says whether an object was seen, and seen to go; nil for none.
	Departed func(types.UID) bool
	// Unserved says whether a kind that is not in Versions is known not to be served,
	// later than the ledger was written; nil where all that is there was seen.
	Unserved func(resource string) bool
	// Gone holds the reservations, by request, of which the API server says that
	// they led to nothing.
	Gone map[types.UID]bool
}

// Behind names the first kind of which less has been seen than what the ledger
// already counts; "" when none is. What is behind must not be counted: a
// reservation that has ended could be missed.
func (s Seen) Behind(group *Group) string {
	for _, observed := range group.Status.Observed {
		seen, ok := s.Versions[observed.Resource]
		if !ok && s.Unserved != nil && !s.Unserved(observed.Resource) || ok && Newer(observed.ResourceVersion, seen) {
			return observed.Resource
		}
	}
	return ""
}

// Ended says whether a reservation has become part of what was seen: of a creation,
// once the object is or was there; of a change, once a later version of the object is, or
// the object is gone.
func (s Seen) Ended(reservation stowagev1alpha1.Reservation) bool {
	if s.Gone[reservation.UID] {
		return true
	}
	if reservation.Object.UID == "" {
		return false // it was asked for several times, and others may still come true
	}
	version := s.Version(reservation.Object.UID)
	if reservation.BaseResourceVersion == "" {
		return version != "" || s.Departed != nil && s.Departed(reservation.Object.UID)
	}
	if version != "" {
		return Newer(version, reservation.BaseResourceVersion)
	}
	return Newer(s.Versions[reservation.Object.Resource], reservation.BaseResourceVersion)
}

// Newer says whether resource version a is after b. A version that cannot be read
// is after nothing and before everything.
func Newer(a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// Settle returns the group's status with what was seen counted anew and the
// reservations that have ended taken out, in one step. Hours are charged by Accrue
// before. Nothing is settled while Behind says so.
func Settle(group *Group, seen Seen, now metav1.Time) stowagev1alpha1.BizGroupResourceQuotaStatus {
	status := group.Status.DeepCopy()
	status.Reservations = slices.DeleteFunc(status.Reservations, seen.Ended)
	if !awaits(group, status.Reservations) {
		status.ObservedGeneration = group.Generation
		status.Hard = group.Spec.Hard.DeepCopy()
	}

	charged := maps.Clone(CanonicalList(seen.Self))
	for key, quantity := range group.Status.SelfUsed {
		if IsCash(key) {
			charged[Canonical(key)] = quantity
		}
	}
	status.SelfUsed = project(charged, group.Spec.Hard)
	status.Workloads = int32(min(seen.Workloads, math.MaxInt32))
	status.Used = status.SelfUsed.DeepCopy()
	add(status.Used, project(seen.Children, group.Spec.Hard))
	for _, reservation := range status.Reservations {
		add(status.Used, project(reservation.Amounts, group.Spec.Hard))
	}
	if seen.Latest == nil {
		seen.Latest = seen.Versions
	}
	status.Observed = observe(seen.Latest)
	setConditions(status, group.Generation, now)
	return *status
}

// awaits says whether hard has come to count a key that the reservations do not hold, as
// they were made when it did not. Nothing is admitted until they have ended: by what
// they hold, the group would have more left than it has.
func awaits(group *Group, reservations []stowagev1alpha1.Reservation) bool {
	workloads := func(r stowagev1alpha1.Reservation) bool { return r.Object.Resource != GroupResource }
	return slices.ContainsFunc(reservations, workloads) && !countedKeys(group.Status.Hard).IsSuperset(countedKeys(group.Spec.Hard))
}

// observe lists how far each kind was seen, which is never behind what was listed before.
func observe(versions map[string]string) []stowagev1alpha1.ObservedVersion {
	out := make([]stowagev1alpha1.ObservedVersion, 0, len(versions))
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		out = append(out, stowagev1alpha1.ObservedVersion{Resource: name, ResourceVersion: versions[name]})
	}
	return out
}

// setConditions says whether the group is over its hard, and out of hours.
func setConditions(status *stowagev1alpha1.BizGroupResourceQuotaStatus, generation int64, now metav1.Time) {
	var over, out []string
	for _, key := range Keys(status.Hard) {
		hard, used := status.Hard[key], status.Used[key]
		switch order := used.Cmp(hard); {
		case IsCash(key) && order >= 0:
			out = append(out, fmt.Sprintf("%s: %s used", key, usedOf(key, used, hard)))
		case !IsCash(key) && order > 0:
			amounts := Amounts(key, used, hard)
			over = append(over, fmt.Sprintf("%s: %s used of %s", key, amounts[0], amounts[1]))
		}
	}
	setCondition(status, stowagev1alpha1.ConditionOvercommitted, over, "Over", "Within", generation, now)
	setCondition(status, stowagev1alpha1.ConditionCashExhausted, out, "UsedUp", "HoursLeft", generation, now)
}

func setCondition(status *stowagev1alpha1.BizGroupResourceQuotaStatus, name string, problems []string, yes, no string, generation int64, now metav1.Time) {
	condition := metav1.Condition{Type: name, Status: metav1.ConditionFalse, Reason: no, ObservedGeneration: generation, LastTransitionTime: now}
	if len(problems) > 0 {
		condition.Status, condition.Reason = metav1.ConditionTrue, yes
		condition.Message = joinLines(problems)
	}
	meta.SetStatusCondition(&status.Conditions, condition)
}

// joinLines joins problems within the bound of a condition's message.
func joinLines(problems []string) string {
	const most = 20
	if len(problems) > most {
		problems = append(slices.Clone(problems[:most]), fmt.Sprintf("and %d more keys", len(problems)-most))
	}
	return strings.Join(problems, "; ")
}

// Drift is a key whose ledger differs from what is there.
type Drift struct {
	Key corev1.ResourceName
	// Ledger is the status's used, Real what workloads, children and the
	// reservations that still stand make it.
	Ledger, Real resource.Quantity
}

// Drifts compares the group's used with what was seen, key by key. Hours are
// history, and compared with nothing.
func Drifts(group *Group, seen Seen) []Drift {
	real := Settle(group, seen, metav1.Time{}).Used
	var drifts []Drift
	for _, key := range Keys(group.Spec.Hard) {
		ledger, counted := group.Status.Used[key], real[key]
		if !IsCash(key) && ledger.Cmp(counted) != 0 {
			drifts = append(drifts, Drift{Key: key, Ledger: ledger, Real: counted})
		}
	}
	return drifts
}
