package quota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// pod is a bare pod of that much limits.cpu, as a workload of the group.
func pod(group, cpu string) *workload.Workload {
	uid := types.UID(uuid.NewString())
	container := corev1.Container{Name: "main", Resources: corev1.ResourceRequirements{Limits: list("cpu", cpu)}}
	return &workload.Workload{
		Kind: workload.Default().Of(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind()), Namespace: "default", Name: string(uid), UID: uid, Group: group,
		PodSets: []workload.PodSet{{Replicas: 1, Template: &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}}},
	}
}

// creation judges the creation of w, for a request of that UID.
func creation(w *workload.Workload, uid types.UID) judge {
	return func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		change := quota.Change{New: w}
		check, group := tree.CheckWorkload(change), tree.Group(w.Group)
		if group == nil {
			return check, nil
		}
		return check, &stowagev1alpha1.Reservation{
			UID: uid, Object: w.Reference(), Amounts: change.Growth(group), Expiry: metav1.NowMicro(),
		}
	}
}

// reserve has the ledger admit the creation of w.
func reserve(ctx context.Context, l *ledger, w *workload.Workload) (*report.QuotaCheck, error) {
	uid := types.UID(uuid.NewString())
	return l.charge(ctx, w.Group, subject{request: uid, object: w.Reference()}, creation(w, uid))
}

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// feed has groups see what the watch tells, as the manager's informer does.
func feed(t *testing.T, c client.WithWatch, groups *groups) {
	t.Helper()
	watcher, err := c.Watch(t.Context(), &stowagev1alpha1.BizGroupResourceQuotaList{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	handler := groups.handler()
	go func() {
		for event := range watcher.ResultChan() {
			switch event.Type {
			case watch.Added, watch.Modified:
				handler.OnUpdate(nil, event.Object)
			case watch.Deleted:
				handler.OnDelete(event.Object)
			}
		}
	}()
}

func TestLedgerNeverOver(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	const hard, clients, rounds, replicas = 40, 64, 8, 3
	group := counted(t, c, newGroup("nlp", "", list("limits.cpu", fmt.Sprint(hard), "pods", "1000")))

	watcher, err := c.Watch(t.Context(), &stowagev1alpha1.BizGroupResourceQuotaList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: group.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	var versions atomic.Int64
	var watching sync.WaitGroup
	watching.Go(func() {
		for event := range watcher.ResultChan() {
			if group, ok := event.Object.(*quota.Group); ok && event.Type != watch.Deleted {
				versions.Add(1)
				if err := over(group); err != nil {
					t.Error(err)
				}
			}
		}
	})
	ledgers := make([]*ledger, replicas)
	for i := range ledgers {
		ledgers[i] = newLedger(newGroups(), c, c.Status(), newMeters())
		feed(t, c, ledgers[i].groups)
	}

	var allowed, denied atomic.Int64
	work, ctx := errgroup.WithContext(inTime(t))
	for i := range clients {
		work.Go(func() error {
			for round := range rounds {
				check, err := reserve(ctx, ledgers[(i+round)%replicas], pod("nlp", "2"))
				switch {
				case err != nil:
					return err
				case check.Allowed:
					allowed.Add(1)
				case !strings.HasPrefix(check.Reasons[0], "group nlp: limits.cpu: needs 2, 0 of 40 left (short 2)"):
					return errors.New(check.Reasons[0])
				default:
					denied.Add(1)
				}
			}
			return nil
		})
	}
	counting, stop := context.WithCancel(ctx)
	var controller errgroup.Group
	controller.Go(func() error { // ends reservations, a quarter of them at a time
		for counting.Err() == nil {
			_, err := settle(ctx, c, "nlp", func(group *quota.Group) quota.Seen {
				gone := map[types.UID]bool{}
				for _, reservation := range group.Status.Reservations {
					gone[reservation.UID] = rand.IntN(4) == 0
				}
				return quota.Seen{Gone: gone}
			})
			if err != nil && counting.Err() == nil && !apierrors.IsConflict(err) {
				return err
			}
		}
		return nil
	})
	err = work.Wait()
	stop()
	if err := errors.Join(err, controller.Wait()); err != nil {
		t.Fatal(err)
	}
	// With nobody ending any more, exactly what is left can still be taken.
	last := get(t, c, "nlp")
	left := quota.Left(last, "limits.cpu")
	for range left.Value() / 2 {
		if check, err := reserve(inTime(t), ledgers[0], pod("nlp", "2")); err != nil || !check.Allowed {
			t.Fatalf("with %s left: %+v, %v", &left, check, err)
		}
	}
	if check, err := reserve(inTime(t), ledgers[1], pod("nlp", "2")); err != nil || check.Allowed {
		t.Fatalf("with nothing left: %+v, %v", check, err)
	}
	watcher.Stop()
	watching.Wait()
	if allowed.Load() < hard/2 || denied.Load() == 0 || versions.Load() == 0 {
		t.Errorf("allowed %d, denied %d, versions %d: want some of each", allowed.Load(), denied.Load(), versions.Load())
	}
	t.Logf("allowed %d, denied %d, versions %d", allowed.Load(), denied.Load(), versions.Load())
}

// faulty is a writer that fails: before it writes, or after.
type faulty struct {
	client.SubResourceWriter
	mu     sync.Mutex
	writes int
}

func (f *faulty) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	f.mu.Lock()
	f.writes++
	write := f.writes
	f.mu.Unlock()
	switch write % 3 {
	case 0:
		return f.SubResourceWriter.Update(ctx, obj, opts...)
	case 1:
		if err := f.SubResourceWriter.Update(ctx, obj, opts...); err != nil {
			return err
		}
		return errors.New("connection reset after the write")
	}
	return errors.New("connection refused")
}

func TestLedgerUnknownOutcome(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	const room, clients = 20, 32
	counted(t, c, newGroup("nlp", "", list("limits.cpu", fmt.Sprint(room))))
	ledgers := []*ledger{
		newLedger(newGroups(), c, &faulty{SubResourceWriter: c.Status()}, newMeters()),
		newLedger(newGroups(), c, &faulty{SubResourceWriter: c.Status()}, newMeters()),
	}
	var allowed atomic.Int64
	var mu sync.Mutex
	admitted := map[types.UID]bool{}
	work, ctx := errgroup.WithContext(inTime(t))
	for i := range clients {
		work.Go(func() error {
			w := pod("nlp", "1")
			check, err := reserve(ctx, ledgers[i%2], w)
			if err != nil {
				return err
			}
			if check.Allowed {
				allowed.Add(1)
				mu.Lock()
				admitted[w.UID] = true
				mu.Unlock()
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	group := get(t, c, "nlp")
	if err := over(group); err != nil {
		t.Error(err)
	}
	if allowed.Load() != room || len(group.Status.Reservations) != room {
		t.Errorf("allowed %d with %d reservations: want %d of each", allowed.Load(), len(group.Status.Reservations), room)
	}
	for _, reservation := range group.Status.Reservations {
		if !admitted[reservation.Object.UID] {
			t.Errorf("a reservation stands for %s, which was not admitted", reservation.Object.Name)
		}
	}
}

func TestLedgerRefusesByLiveState(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	full := counted(t, c, newGroup("nlp", "", list("limits.cpu", "4"))).DeepCopy()
	full.Status.Used = list("limits.cpu", "4")
	l := newLedger(newGroups(), c, c.Status(), newMeters())
	l.groups.put(full) // out of date, and taken for new
	check, err := reserve(inTime(t), l, pod("nlp", "4"))
	if err != nil || !check.Allowed {
		t.Fatalf("by what was known: %+v, %v; want it allowed by what is", check, err)
	}
	if check, err = reserve(inTime(t), l, pod("nlp", "1")); err != nil || check.Allowed {
		t.Fatalf("with nothing left: %+v, %v; want a refusal", check, err)
	}
}

// What is above a group is looked at as last seen, and again where that refuses.
func TestLedgerRefusesBelowWhatIsOver(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	root := counted(t, c, newGroup("root", "", list("limits.cpu", "20")))
	l := newLedger(newGroups(), c, c.Status(), newMeters())
	for _, group := range []*quota.Group{root, counted(t, c, newGroup("mid", "root", list("limits.cpu", "20"))), counted(t, c, newGroup("nlp", "mid", list("limits.cpu", "10")))} {
		l.groups.put(group)
	}
	l.groups.put(count(t, c, "root", quota.Seen{Children: list("limits.cpu", "30")}))
	w := pod("nlp", "4")
	check, err := reserve(inTime(t), l, w)
	if want := "group root: limits.cpu: 30 of 20 used: nothing below it grows until it fits"; err != nil || quota.Text(check) != want {
		t.Fatalf("%+v, %v; want %s", check, err, want)
	}
	check, err = l.judgeLive(inTime(t), "nlp", creation(w, w.UID))
	if err != nil || check.Allowed {
		t.Fatalf("tried: %+v, %v; want a refusal", check, err)
	}
	count(t, c, "root", quota.Seen{Children: list("limits.cpu", "20")}) // which the ledger was not told
	if check, err = reserve(inTime(t), l, w); err != nil || !check.Allowed {
		t.Fatalf("once it fits: %+v, %v; want it allowed", check, err)
	}
}

// A request may be asked about twice, when the object changes under it: what was
// reserved the first time is no reason for a refusal once the controller has seen it.
// TestLedgerAllowsNothingUnreserved: the groups around may change between a refusal and
// its reasons in full. What these would allow has no reservation.
func TestLedgerAllowsNothingUnreserved(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10"))
	l := newLedger(newGroups(), nil, nil, newMeters())
	calls := 0
	r := &request{judge: func(*quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		calls++
		return &report.QuotaCheck{Allowed: calls > 1, Reasons: []string{fmt.Sprint("call ", calls)}}, &stowagev1alpha1.Reservation{UID: "1"}
	}}
	reserved, refused := l.judgeBatch(group.Name, group, []*request{r}, true)
	if reserved || !refused || r.check.Allowed {
		t.Errorf("reserved %t, refused %t, answered %+v: want the refusal, as nothing is reserved", reserved, refused, r.check)
	}
}

func TestLedgerWaitsForEarlierChanges(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	group := counted(t, c, newGroup("nlp", "", list("limits.cpu", "4")))
	l := newLedger(newGroups(), c, c.Status(), newMeters())
	w := pod("nlp", "3")
	change := func(ctx context.Context, base string) (*report.QuotaCheck, error) {
		uid := types.UID(uuid.NewString())
		return l.charge(ctx, "nlp", subject{uid, w.Reference(), base}, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
			check, reservation := creation(w, uid)(tree)
			reservation.BaseResourceVersion = base
			return check, reservation
		})
	}
	first, second := group.ResourceVersion, "9223372036854775807"
	if check, err := change(inTime(t), first); err != nil || !check.Allowed {
		t.Fatalf("%+v, %v", check, err)
	}
	if check, err := change(inTime(t), first); err != nil || !check.Allowed {
		t.Fatalf("of the same version: %+v, %v; want it allowed, as at most one of both comes true", check, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := change(short, second); err == nil || !strings.Contains(err.Error(), "an earlier change of the object is not counted yet") {
		t.Fatalf("error %v, want that an earlier change is not counted", err)
	}
	work, ctx := errgroup.WithContext(inTime(t))
	work.Go(func() error {
		check, err := change(ctx, second)
		if err == nil && !check.Allowed {
			err = errors.New(quota.Text(check))
		}
		return err
	})
	if check, err := reserve(ctx, l, pod("nlp", "2")); err != nil || check.Allowed {
		t.Fatalf("another object: %+v, %v; want a refusal at once", check, err)
	}
	count(t, c, "nlp", quota.Seen{Version: func(types.UID) string { return second }})
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerNotCounted(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	create(t, c, newGroup("nlp", "", list("limits.cpu", "4")))
	l := newLedger(newGroups(), c, c.Status(), newMeters())

	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := reserve(short, l, pod("nlp", "1"))
	if want := "group nlp: is not counted yet by the controller"; err == nil || err.Error() != want {
		t.Fatalf("error %v, want %q", err, want)
	}
	// A request that has the time waits for the controller.
	work, ctx := errgroup.WithContext(inTime(t))
	work.Go(func() error {
		check, err := reserve(ctx, l, pod("nlp", "1"))
		if err == nil && !check.Allowed {
			err = errors.New(quota.Text(check))
		}
		return err
	})
	count(t, c, "nlp", quota.Seen{})
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(get(t, c, "nlp").Status.Reservations); n != 1 {
		t.Errorf("%d reservations, want 1: the request that was given up left none", n)
	}
}

func TestLedgerGroupGone(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	group := counted(t, c, newGroup("nlp", "", list("limits.cpu", "4")))
	counted(t, c, newGroup("nlq", "", list("limits.cpu", "4")))
	l := newLedger(newGroups(), c, c.Status(), newMeters())
	for _, name := range []string{"nlp", "nlq"} {
		if check, err := reserve(inTime(t), l, pod(name, "1")); err != nil || !check.Allowed {
			t.Fatalf("%+v, %v", check, err)
		}
	}
	if err := c.Delete(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	check, err := reserve(inTime(t), l, pod("nlp", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := quota.Text(check), `there is no group "nlp"`; check.Allowed || !strings.Contains(got, want) || !strings.Contains(got, "nlq") {
		t.Errorf("%q, want a refusal with %q and the group of a name like it", got, want)
	}
}

func TestLedgerServesNobodyForNothing(t *testing.T) {
	c := newClient(t, install.Endpoint{})
	counted(t, c, newGroup("nlp", "", list("limits.cpu", "4")))
	l := newLedger(newGroups(), c, c.Status(), newMeters())
	if check, err := reserve(inTime(t), l, pod("nlp", "1")); err != nil || !check.Allowed {
		t.Fatalf("%+v, %v", check, err)
	}
	for range 1000 { // the goroutine leaves right after its last answer
		l.mu.Lock()
		served := len(l.waiting)
		l.mu.Unlock()
		if served == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("an idle group is still served")
}
