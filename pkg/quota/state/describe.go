package state

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Description is all that is known of one group. Amounts are by the group's own
// keys, as its hard spells them, with those of nothing left out.
type Description struct {
	// Group is the object: who may charge it, its history and conditions are there.
	Group *quota.Group
	// Item is the group in the report of the tree.
	Item report.QuotaTreeItem
	// Refills is when the hours used next start again at zero; zero for never.
	Refills time.Time
	// Workloads are those that the group counts, those first that have most of the key of
	// which the largest share is used, then of any key, then by namespace, kind and name. Of
	// hours of what the group limits by no other key, they have what their pods use an hour.
	Workloads []quota.Charged
	// Children are the groups below it, in the same order.
	Children []Child
	// Reservations are what was admitted and not yet counted.
	Reservations []Reservation
	// Events are what was said of the group, the last one last.
	Events []Event
}

// Child is a group that takes its hard out of the group described.
type Child struct {
	Name, DisplayName string
	Hard              corev1.ResourceList
}

// Reservation is one that stands in the ledger.
type Reservation struct {
	Object  stowagev1alpha1.ObjectReference
	Amounts corev1.ResourceList
	Expiry  time.Time
	// Expired reservations stand until it is known that they led to nothing.
	Expired bool
}

// Event is what was said of a group, and when it was last.
type Event struct {
	*corev1.Event
	At time.Time
}

// Describe tells all that is known of the named group.
func (s *State) Describe(name string) (*Description, error) {
	group, err := s.Group(name)
	if err != nil {
		return nil, err
	}
	return &Description{
		Group:        group,
		Item:         s.item(group, 0),
		Refills:      quota.NextRefill(group, s.Now),
		Workloads:    s.charged(group),
		Children:     s.children(group),
		Reservations: s.reservations(group),
		Events:       s.events(group),
	}, nil
}

func (s *State) charged(group *quota.Group) []quota.Charged {
	charged := s.Workloads.Workloads(group)
	for i := range charged {
		charged[i].Charge = withHours(group, charged[i].Charge)
	}
	largestFirst(group, charged, func(c quota.Charged) corev1.ResourceList { return c.Charge })
	return charged
}

func (s *State) children(group *quota.Group) []Child {
	var children []Child
	for _, child := range s.Groups.Children(group.Name) {
		children = append(children, Child{Name: child.Name, DisplayName: displayName(child), Hard: spelled(group, quota.CanonicalList(child.Spec.Hard))})
	}
	largestFirst(group, children, func(child Child) corev1.ResourceList { return child.Hard })
	return children
}

// largestFirst sorts what has amounts of the group's: by the share of its scarcest key, then
// of any.
func largestFirst[T any](group *quota.Group, all []T, amounts func(T) corev1.ResourceList) {
	key := scarcest(group)
	slices.SortStableFunc(all, func(a, b T) int {
		of, than := amounts(a), amounts(b)
		return cmp.Or(cmp.Compare(share(group, key, than), share(group, key, of)), cmp.Compare(largestShare(group, than), largestShare(group, of)))
	})
}

// scarcest is the key of the group of which the largest share is used; hours only where there
// is no other, as what runs has none of them.
func scarcest(group *quota.Group) corev1.ResourceName {
	keys := quota.Keys(group.Spec.Hard)
	if amounts := slices.DeleteFunc(slices.Clone(keys), quota.IsCash); len(amounts) > 0 {
		keys = amounts
	}
	var most corev1.ResourceName
	for _, key := range keys {
		if most == "" || share(group, key, group.Status.Used) > share(group, most, group.Status.Used) {
			most = key
		}
	}
	return most
}

// share is the part of a key of the group's that the amounts are.
func share(group *quota.Group, key corev1.ResourceName, amounts corev1.ResourceList) float64 {
	amount, hard := amounts[key], group.Spec.Hard[key]
	return amount.AsApproximateFloat64() / max(hard.AsApproximateFloat64(), 1e-9)
}

// largestShare is the largest part of any key of the group's that the amounts are.
func largestShare(group *quota.Group, amounts corev1.ResourceList) float64 {
	largest := 0.0
	for key := range amounts {
		largest = max(largest, share(group, key, amounts))
	}
	return largest
}

func (s *State) reservations(group *quota.Group) []Reservation {
	var reservations []Reservation
	for _, reservation := range group.Status.Reservations {
		expiry := reservation.Expiry.Time
		reservations = append(reservations, Reservation{
			Object: reservation.Object, Amounts: spelled(group, reservation.Amounts), Expiry: expiry, Expired: !expiry.After(s.Now),
		})
	}
	return reservations
}

// spelled is what amounts, of canonical keys, have of the group's keys.
func spelled(group *quota.Group, amounts corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for key := range group.Spec.Hard {
		if quantity := amounts[quota.Canonical(key)]; !quantity.IsZero() {
			out[key] = quantity
		}
	}
	return out
}

// withHours are the amounts spelled, with what they use an hour of hours of what the group
// limits by no other key.
func withHours(group *quota.Group, amounts corev1.ResourceList) corev1.ResourceList {
	out, limited := spelled(group, amounts), quota.CanonicalList(group.Spec.Hard)
	for key := range group.Spec.Hard {
		base := quota.Uncash(quota.Canonical(key))
		if _, also := limited[base]; !quota.IsCash(key) || also {
			continue
		}
		if quantity := amounts[base]; !quantity.IsZero() {
			out[key] = quantity
		}
	}
	return out
}

func (s *State) events(group *quota.Group) []Event {
	var events []Event
	for _, event := range s.Snapshot.Events {
		if event.InvolvedObject.Kind == stowagev1alpha1.BizGroupResourceQuotaKind && event.InvolvedObject.Name == group.Name {
			events = append(events, Event{Event: event, At: snapshot.LastSeen(event)})
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events
}
