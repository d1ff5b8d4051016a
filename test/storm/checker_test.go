package storm

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// checker replays versions in their order, and counts the instants at which a group is over.
type checker struct {
	mu        sync.Mutex
	workloads map[string]charged    // by key
	groups    map[string]*groupSums // by name; kept when the group is deleted
	buckets   map[string]*bucket    // by root
	roots     map[string]string     // by the key of what came of them
	pulse     pulse

	// instants is how many pairs of a revision and a group were compared, over those at which a group's
	// workloads and children had more than its ceiling, unaccounted those at which they had more than its
	// ledger said was used, lowered those at which they had more than a hard that had been lowered, and no more
	// than the ceiling.
	instants, over, unaccounted, lowered int
	// lived is how many of the instants had more pods than the ceiling and what controllers do by themselves
	// explains; excused those that it does explain, by the first reason that is enough with those before it; untold
	// the times that a ledger did not tell of its group's pods for longer than bound.
	lived, untold int
	excused       [reasons]int
	// findings tell of the first of them.
	findings []string
}

// groupSums is one group as of a revision.
type groupSums struct {
	ledger    // zero when the group does not exist
	exists    bool
	persisted amounts // what its workloads charge and its children's hard are
	ceiling   amounts // see package storm
	living    share
	hardOfAll amounts // its children's hard
	silent    bool    // the ledger does not tell what lives
	since     time.Duration
	told      bool // of that
	// history is what happened to it last: what a finding is read with.
	history []string
	found   bool // a finding told of it
}

// remembered is how much of its history a group keeps.
const remembered = 12

