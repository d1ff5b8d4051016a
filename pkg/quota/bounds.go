package quota

import (
	"errors"
	"fmt"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// What may stand in one group's ledger before its controller has to come: the object
// stays within what etcd stores, and an update of it quick. One requester may hold a
// share of that by what has not been seen to come to be, so that what one makes in vain
// leaves the ledger to the others.
const (
	mostReservations = 1000
	mostBytes        = 512 << 10
	shares           = 4
)

// ErrFull says that a group's ledger has no room for a reservation.
var ErrFull = errors.New("has more reservations than the controller has come to count yet")

// Standing measures what stands in a group's ledger by its bounds. Not safe for
// concurrent use.
type Standing struct {
	group      *Group
	found      func(stowagev1alpha1.Reservation) bool
	all        load
	requesters map[string]load // without what was found, of those who came to their share
}

// load is a number of reservations, and of bytes as they are written.
type load struct{ count, bytes int }

func (l load) plus(r stowagev1alpha1.Reservation) load { return load{l.count + 1, l.bytes + sizeOf(r)} }

func (l load) within(share int) bool {
	return l.count <= mostReservations/share && l.bytes <= mostBytes/share
}

// NewStanding measures the ledger of a group, to which reservations are added by Reserve
// after Take. found says whether what a reservation is for was seen.
func NewStanding(group *Group, found func(stowagev1alpha1.Reservation) bool) *Standing {
	s := &Standing{group: group, found: found, requesters: map[string]load{}}
	for _, reservation := range group.Status.Reservations {
		s.all = s.all.plus(reservation)
	}
	return s
}

// Take makes room for a reservation, which is needed where no earlier one is for the
// same. The error is ErrFull, or says that the requester has come to its share.
func (s *Standing) Take(reservation stowagev1alpha1.Reservation) error {
	if askedBefore(s.group, reservation.Object, reservation.BaseResourceVersion) >= 0 {
		return nil
	}
	reservation.Amounts = held(s.group, reservation)
	all := s.all.plus(reservation)
	if !all.within(1) {
		return ErrFull
	}
	if err := s.takeOfShare(reservation); err != nil {
		return err
	}
	s.all = all
	return nil
}

// takeOfShare takes of what the requester may hold. Only who may be near that is looked
// at in full, and once.
func (s *Standing) takeOfShare(reservation stowagev1alpha1.Reservation) error {
	who := reservation.Requester
	if who == "" || s.all.plus(reservation).within(shares) {
		return nil
	}
	held, measured := s.requesters[who]
	if !measured {
		held = s.heldBy(who)
	}
	more := held.plus(reservation)
	if !more.within(shares) {
		s.requesters[who] = held
		return fmt.Errorf("%d of your changes to it were admitted and have not come to be yet, as many as you may have: see why they fail; each is forgotten within a minute", held.count)
	}
	s.requesters[who] = more
	return nil
}

// heldBy is what a requester's reservations hold that was not found.
func (s *Standing) heldBy(who string) load {
	var held load
	for _, reservation := range s.group.Status.Reservations {
		if reservation.Requester == who && !s.found(reservation) {
			held = held.plus(reservation)
		}
	}
	return held
}

// sizeOf is about, and at least, how many bytes a reservation is as JSON.
func sizeOf(r stowagev1alpha1.Reservation) int {
	const fields, amount = 192, 48 // names of fields and the expiry; a quantity as text
	size := fields + len(r.UID) + len(r.Requester) + len(r.BaseResourceVersion) +
		len(r.Object.Resource) + len(r.Object.Namespace) + len(r.Object.Name) + len(r.Object.UID)
	for key := range r.Amounts {
		size += len(key) + amount
	}
	return size
}
