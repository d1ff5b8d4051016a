package quota

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// stood is since when reservations have stood, by group and request, as this process
// saw it. A reservation's own expiry is by the clock of the replica that made it; one
// of a request under way must not end because two clocks differ.
type stood struct {
	ttl time.Duration

	mu    sync.Mutex
	since map[string]map[types.UID]time.Time
}

func newStood(ttl time.Duration) *stood {
	return &stood{ttl: ttl, since: map[string]map[types.UID]time.Time{}}
}

// expiry is when the reservation has stood for its time here.
func (s *stood) expiry(group string, reservation stowagev1alpha1.Reservation, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since[group] == nil {
		s.since[group] = map[types.UID]time.Time{}
	}
	since, ok := s.since[group][reservation.UID]
	if !ok {
		since = now
		s.since[group][reservation.UID] = now
	}
	return since.Add(s.ttl)
}

// keep forgets the group's reservations that stand no more.
func (s *stood) keep(group *quota.Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	standing := make(map[types.UID]time.Time, len(group.Status.Reservations))
	for _, reservation := range group.Status.Reservations {
		if since, ok := s.since[group.Name][reservation.UID]; ok {
			standing[reservation.UID] = since
		}
	}
	s.since[group.Name] = standing
}

// forget forgets a group.
func (s *stood) forget(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, group)
}
