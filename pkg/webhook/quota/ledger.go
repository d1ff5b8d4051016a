package quota

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// judge decides a request by a tree that has the group it was made for, unless there
// is no such group. What it allows may need a reservation; nil where nothing grows.
// It is called once for each state that the request is judged by, must not block,
// and may add to the tree.
type judge func(*quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation)

// ledger makes reservations in the groups' status. There is one in a process; it is
// safe for concurrent use.
type ledger struct {
	groups *groups
	reader client.Reader            // live
	writer client.SubResourceWriter // of the status
	meters *meters
	// found says whether what a reservation is for was seen by this process.
	found func(stowagev1alpha1.Reservation) bool

	mu sync.Mutex
	// waiting are the requests not taken yet, by group. A group is in it for as long
	// as a goroutine serves it.
	waiting map[string][]*request
}

func newLedger(groups *groups, reader client.Reader, writer client.SubResourceWriter, meters *meters) *ledger {
	return &ledger{
		groups: groups, reader: reader, writer: writer, meters: meters, waiting: map[string][]*request{},
		found: func(stowagev1alpha1.Reservation) bool { return false },
	}
}

// subject is what a request is about.
type subject struct {
	// request is the admission request, object what it creates or changes.
	request types.UID
	object  stowagev1alpha1.ObjectReference
	// base is the version of the object that is changed; empty for a creation.
	base string
}

// request is one that waits for its group.
type request struct {
	subject
	ctx   context.Context
	judge judge
	check *report.QuotaCheck      // by the state judged last; nil before
	waits error                   // for the controller to end what, before there is an answer
	err   error                   // in place of a check
	done  chan *report.QuotaCheck // buffered: who asked may be gone; nil for err

	mu  sync.Mutex
	why error // why it is not settled yet
}

var (
	// errStale asks for a live state.
	errStale      = errors.New("what is known of it may be old")
	errNotCounted = errors.New("is not counted yet by the controller")
	errNotEnded   = errors.New("an earlier change of the object is not counted yet by the controller")
)

// charge judges a request of the named group and writes the reservation that it
// needs. The error says that this could not be done before ctx ended; the reservation
// may stand then, until its expiry.
func (l *ledger) charge(ctx context.Context, group string, subject subject, judge judge) (*report.QuotaCheck, error) {
	if known := l.groups.get(group); known != nil {
		if check, reservation := judge(quota.NewTree([]*quota.Group{known})); check.Allowed && reservation == nil {
			return check, nil
		}
	}
	r := &request{subject: subject, ctx: ctx, judge: judge, done: make(chan *report.QuotaCheck, 1)}
	l.enqueue(group, r)
	select {
	case check := <-r.done:
		if check == nil {
			return nil, fmt.Errorf("group %s: %w", group, r.err)
		}
		return check, nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		return nil, l.unsettled(group, r.why)
	}
}

// judgeLive judges by the live state of the named group, and writes nothing.
func (l *ledger) judgeLive(ctx context.Context, name string, judge judge) (*report.QuotaCheck, error) {
	for backoff := retries(); ; {
		group, err := l.readToJudge(ctx, name)
		if err == nil {
			check, _ := judge(l.groups.around(name, group))
			return check, nil
		}
		select {
		case <-time.After(backoff.Step()):
		case <-ctx.Done():
			return nil, l.unsettled(name, err)
		}
	}
}

// unsettled says that time ran out, and what for.
func (l *ledger) unsettled(group string, why error) error {
	l.meters.unsettled.Inc()
	if why == nil {
		why = errors.New("its ledger could not be written in time")
	}
	return fmt.Errorf("group %s: %w", group, why)
}

// enqueue lets r wait for its group, and sees to it that somebody serves that.
func (l *ledger) enqueue(group string, r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting, served := l.waiting[group]
	l.waiting[group] = append(waiting, r)
	if !served {
		go l.serve(group)
	}
}

// serve settles the group's requests until none waits.
func (l *ledger) serve(group string) {
	for l.settle(group) {
	}
}

