package storm

import (
	"time"

	"github.com/stowage-dev/stowage/pkg/install"
)

// bound is within what time a ledger tells of what lives, while there is a leader.
const bound = 5 * time.Second

// leaseKey is the key of the managers' lease.
const leaseKey = "leases/" + install.DefaultNamespace + "/" + install.ManagerName

// lease is a version of the managers' lease.
type lease struct {
	holder  string
	renewed time.Time
}

// pulse counts the time in which a manager led: its lease is the journal of outages, as nobody renews it who is not
// there, or has no API server. A new leader has to look around first, and so has an old one that was away.
type pulse struct {
	last  lease
	since time.Time
	up    time.Duration
}

const (
	// missed is for how long the leader may say nothing and was there: it renews its lease every two seconds.
	missed = 4 * time.Second
	// lookAround is how long a leader needs until it counts.
	lookAround = 5 * time.Second
)

// beat takes in a version of the lease; nil when it is gone.
func (p *pulse) beat(now *lease) {
	if now == nil {
		p.last = lease{}
		return
	}
	gap := now.renewed.Sub(p.last.renewed)
	switch {
	case now.holder == "" || now.holder != p.last.holder || gap > missed:
		p.since = now.renewed
	case p.last.renewed.Sub(p.since) >= lookAround:
		p.up += gap
	}
	p.last = *now
}
