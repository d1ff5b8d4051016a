package quota_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

func TestReserve(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("cpu", "10", "limits.cpu.A4", "4", "cash/cpu", "100")), list("requests.cpu", "3"))
	amounts := list("requests.cpu", "2", "limits.cpu", "2", "limits.cpu.A4", "2", "pods", "1")
	reserve(group, "one", "web", "", amounts)
	want := map[string]string{"cpu": "5", "limits.cpu.A4": "2", "cash/cpu": "0"}
	if diff := cmp.Diff(want, text(group.Status.Used)); diff != "" {
		t.Errorf("used: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"requests.cpu": "2", "limits.cpu.A4": "2"}, text(group.Status.Reservations[0].Amounts)); diff != "" {
		t.Errorf("amounts, those that hard has: -want +got:\n%s", diff)
	}
	reserve(group, "one", "web", "", amounts)
	if diff := cmp.Diff(want, text(group.Status.Used)); diff != "" || len(group.Status.Reservations) != 1 {
		t.Errorf("reserved by the same request again: %d reservations; used: -want +got:\n%s", len(group.Status.Reservations), diff)
	}
	reserve(group, "two", "api", "", amounts)
	if used := group.Status.Used["cpu"]; used.String() != "7" {
		t.Errorf("reserved by another request: used %s, want 7", &used)
	}
}