// settle answers the group's waiting requests, and those that come while it does, in
// as many attempts as that takes or as they have time for. False says that there was
// none, and that the group is served no more.
func (l *ledger) settle(group string) bool {
	var batch []*request
	live := false
	for backoff := retries(); ; {
		first := batch == nil
		if batch = l.join(group, batch); len(batch) == 0 {
			return !first || !l.leave(group)
		}
		start := time.Now()
		by, err := l.attempt(group, batch, live)
		live = true
		switch {
		case err == nil:
			if len(batch) > 1 {
				giveWay(time.Since(start))
			}
			return true
		case errors.Is(err, errStale):
		case apierrors.IsConflict(err):
			l.meters.conflicts.Inc()
			time.Sleep(wait.Jitter(10*time.Millisecond, 6)) // the others' turn
			live = !l.groups.newerThan(by)                  // the watch may have told by now who was ahead
		default:
			giveReason(batch, err)
			time.Sleep(backoff.Step())
		}
	}
}

// retries is how long to wait before each further attempt after an error.
func retries() wait.Backoff {
	return wait.Backoff{Duration: 5 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 100, Cap: 250 * time.Millisecond}
}

// giveWay lets others write, the controller and other processes, after an attempt that
// took so long: who has just written knows the newest state, and would be faster than
// they every time. Whoever comes meanwhile joins the next batch.
func giveWay(took time.Duration) {
	const longest = 50 * time.Millisecond
	time.Sleep(min(took, longest))
}

// join adds the requests that came meanwhile to the batch, and drops those whose
// time has run out.
func (l *ledger) join(group string, batch []*request) []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.waiting[group]
	take := max(0, min(len(next), mostAtOnce-len(batch)))
	batch = append(batch, next[:take]...)
	l.waiting[group] = slices.Clone(next[take:])
	return slices.DeleteFunc(batch, func(r *request) bool { return r.ctx.Err() != nil })
}

// leave ends the service of a group where nobody waits, and says whether it did.
func (l *ledger) leave(group string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting[group]) > 0 {
		return false
	}
	delete(l.waiting, group)
	return true
}

// giveReason notes why the batch is not settled yet.
func giveReason(batch []*request, err error) {
	for _, r := range batch {
		r.mu.Lock()
		r.why = err
		r.mu.Unlock()
	}
}

// mostAtOnce is how many requests go in one write.
const mostAtOnce = 250

// endDelay is how often it is looked whether the controller has ended a reservation.
const endDelay = 50 * time.Millisecond

// attemptTimeout bounds an attempt: an answer that takes longer is not coming.
const attemptTimeout = 3 * time.Second

// attempt judges the batch by one state of the group, live or as known, writes the
// reservations in one write, and answers. After an error, nothing is answered. It
// returns the state that it judged by, if it came to that.
func (l *ledger) attempt(name string, batch []*request, live bool) (*quota.Group, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	group, err := l.state(ctx, name, live)
	if err != nil {
		return group, err
	}
	charged := group.DeepCopy()
	reserved, refused := l.judgeBatch(name, charged, batch, live)
	if refused && !live {
		return group, errStale
	}
	if reserved {
		if err := l.writer.Update(ctx, charged); err != nil {
			return group, err
		}
		l.seen(charged)
		l.meters.writes.Inc()
	}
	l.meters.batchSize.Observe(float64(len(batch)))
	for _, r := range batch {
		l.answer(name, r)
	}
	return group, nil
}

// answer gives a request its check, or lets it wait again.
func (l *ledger) answer(group string, r *request) {
	switch {
	case r.err != nil:
		r.done <- nil
		return
	case r.waits == nil:
		r.done <- r.check
		return
	}
	giveReason([]*request{r}, r.waits)
	time.AfterFunc(endDelay, func() { l.enqueue(group, r) })
}

// state is the group's state to judge by; nil where the group does not exist.
func (l *ledger) state(ctx context.Context, name string, live bool) (*quota.Group, error) {
	if !live {
		if known := l.groups.get(name); known != nil && quota.Counted(known) {
			return known, nil
		}
		return nil, errStale
	}
	return l.readToJudge(ctx, name)
}

