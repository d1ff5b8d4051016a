package quota

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// usersTTL is how long the users of a key are remembered, and mostUsed of how many keys.
// Refusals may come in floods, and each group's workloads are many.
const (
	usersTTL = 5 * time.Second
	mostUsed = 64
)

// users remembers who uses groups' keys. It is safe for concurrent use.
type users struct {
	clock clock.PassiveClock
	find  func(*quota.Group, corev1.ResourceName) []quota.User

	mu   sync.Mutex
	seen map[usedKey]usersSeen
}

// usedKey is a key of a group's.
type usedKey struct {
	group string
	key   corev1.ResourceName
}

// usersSeen are the users of a key as they were seen.
type usersSeen struct {
	users []quota.User
	at    time.Time
}

// of are the users of a group's key, the largest first, as of a moment ago. They must not
// be changed.
func (u *users) of(group *quota.Group, key corev1.ResourceName) []quota.User {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, of := u.clock.Now(), usedKey{group.Name, key}
	if seen, ok := u.seen[of]; ok && now.Sub(seen.at) < usersTTL {
		return seen.users
	}
	if len(u.seen) >= mostUsed || u.seen == nil {
		u.seen = map[usedKey]usersSeen{}
	}
	found := u.find(group, key)
	u.seen[of] = usersSeen{found, now}
	return found
}