// A group that counts hours of a resource holds its amounts, to count them once it has
// them in hard; of a child it holds all.
func TestReserveHoldsWhatMayCount(t *testing.T) {
	group := newGroup("nlp", "", list("cash/cpu", "100", "pods", "10"))
	amounts := list("requests.cpu", "2", "limits.cpu", "2", "requests.example.com/"+strings.Repeat("x", 60), "1")
	reserve(group, "one", "web", "", amounts)
	quota.Reserve(group, stowagev1alpha1.Reservation{UID: "two", Object: stowagev1alpha1.ObjectReference{Resource: quota.GroupResource, Name: "child"}, Amounts: amounts})
	if diff := cmp.Diff(map[string]string{"requests.cpu": "2"}, text(group.Status.Reservations[0].Amounts)); diff != "" {
		t.Errorf("a workload's: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(text(amounts), text(group.Status.Reservations[1].Amounts)); diff != "" {
		t.Errorf("a child's: -want +got:\n%s", diff)
	}
}

// At most one of the creations of one name comes true: they hold the larger of them, once.
func TestReserveAskedAgain(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10", "pods", "10"))
	ask := func(request, uid, base string, amounts corev1.ResourceList, expiry time.Time) (cores string, reservations int) {
		object := stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Namespace: "default", Name: "web", UID: types.UID(uid)}
		quota.Reserve(group, stowagev1alpha1.Reservation{
			UID: types.UID(request), Object: object, BaseResourceVersion: base, Amounts: amounts, Expiry: metav1.NewMicroTime(expiry),
		})
		left := quota.Left(quota.Besides(group, object, base), "limits.cpu")
		cores, reservations = used(group)
		return cores + ", " + left.String() + " left", reservations
	}
	expect := func(what, want string, reservations int, got string, n int) {
		t.Helper()
		if got != want || n != reservations {
			t.Errorf("%s: used %s with %d reservations, want %s with %d", what, got, n, want, reservations)
		}
	}
	got, n := ask("1", "a", "", list("limits.cpu", "4", "pods", "1"), monday.Add(time.Minute))
	expect("asked for once", "4, 10 left", 1, got, n)
	got, n = ask("2", "b", "", list("limits.cpu", "3", "pods", "2"), monday)
	expect("asked for again", "4, 10 left", 1, got, n)
	merged := group.Status.Reservations[0]
	if diff := cmp.Diff(map[string]string{"limits.cpu": "4", "pods": "2"}, text(merged.Amounts)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if merged.UID != "2" || merged.Object.UID != "" || !merged.Expiry.Time.Equal(monday.Add(time.Minute)) {
		t.Errorf("got %+v", merged)
	}
	if (quota.Seen{Version: func(types.UID) string { return "30" }, Departed: func(types.UID) bool { return true }}).Ended(merged) {
		t.Error("it ends when one object is seen, though the other may come after it")
	}
	got, n = ask("3", "a", "20", list("limits.cpu", "2"), monday)
	expect("a change of it", "6, 6 left", 2, got, n)
	got, n = ask("4", "a", "20", list("limits.cpu", "5"), monday)
	expect("another change of the same version", "9, 6 left", 2, got, n)
	got, n = ask("5", "a", "21", list("limits.cpu", "1"), monday)
	expect("a change of another version", "10, 1 left", 3, got, n)
}

// A key that hard comes to have counts from when no reservation lacks it.
func TestSettleAwaitsReservationsThatLackAKey(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10", "cash/limits.memory", "100"))
	reserve(group, "request", "web", "", list("limits.cpu", "1", "limits.memory", "1Gi", "requests.cpu", "1"))
	child := group.DeepCopy()
	child.Status.Reservations[0].Object.Resource = quota.GroupResource
	for name, test := range map[string]struct {
		group   *quota.Group
		hard    corev1.ResourceList
		gone    []types.UID
		counted bool
	}{
		"another amount":               {group: group, hard: list("limits.cpu", "5", "cash/limits.memory", "100"), counted: true},
		"a key less":                   {group: group, hard: list("limits.cpu", "5"), counted: true},
		"hours of it":                  {group: group, hard: list("limits.cpu", "5", "cash/limits.cpu", "100"), counted: true},
		"what it has hours of":         {group: group, hard: list("limits.cpu", "5", "limits.memory", "1Gi"), counted: true},
		"a key more":                   {group: group, hard: list("limits.cpu", "5", "cpu", "5")},
		"hours of another":             {group: group, hard: list("limits.cpu", "5", "cash/cpu", "5")},
		"a key more, all have ended":   {group: group, hard: list("limits.cpu", "5", "cpu", "5"), gone: []types.UID{"request"}, counted: true},
		"a key more, a child's stands": {group: child, hard: list("limits.cpu", "5", "cpu", "5"), counted: true},
	} {
		t.Run(name, func(t *testing.T) {
			changed := test.group.DeepCopy()
			changed.Spec.Hard = test.hard
			changed.Generation++
			for range 2 { // what it waits for does not end by being counted
				changed = settled(changed, sight{kind: "100", self: "0"}, test.gone...)
			}
			if got := quota.Counted(changed); got != test.counted {
				t.Errorf("counted: %t, want %t", got, test.counted)
			}
			if amount := changed.Status.Used["limits.cpu"]; len(test.gone) == 0 && amount.String() != "1" {
				t.Errorf("used %s, want what is reserved", &amount)
			}
		})
	}
}

func TestCounted(t *testing.T) {
	group := newGroup("nlp", "", list("cpu", "10"))
	if !quota.Counted(group) {
		t.Error("a counted group is not")
	}
	group.Generation++
	if quota.Counted(group) {
		t.Error("counted, though its spec has changed since")
	}
	if quota.Counted(&quota.Group{}) {
		t.Error("counted, though it never was")
	}
}

func TestEnded(t *testing.T) {
	const object = types.UID("web")
	tests := map[string]struct {
		base    string // the reservation's
		version string // of the object as seen
		seen    string // of the kind
		gone    bool
		left    bool // whether it was seen to go
		want    bool
	}{
		"a creation not seen":                    {seen: "100"},
		"a creation seen":                        {version: "90", seen: "90", want: true},
		"a creation seen, and its deletion":      {seen: "100", left: true, want: true},
		"a creation that led to nothing":         {seen: "100", gone: true, want: true},
		"a change, its base seen":                {base: "90", version: "90", seen: "100"},
		"a change, something before seen":        {base: "90", version: "80", seen: "89"},
		"a change, something after seen":         {base: "90", version: "91", seen: "91", want: true},
		"versions are numbers":                   {base: "99", version: "100", seen: "100", want: true},
		"and no strings":                         {base: "100", version: "99", seen: "99"},
		"a change, the object deleted":           {base: "90", seen: "95", want: true},
		"a change, the object not there yet":     {base: "90", seen: "85"},
		"a change, the kind seen up to its base": {base: "90", seen: "90"},
		"a change, nothing seen":                 {base: "90"},
		"a change that led to nothing":           {base: "90", version: "90", seen: "100", gone: true, want: true},
		"a version that is none":                 {base: "90", version: "x", seen: "100"},
		"a base that is none":                    {base: "x", version: "90", seen: "100"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			seen := quota.Seen{
				Versions: map[string]string{"deployments.apps": test.seen, "statefulsets.apps": "1000"},
				Version: func(uid types.UID) string {
					if uid != object {
						t.Errorf("asked for %s", uid)
					}
					return test.version
				},
				Gone:     map[types.UID]bool{"request": test.gone, "another": true},
				Departed: func(uid types.UID) bool { return test.left && uid == object },
			}
			reservation := stowagev1alpha1.Reservation{
				UID: "request", BaseResourceVersion: test.base, Object: stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Name: "web", UID: object},
			}
			if got := seen.Ended(reservation); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestBehind(t *testing.T) {
	group := newGroup("nlp", "", list("cpu", "10"))
	group.Status.Observed = []stowagev1alpha1.ObservedVersion{
		{Resource: "deployments.apps", ResourceVersion: "100"}, {Resource: "jobs.batch", ResourceVersion: "99"},
	}
	tests := map[string]struct {
		versions map[string]string
		unserved func(string) bool
		want     string
	}{
		"as much":           {versions: map[string]string{"deployments.apps": "100", "jobs.batch": "99"}},
		"more":              {versions: map[string]string{"deployments.apps": "1000", "jobs.batch": "100", "pods": "5"}},
		"less of one":       {versions: map[string]string{"deployments.apps": "1000", "jobs.batch": "98"}, want: "jobs.batch"},
		"less of the other": {versions: map[string]string{"deployments.apps": "99", "jobs.batch": "99"}, want: "deployments.apps"},
		"not listed yet":    {versions: map[string]string{"deployments.apps": "", "jobs.batch": "99"}, want: "deployments.apps"},
		"not served":        {versions: map[string]string{"deployments.apps": "100"}, unserved: func(resource string) bool { return resource == "jobs.batch" }},
		"not known whether": {versions: map[string]string{"deployments.apps": "100"}, unserved: func(string) bool { return false }, want: "jobs.batch"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (quota.Seen{Versions: test.versions, Unserved: test.unserved}).Behind(group); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := (quota.Seen{Versions: map[string]string{"jobs.batch": "1"}}).Behind(newGroup("new", "", list("cpu", "1"))); got != "" {
		t.Errorf("a group counted without versions: behind in %q", got)
	}
}

// sight is that of one deployment at some version; "" when it is not there.
type sight struct {
	version, kind string
	self          string
}

// settled is group counted by a view.
func settled(group *quota.Group, s sight, gone ...types.UID) *quota.Group {
	seen := quota.Seen{
		Self: list("limits.cpu", s.self), Versions: map[string]string{"deployments.apps": s.kind}, Gone: map[types.UID]bool{},
		Version: func(types.UID) string { return s.version },
	}
	for _, uid := range gone {
		seen.Gone[uid] = true
	}
	out := group.DeepCopy()
	out.Status = quota.Settle(group, seen, metav1.NewTime(monday))
	return out
}

// used is what the ledger says, and by how many reservations.
func used(group *quota.Group) (cores string, reservations int) {
	quantity := group.Status.Used["limits.cpu"]
	return quantity.String(), len(group.Status.Reservations)
}

func TestSettleOneObjectsLife(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "20"))
	expect := func(what, cores string, reservations int) {
		t.Helper()
		if gotCores, got := used(group); gotCores != cores || got != reservations {
			t.Errorf("%s: used %s with %d reservations, want %s with %d", what, gotCores, got, cores, reservations)
		}
	}
	reserve(group, "create", "web", "", list("limits.cpu", "4"))
	expect("created", "4", 1)
	group = settled(group, sight{kind: "100", self: "0"})
	expect("not seen yet", "4", 1)
	group = settled(group, sight{version: "101", kind: "101", self: "4"})
	expect("seen", "4", 0)
	reserve(group, "grow", "web", "101", list("limits.cpu", "6"))
	group = settled(group, sight{version: "101", kind: "150", self: "4"})
	expect("the growth is not seen yet", "10", 1)

	// It grows to 10, shrinks to 2 and grows to 10 again; the view sees that one by one.
	reserve(group, "grow again", "web", "103", list("limits.cpu", "8"))
	expect("grown, shrunk, grown", "18", 2)
	group = settled(group, sight{version: "102", kind: "102", self: "10"})
	expect("the first growth is seen", "18", 1)
	group = settled(group, sight{version: "103", kind: "103", self: "2"})
	expect("the shrinking is seen", "10", 1)
	group = settled(group, sight{version: "104", kind: "104", self: "10"})
	expect("the second growth is seen", "10", 0)

	reserve(group, "late", "web", "104", list("limits.cpu", "5"))
	group = settled(group, sight{kind: "160", self: "0"})
	expect("deleted", "0", 0)
}

func TestSettleEndsWhatLedToNothing(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "20"))
	reserve(group, "lost", "web", "", list("limits.cpu", "4"))
	reserve(group, "under way", "api", "", list("limits.cpu", "5"))
	group = settled(group, sight{kind: "100", self: "0"}, "lost")
	if cores, reservations := used(group); cores != "5" || reservations != 1 || group.Status.Reservations[0].UID != "under way" {
		t.Errorf("used %s with %v", cores, group.Status.Reservations)
	}
}

// What was seen is written down, by kind; a kind that is no longer served is not.
func TestSettleWritesVersions(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "20"))
	group.Status.Observed = []stowagev1alpha1.ObservedVersion{{Resource: "gone.example.com", ResourceVersion: "7"}, {Resource: "deployments.apps", ResourceVersion: "99"}}
	status := quota.Settle(group, quota.Seen{Versions: map[string]string{"jobs.batch": "5", "deployments.apps": "100"}, Version: unseen}, metav1.NewTime(monday))
	want := []stowagev1alpha1.ObservedVersion{{Resource: "deployments.apps", ResourceVersion: "100"}, {Resource: "jobs.batch", ResourceVersion: "5"}}
	if diff := cmp.Diff(want, status.Observed); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSettleCountsAll(t *testing.T) {
	group := newGroup("nlp", "", list("cpu", "10", "pods", "5", "cash/cpu", "100"))
	group.Generation = 3
	group.Status.SelfUsed["cash/cpu"] = list("x", "12500m")["x"]
	reserve(group, "request", "web", "", list("requests.cpu", "3", "pods", "3", "limits.cpu", "3"))
	before := group.DeepCopy()
	status := quota.Settle(group, quota.Seen{
		Self:     list("requests.cpu", "4", "pods", "2", "limits.memory", "1Gi"),
		Children: list("requests.cpu", "5", "cash/requests.cpu", "90"),
		Version:  unseen,
	}, metav1.NewTime(monday))
	if diff := cmp.Diff(map[string]string{"cpu": "4", "pods": "2", "cash/cpu": "12500m"}, text(status.SelfUsed)); diff != "" {
		t.Errorf("selfUsed: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"cpu": "12", "pods": "5", "cash/cpu": "102500m"}, text(status.Used)); diff != "" {
		t.Errorf("used = selfUsed + children + reservations: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(text(group.Spec.Hard), text(status.Hard)); diff != "" || status.ObservedGeneration != 3 {
		t.Errorf("generation %d, hard: -want +got:\n%s", status.ObservedGeneration, diff)
	}
	if diff := cmp.Diff(before, group, sameLists); diff != "" {
		t.Errorf("the group itself changed: -before +after:\n%s", diff)
	}
	over := meta.FindStatusCondition(status.Conditions, stowagev1alpha1.ConditionOvercommitted)
	if over == nil || over.Status != metav1.ConditionTrue || over.Message != "cpu: 12 used of 10" {
		t.Errorf("overcommitted: %+v", over)
	}
	out := meta.FindStatusCondition(status.Conditions, stowagev1alpha1.ConditionCashExhausted)
	if out == nil || out.Status != metav1.ConditionTrue || out.Message != "cash/cpu: 102 of 100 core-hours used" {
		t.Errorf("out of hours: %+v", out)
	}
}

func TestSettleConditions(t *testing.T) {
	tests := map[string]struct {
		used string
		over metav1.ConditionStatus
	}{"less": {"9", metav1.ConditionFalse}, "all": {"10", metav1.ConditionFalse}, "more": {"10001m", metav1.ConditionTrue}}
	for name, test := range tests {
		group := settled(newGroup("nlp", "", list("limits.cpu", "10")), sight{kind: "1", self: test.used})
		if got := meta.FindStatusCondition(group.Status.Conditions, stowagev1alpha1.ConditionOvercommitted); got.Status != test.over {
			t.Errorf("%s: overcommitted %s, want %s", name, got.Status, test.over)
		}
	}
	for used, want := range map[string]metav1.ConditionStatus{"99999m": metav1.ConditionFalse, "100": metav1.ConditionTrue, "101": metav1.ConditionTrue} {
		group := withUsed(newGroup("nlp", "", list("cash/limits.cpu", "100")), list("cash/limits.cpu", used))
		group = settled(group, sight{kind: "1", self: "0"})
		if got := meta.FindStatusCondition(group.Status.Conditions, stowagev1alpha1.ConditionCashExhausted); got.Status != want {
			t.Errorf("%s of 100: out of hours %s, want %s", used, got.Status, want)
		}
	}
}

// A condition's message has a bound, and a group may have 256 keys.
func TestSettleConditionMessageIsBounded(t *testing.T) {
	hard, self := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range 256 {
		key := corev1.ResourceName(fmt.Sprintf("limits.cpu.%063d", i))
		hard[key], self[key] = resource.MustParse("0"), resource.MustParse("1")
	}
	group := newGroup("nlp", "", hard)
	status := quota.Settle(group, quota.Seen{Self: self, Version: unseen}, metav1.NewTime(monday))
	over := meta.FindStatusCondition(status.Conditions, stowagev1alpha1.ConditionOvercommitted)
	if n := len(over.Message); n == 0 || n > 32768 {
		t.Errorf("a message of %d bytes", n)
	}
}

func TestDrifts(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("cpu", "10", "pods", "5", "cash/cpu", "100")), list("requests.cpu", "4", "pods", "2"))
	reserve(group, "request", "web", "", list("requests.cpu", "1", "pods", "1"))
	seen := quota.Seen{Self: list("requests.cpu", "4", "pods", "2"), Version: unseen}
	if drifts := quota.Drifts(group, seen); len(drifts) > 0 {
		t.Errorf("a ledger that is right drifts: %v", drifts)
	}
	seen.Self = list("requests.cpu", "3", "pods", "2")
	want := []quota.Drift{{Key: "cpu", Ledger: list("x", "5")["x"], Real: list("x", "4")["x"]}}
	if diff := cmp.Diff(want, quota.Drifts(group, seen), sameLists, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