// readToJudge reads the group live; nil where it does not exist. Those of its ancestors
// that are over their hard, and so refuse for what was seen earlier, are read anew too.
func (l *ledger) readToJudge(ctx context.Context, name string) (*quota.Group, error) {
	group, err := l.read(ctx, name)
	if group == nil || err != nil {
		return nil, err
	}
	if !quota.Counted(group) {
		return nil, errNotCounted
	}
	for _, ancestor := range l.groups.above(group) {
		if len(quota.Overcommitted(ancestor)) > 0 {
			if _, err := l.read(ctx, ancestor.Name); err != nil {
				return nil, err
			}
		}
	}
	return group, nil
}

// read reads the group live; nil where it does not exist.
func (l *ledger) read(ctx context.Context, name string) (*quota.Group, error) {
	group := &quota.Group{}
	err := l.reader.Get(ctx, client.ObjectKey{Name: name}, group)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l.seen(group)
	return group, nil
}

// seen takes in a state that the API server answered with. Who manages which field is
// the API server's to keep: an update without it leaves it as it is.
func (l *ledger) seen(group *quota.Group) {
	group.ManagedFields = nil
	l.groups.put(group)
}

// judgeBatch judges each request by what those before it left of the group, which it
// changes, and says whether something was reserved, and whether a request was refused,
// for what the group has left or for want of room in its ledger. Only where that is an
// answer (live) are its reasons made in full. group is nil where there is none.
func (l *ledger) judgeBatch(name string, group *quota.Group, batch []*request, live bool) (reserved, refused bool) {
	var above []*quota.Group
	var standing *quota.Standing
	if group != nil {
		above, standing = l.groups.above(group), quota.NewStanding(group, l.found)
	}
	for _, r := range batch {
		r.waits, r.err = nil, nil
		if r.stands(group) { // written by an attempt whose outcome was unknown
			if r.check == nil || !r.check.Allowed {
				r.check = &report.QuotaCheck{Allowed: true, Group: name}
			}
			continue
		}
		tree, besides := quota.NewTree(above), group
		if group != nil {
			besides = quota.Besides(group, r.object, r.base)
			tree.Put(besides)
		}
		check, reservation := r.judge(tree)
		switch {
		case !check.Allowed:
			refused = true
			if live {
				check = r.inFull(check, l.groups.around(name, besides))
				r.waits = r.changedBefore(group)
			}
		case reservation != nil && group != nil:
			took := r.reserve(group, standing, *reservation)
			reserved, refused = reserved || took, refused || !took
		}
		r.check = check
	}
	return reserved, refused
}

// inFull is a refusal with all that the groups around say of it. They may have changed
// since it was made, and would allow the request by now: nothing is reserved for that, so
// the refusal stands.
func (r *request) inFull(refusal *report.QuotaCheck, around *quota.Tree) *report.QuotaCheck {
	if full, _ := r.judge(around); !full.Allowed {
		return full
	}
	return refusal
}

// reserve writes the request's reservation into group, and says whether there was room.
func (r *request) reserve(group *quota.Group, standing *quota.Standing, reservation stowagev1alpha1.Reservation) bool {
	switch err := standing.Take(reservation); {
	case errors.Is(err, quota.ErrFull):
		r.waits = err
		return false
	case err != nil:
		r.err = err
		return false
	}
	quota.Reserve(group, reservation)
	return true
}

// stands says whether the request's reservation is in the ledger.
func (r *request) stands(group *quota.Group) bool {
	return group != nil && slices.ContainsFunc(group.Status.Reservations, func(other stowagev1alpha1.Reservation) bool { return other.UID == r.request })
}

// changedBefore is errNotEnded where a reservation stands for a version of the object
// before the one that the request changes. What became of it is part of that one, or it
// became nothing: the API server asks anew, with another UID, when an object changes
// under a request. Until the controller has ended it, the group seems to have less
// left than it has.
func (r *request) changedBefore(group *quota.Group) error {
	if group != nil && r.base != "" && slices.ContainsFunc(group.Status.Reservations, r.changes) {
		return errNotEnded
	}
	return nil
}

// changes says whether a reservation is for an earlier version of the request's object.
func (r *request) changes(other stowagev1alpha1.Reservation) bool {
	if other.Object.UID != r.object.UID || other.BaseResourceVersion == "" {
		return other.Object.UID == r.object.UID
	}
	order, err := resourceversion.CompareResourceVersion(other.BaseResourceVersion, r.base)
	return err == nil && order < 0
}