// remember keeps what happened to the group.
func (g *groupSums) remember(format string, args ...any) {
	g.history = append(g.history, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
	g.history = g.history[max(0, len(g.history)-remembered):]
}

func newChecker() *checker {
	return &checker{workloads: map[string]charged{}, groups: map[string]*groupSums{}, buckets: map[string]*bucket{}, roots: map[string]string{}}
}

// take decodes a version and applies it.
func (c *checker) take(v version) error {
	change, matters, err := decode(v)
	if err != nil || !matters {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(change)
	return nil
}

// apply takes in a change and compares every group.
func (c *checker) apply(change change) {
	name, ok := strings.CutPrefix(change.key, groupsKey)
	switch {
	case ok:
		c.putGroup(name, change)
	case change.key == leaseKey:
		c.pulse.beat(change.lease)
	default:
		c.putWorkload(change)
		c.putStanding(change.key, change.standing)
	}
	for name, g := range c.groups {
		if g.exists || g.persisted != (amounts{}) {
			c.compare(change, name, g)
		}
		if g.exists || g.living.lives != (amounts{}) {
			c.comparePods(change, name, g)
		}
	}
}

// group is the named group's sums, made when they are first needed.
func (c *checker) group(name string) *groupSums {
	if c.groups[name] == nil {
		c.groups[name] = &groupSums{}
	}
	return c.groups[name]
}

func (c *checker) putWorkload(change change) {
	key, now := change.key, change.workload
	if before, ok := c.workloads[key]; ok && before.group != "" {
		g := c.group(before.group)
		g.persisted = g.persisted.minus(before.amounts)
		g.remember("%d %s no more %v", change.revision, key, before.amounts)
	}
	delete(c.workloads, key)
	if now != nil && now.group != "" {
		c.workloads[key] = *now
		g := c.group(now.group)
		g.persisted = g.persisted.plus(now.amounts)
		g.remember("%d %s %v, %s, by %s", change.revision, key, now.amounts, now.uid, now.by)
	}
}

func (c *checker) putGroup(name string, change change) {
	g, now := c.group(name), change.group
	if g.exists && g.parent != "" {
		parent := c.group(g.parent)
		parent.persisted, parent.hardOfAll = parent.persisted.minus(g.hard), parent.hardOfAll.minus(g.hard)
	}
	if now == nil {
		g.ledger, g.exists, g.ceiling = ledger{}, false, amounts{}
		g.remember("%d gone", change.revision)
		return
	}
	g.remember("%d ledger: hard %v, used %v, reserved %s", change.revision, now.hard, now.used, now.reservations)
	if now.parent != "" {
		parent := c.group(now.parent)
		parent.persisted, parent.hardOfAll = parent.persisted.plus(now.hard), parent.hardOfAll.plus(now.hard)
	}
	for i := range keys {
		if now.hard[i] < g.hard[i] { // lowered: what was reserved may still arrive
			g.ceiling[i] = now.used[i]
		}
		g.ceiling[i] = max(now.hard[i], min(g.ceiling[i], now.used[i]))
	}
	g.ledger, g.exists = *now, true
}

// compare looks at one group after one revision.
func (c *checker) compare(change change, name string, g *groupSums) {
	c.instants++
	var over, unaccounted, lowered []string
	for i, key := range keys {
		at := fmt.Sprintf("%s: %d persisted, hard %d, ceiling %d, used %d", key, g.persisted[i], g.hard[i], g.ceiling[i], g.used[i])
		switch {
		case g.persisted[i] > g.ceiling[i]:
			over = append(over, at)
		case g.persisted[i] > g.hard[i]:
			lowered = append(lowered, at)
		}
		if g.persisted[i] > g.used[i] {
			unaccounted = append(unaccounted, at)
		}
	}
	c.count(&c.over, over, "over", change, name)
	c.count(&c.unaccounted, unaccounted, "not in the ledger", change, name)
	if len(lowered) > 0 {
		c.lowered++
	}
}

func (c *checker) count(counter *int, what []string, is string, change change, group string) {
	const most = 30
	if len(what) == 0 {
		return
	}
	if *counter++; len(c.findings) < most {
		c.findings = append(c.findings, fmt.Sprintf("revision %d (%s): group %s is %s: %s", change.revision, change.key, group, is, strings.Join(what, "; ")))
		if g := c.group(group); !g.found {
			g.found = true
			c.findings = append(c.findings, g.history...)
		}
	}
}

// comparePods looks at what lives of one group after one revision.
func (c *checker) comparePods(change change, name string, g *groupSums) {
	lives := g.living.lives.plus(g.hardOfAll)
	over, covered := !lives.within(g.ceiling), lives.within(g.used)
	c.listen(change, name, g, covered && (g.over || !over))
	if !over {
		return
	}
	for r := range reasons {
		if lives = lives.minus(g.living.excuses[r]); lives.within(g.ceiling) {
			c.excused[r]++
			return
		}
	}
	c.count(&c.lived, c.pods(name, g), "over with its pods", change, name)
}

// listen finds out for how long a ledger has not told of what lives.
func (c *checker) listen(change change, name string, g *groupSums, tells bool) {
	switch {
	case tells || !g.exists:
		g.silent, g.told = false, false
	case !g.silent:
		g.silent, g.since = true, c.pulse.up
	case c.pulse.up-g.since > bound && !g.told:
		g.told = true
		c.count(&c.untold, c.pods(name, g), fmt.Sprintf("for %s of a leader silent on its pods", bound), change, name)
	}
}

// pods tells what lives of a group.
func (c *checker) pods(name string, g *groupSums) []string {
	text := []string{fmt.Sprintf("%v live, children %v, hard %v, ceiling %v, used %v, Overcommitted %t", g.living.lives, g.hardOfAll, g.hard, g.ceiling, g.used, g.over)}
	for r, much := range g.living.excuses {
		if much != (amounts{}) {
			text = append(text, fmt.Sprintf("%s %v", reason(r), much))
		}
	}
	for root, b := range c.buckets {
		if s, ok := b.shares[name]; ok && s.lives != (amounts{}) {
			text = append(text, fmt.Sprintf("%s: %v", root, s))
		}
	}
	return text
}

// within says whether no key has more than b.
func (a amounts) within(b amounts) bool { return a.atLeast(b) == b }

// drifts are the groups whose ledger differs from what is there, and those with reservations.
func (c *checker) drifts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var drifts []string
	for name, g := range c.groups {
		if charge := g.living.charge.plus(g.hardOfAll); g.exists && (g.used != charge || len(g.reservations) > 0) {
			drifts = append(drifts, fmt.Sprintf("group %s: used %v, charged %v, reserved %s", name, g.used, charge, g.reservations))
		}
	}
	slices.Sort(drifts)
	return drifts
}

// TestChecker feeds the checker logs by hand: it must see what the storm is to find, and nothing else.
func TestChecker(t *testing.T) {
	workload := func(key, group string, pods int64) change {
		return change{key: key, workload: &charged{group: group, amounts: amounts{pods * 1000, 0, 0, pods}}}
	}
	group := func(name, parent string, hard, used int64) change {
		return change{key: groupsKey + name, group: &ledger{parent: parent, hard: amounts{hard * 1000, 0, 0, hard}, used: amounts{used * 1000, 0, 0, used}}}
	}
	gone := func(key string) change { return change{key: key} }
	tests := []struct {
		name                       string
		log                        []change
		over, unaccounted, lowered int
	}{
		{"within", []change{group("a", "", 4, 4), workload("pods/x/1", "a", 2), workload("pods/x/2", "a", 2)}, 0, 0, 0},
		{"one pod too many", []change{group("a", "", 4, 5), workload("pods/x/1", "a", 2), workload("pods/x/2", "a", 3)}, 1, 0, 0},
		{"over until it is deleted", []change{
			group("a", "", 4, 5), workload("pods/x/1", "a", 5), group("a", "", 4, 5), gone("pods/x/1"), group("a", "", 4, 0),
		}, 2, 0, 0},
		{"grown in place", []change{group("a", "", 4, 5), workload("pods/x/1", "a", 4), workload("pods/x/1", "a", 5)}, 1, 0, 0},
		{"moved into a full group", []change{
			group("a", "", 4, 4), group("b", "", 4, 5), workload("pods/x/1", "a", 4), workload("pods/x/2", "b", 1), workload("pods/x/1", "b", 4),
		}, 1, 0, 0},
		{"moved out", []change{
			group("a", "", 4, 4), group("b", "", 4, 4), workload("pods/x/1", "a", 4), workload("pods/x/1", "b", 4), workload("pods/x/2", "a", 4),
		}, 0, 0, 0},
		{"children take the parent's", []change{group("a", "", 4, 5), group("b", "a", 3, 0), workload("pods/x/1", "a", 2)}, 1, 0, 0},
		{"two children at once", []change{group("a", "", 4, 6), group("b", "a", 3, 0), group("c", "a", 3, 0)}, 1, 0, 0},
		{"a child's hard raised", []change{group("a", "", 4, 5), group("b", "a", 3, 0), group("b", "a", 5, 0)}, 1, 0, 0},
		{"a child deleted makes room", []change{group("a", "", 4, 4), group("b", "a", 3, 0), gone(groupsKey + "b"), workload("pods/x/1", "a", 4)}, 0, 0, 0},
		{"no such group", []change{workload("pods/x/1", "a", 1)}, 1, 1, 0},
		{"group deleted under its workloads", []change{group("a", "", 4, 4), workload("pods/x/1", "a", 1), gone(groupsKey + "a")}, 1, 1, 0},
		{"not in the ledger", []change{group("a", "", 4, 1), workload("pods/x/1", "a", 2)}, 0, 1, 0},
		{"a count drops what is there", []change{group("a", "", 4, 2), workload("pods/x/1", "a", 2), group("a", "", 4, 0)}, 0, 1, 0},
		{"lowered", []change{group("a", "", 4, 4), workload("pods/x/1", "a", 4), group("a", "", 2, 4)}, 0, 0, 1},
		{"lowered, reserved before", []change{group("a", "", 4, 4), workload("pods/x/1", "a", 3), group("a", "", 2, 4), workload("pods/x/2", "a", 1)}, 0, 0, 2},
		{"lowered, admitted after", []change{group("a", "", 4, 3), workload("pods/x/1", "a", 3), group("a", "", 2, 3), group("a", "", 2, 4), workload("pods/x/2", "a", 1)}, 1, 0, 2},
		{"lowered, shrunk and grown", []change{
			group("a", "", 4, 4), workload("pods/x/1", "a", 4), group("a", "", 2, 4), workload("pods/x/1", "a", 3), group("a", "", 2, 3), workload("pods/x/1", "a", 4),
		}, 1, 1, 3},
		{"lowered and raised", []change{
			group("a", "", 4, 4), workload("pods/x/1", "a", 4), group("a", "", 2, 4), group("a", "", 5, 4), group("a", "", 5, 5), workload("pods/x/1", "a", 5),
		}, 0, 0, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newChecker()
			for i, change := range tc.log {
				change.revision = int64(i + 1)
				c.apply(change)
			}
			if c.over != tc.over || c.unaccounted != tc.unaccounted || c.lowered != tc.lowered {
				t.Errorf("over %d, unaccounted %d, lowered %d, want %d, %d, %d:\n%s", c.over, c.unaccounted, c.lowered,
					tc.over, tc.unaccounted, tc.lowered, strings.Join(c.findings, "\n"))
			}
		})
	}
}
