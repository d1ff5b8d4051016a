package storm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

const (
	// calm is the time between two blows.
	calm = 10 * time.Second
	// downAtMost is how long a manager stays away.
	downAtMost = 3 * time.Second
)

// chaos strikes until its context ends.
type chaos struct {
	rig      *rig.Rig
	rng      *rand.Rand
	duration time.Duration
	counters counters
	starting errgroup.Group
	down     []atomic.Bool // by manager
	began    time.Time
	journal  []string // what happened when
	away     []span   // when there was no API server, or one that had just started

	kills, terms, revived int
	restarts              map[lab.Component]int
}

func newChaos(r *rig.Rig, seed uint64, lasts time.Duration) *chaos {
	return &chaos{
		rig: r, rng: rand.New(rand.NewPCG(seed, 'c')), duration: lasts,
		down: make([]atomic.Bool, r.Size()), restarts: map[lab.Component]int{}, began: time.Now(),
	}
}

// span is a time.
type span struct{ from, to time.Time }

func (c *chaos) note(format string, args ...any) {
	c.journal = append(c.journal, fmt.Sprintf("%s: ", time.Since(c.began).Round(100*time.Millisecond))+fmt.Sprintf(format, args...))
}

// run strikes every ten seconds: the API server and etcd restart at a quarter and at a half of the time, or every
// three minutes, else a manager is killed or the leader is ended.
func (c *chaos) run(ctx context.Context) error {
	const often = 3 * time.Minute
	every := min(c.duration/4, often)
	nextAPIServer, nextEtcd := time.Now().Add(every), time.Now().Add(2*every)
	// What has begun is ended even when time is up.
	strike := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		var err error
		switch now := time.Now(); {
		case now.After(nextAPIServer):
			err, nextAPIServer = c.restart(strike, lab.APIServer), now.Add(2*every)
		case now.After(nextEtcd):
			err, nextEtcd = c.restart(strike, lab.Etcd), now.Add(2*every)
		case c.rng.IntN(3) == 0:
			err = c.terminateLeader(strike)
		default:
			err = c.kill(strike)
		}
		if err != nil {
			return errors.Join(err, c.starting.Wait())
		}
		sleep(ctx, calm)
		c.revive(strike)
	}
	return c.starting.Wait()
}

// victim draws a manager; false when only one runs.
func (c *chaos) victim() (int, bool) {
	var up []int
	for i := range c.down {
		if !c.down[i].Load() {
			up = append(up, i)
		}
	}
	if len(up) < 2 {
		return 0, false
	}
	return up[c.rng.IntN(len(up))], true
}

// kill ends a manager with SIGKILL; it starts again after a while.
func (c *chaos) kill(ctx context.Context) error {
	i, ok := c.victim()
	if !ok {
		return nil
	}
	c.counters.read(ctx, c.rig, i)
	c.kills++
	c.note("manager %d killed", i)
	if err := c.rig.Kill(i); err != nil {
		return err
	}
	c.startLater(ctx, i)
	return nil
}

// terminateLeader ends the leader with SIGTERM; it starts again after a while.
func (c *chaos) terminateLeader(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	i, err := c.rig.Leader(asking)
	if err != nil || c.down[i].Load() {
		return c.kill(ctx) // nobody leads at the moment
	}
	c.counters.read(ctx, c.rig, i)
	c.terms++
	c.note("manager %d, the leader, ended", i)
	if err := c.rig.Terminate(i); err != nil {
		return err
	}
	c.startLater(ctx, i)
	return nil
}

// startLater starts a manager that is down, after a while.
func (c *chaos) startLater(ctx context.Context, i int) {
	c.down[i].Store(true)
	pause := time.Duration(c.rng.Float64() * float64(downAtMost))
	c.starting.Go(func() error {
		defer c.down[i].Store(false)
		sleep(ctx, pause)
		// It may end again while the API server is away; a kubelet does not give up.
		var err error
		for range restartTries {
			if err = c.rig.Restart(ctx, i); err == nil {
				return nil
			}
			sleep(ctx, time.Second)
		}
		return err
	})
}

// restartTries is how often in a row a manager may fail to start.
const restartTries = 5

// restart kills a component of the control plane and starts it again; the first time, and every other time after
// that, a manager is killed with it.
func (c *chaos) restart(ctx context.Context, component lab.Component) error {
	c.restarts[component]++
	c.note("%s killed", component)
	down := span{from: time.Now()}
	if err := cluster.Stop(ctx, component); err != nil {
		return err
	}
	if c.restarts[component]%2 == 1 {
		if err := c.kill(ctx); err != nil {
			return err
		}
	}
	err := startAgain(ctx, component)
	c.note("%s is back", component)
	down.to = time.Now().Add(starting)
	c.away = append(c.away, down)
	return err
}

// starting is how long an API server that says it is ready may not have read its own roles yet: it forbids
// everything to everybody then.
const starting = 3 * time.Second

// revive starts the managers that ended by themselves, as a kubelet would: a leader ends when it cannot renew its
// lease, while there is no API server.
func (c *chaos) revive(ctx context.Context) {
	for i := range c.down {
		if !c.down[i].Load() && !c.counters.read(ctx, c.rig, i) {
			c.revived++
			c.note("manager %d had ended by itself", i)
			c.startLater(ctx, i)
		}
	}
}

// startAgain starts a component of the control plane that was stopped, and waits until the API server serves.
func startAgain(ctx context.Context, component lab.Component) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	address := cluster.RESTConfig().Host
	if component == lab.Etcd {
		var err error
		if address, err = etcdEndpoint(cluster); err != nil {
			return err
		}
	}
	// A process that was killed may still hold its port for a moment.
	for _, address, _ = strings.Cut(address, "://"); ; sleep(ctx, 10*time.Millisecond) {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		connection.Close()
	}
	if err := cluster.Start(ctx, component); err != nil {
		return err
	}
	return cluster.Start(ctx, lab.APIServer) // without etcd it was not ready
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// counters sum up the managers' counters over their restarts: each is read often, and before its process is killed.
type counters struct {
	last map[string]float64 // by manager and name
	sum  map[string]float64 // by name
}

// The counters that are summed up.
const (
	ledgerConflicts = "stowage_quota_ledger_conflicts_total"
	countConflicts  = "stowage_quota_count_conflicts_total"
	unsettled       = "stowage_quota_ledger_unsettled_total"
	ledgerWrites    = "stowage_quota_ledger_writes_total"
)

// read reads a manager's counters; false when it does not answer.
func (c *counters) read(ctx context.Context, r *rig.Rig, i int) bool {
	if c.last == nil {
		c.last, c.sum = map[string]float64{}, map[string]float64{}
	}
	text, err := r.Metrics(ctx, i)
	if err != nil {
		return false
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, number, ok := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || name != ledgerConflicts && name != countConflicts && name != unsettled && name != ledgerWrites {
			continue
		}
		key := fmt.Sprint(i, name)
		before := c.last[key]
		if value < before { // another process
			before = 0
		}
		c.sum[name] += value - before
		c.last[key] = value
	}
	return true
}

// leaderChanges is how often the managers' lease went to another.
func leaderChanges(ctx context.Context) (int32, error) {
	var lease *coordinationv1.Lease
	lease, err := cluster.Client().CoordinationV1().Leases(install.DefaultNamespace).Get(ctx, install.ManagerName, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	if lease.Spec.LeaseTransitions == nil {
		return 0, errors.New("the managers' lease counts no transitions")
	}
	return *lease.Spec.LeaseTransitions, nil
}
