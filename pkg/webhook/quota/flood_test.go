package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// shelf holds one group, as an API server does: written by compare-and-swap.
type shelf struct {
	client.SubResourceWriter
	client.Reader
	mu    sync.Mutex
	group *quota.Group
}

func (s *shelf) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.group.DeepCopyInto(obj.(*quota.Group))
	return nil
}

func (s *shelf) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if obj.GetResourceVersion() != s.group.ResourceVersion {
		return apierrors.NewConflict(schema.ParseGroupResource(quota.GroupResource), obj.GetName(), nil)
	}
	version, _ := strconv.Atoi(s.group.ResourceVersion)
	obj.SetResourceVersion(strconv.Itoa(version + 1))
	s.group = obj.(*quota.Group).DeepCopy()
	return nil
}

// size is the group's, as it is written.
func (s *shelf) size(t *testing.T) int {
	t.Helper()
	data, err := json.Marshal(s.group)
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}

// count counts the group as its controller does, when these requests led to nothing.
func (s *shelf) count(t *testing.T, gone map[types.UID]bool) {
	t.Helper()
	s.mu.Lock()
	group := s.group.DeepCopy()
	s.mu.Unlock()
	group.Status = quota.Settle(group, quota.Seen{Version: func(types.UID) string { return "" }, Gone: gone}, metav1.Time{})
	now := metav1.NowMicro()
	group.Status.LastReconcileTime = &now
	if err := s.Update(t.Context(), group); err != nil {
		t.Fatal(err)
	}
}

// flooded is a ledger of one group, and a clock by which reservations expire.
type flooded struct {
	*testing.T
	*shelf
	ledger *ledger
	clock  *clocktesting.FakePassiveClock
	// patience is how long requests wait.
	patience time.Duration
}

func newFlooded(t *testing.T, hard corev1.ResourceList) *flooded {
	t.Helper()
	group := newGroup("nlp", "", hard)
	group.ResourceVersion = "1"
	s := &shelf{group: group}
	s.count(t, nil)
	return &flooded{t, s, newLedger(newGroups(), s, s, newMeters()), clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)), 5 * time.Second}
}

// ask is how who asks for a new pod, which then fails. The error says that there was no answer.
func (f *flooded) ask(who string, w *workload.Workload) (*report.QuotaCheck, error) {
	ctx, cancel := context.WithTimeout(f.Context(), f.patience)
	defer cancel()
	uid := types.UID(uuid.NewString())
	return f.ledger.charge(ctx, "nlp", subject{request: uid, object: w.Reference()}, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		change := quota.Change{New: w}
		return tree.CheckWorkload(change), &stowagev1alpha1.Reservation{
			UID: uid, Requester: digest(who), Object: w.Reference(), Amounts: change.Growth(tree.Group("nlp")),
			Expiry: metav1.NewMicroTime(f.clock.Now().Add(quota.DefaultReservationTTL)),
		}
	})
}

func (f *flooded) admitted(who string, w *workload.Workload) {
	f.Helper()
	if check, err := f.ask(who, w); err != nil || !check.Allowed {
		f.Fatalf("%s: %+v, %v; want it admitted", who, check, err)
	}
}

// expire lets the reservations that stood for a minute go.
func (f *flooded) expire() {
	f.Helper()
	gone := map[types.UID]bool{}
	for _, reservation := range f.group.Status.Reservations {
		gone[reservation.UID] = !f.clock.Now().Before(reservation.Expiry.Time)
	}
	f.count(f.T, gone)
}

// Who makes creations that fail, one after the other, is told to stop at some point; the
// others are admitted meanwhile, at once.
func TestFloodOfFailures(t *testing.T) {
	f := newFlooded(t, list("limits.cpu", "100k"))
	stopped := 0
	for i := range 400 {
		if _, err := f.ask("mallory", pod("nlp", "1")); err != nil {
			if stopped++; !strings.Contains(err.Error(), "of your changes to it were admitted and have not come to be yet") || !strings.Contains(err.Error(), "see why they fail") {
				t.Fatal(err)
			}
		}
		if i%100 == 0 {
			f.admitted("jane", pod("nlp", "1"))
		}
	}
	if held := len(f.group.Status.Reservations) - 4; stopped != 400-held || held > 250 {
		t.Errorf("%d of 400 were stopped, %d stand", stopped, held)
	}
	f.clock.SetTime(f.clock.Now().Add(time.Minute))
	f.expire()
	f.admitted("mallory", pod("nlp", "1"))
}

// What was seen to come to be is no failure, however long its controller takes to count it.
func TestNoFloodOfWhatComesToBe(t *testing.T) {
	f := newFlooded(t, list("limits.cpu", "100k"))
	f.ledger.found = func(stowagev1alpha1.Reservation) bool { return true }
	for range 300 {
		f.admitted("jane", pod("nlp", "1"))
	}
}

// However many and long the keys of a pod are, it holds those that count, and what all of
// them take stays within bounds.
func TestFloodOfKeys(t *testing.T) {
	hard := corev1.ResourceList{}
	for i := range 200 {
		hard[corev1.ResourceName(fmt.Sprintf("requests.example.com/%s-%d", strings.Repeat("x", 40), i))] = resource.MustParse("1e6")
	}
	f := newFlooded(t, hard)
	wide := func(prefix string) *workload.Workload {
		w := pod("nlp", "1")
		limits := w.PodSets[0].Template.Spec.Containers[0].Resources.Limits
		for i := range 200 {
			limits[corev1.ResourceName(fmt.Sprintf("example.com/%s-%d", strings.Repeat(prefix, 40), i))] = resource.MustParse("1")
		}
		return w
	}
	empty := f.size(t)
	for range 20 {
		f.admitted("mallory", wide("y"))
	}
	if size := f.size(t) - empty; size > 20*500 {
		t.Errorf("20 reservations of keys that the group has not take %d bytes", size)
	}
	f.patience = 200 * time.Millisecond
	admitted := 0
	for i := range 36 {
		if check, err := f.ask(fmt.Sprintf("mallory-%d", i/6), wide("x")); err == nil && check.Allowed {
			admitted++
		}
	}
	if size := f.size(t) - empty; admitted == 36 || size > 512<<10 {
		t.Errorf("all %d admitted, with %d bytes", admitted, size)
	}
}

// Asked for again, a creation takes once, even what there is no more room for twice.
func TestAskedAgainTakesOnce(t *testing.T) {
	f := newFlooded(t, list("limits.cpu", "10"))
	for range 5 {
		again := pod("nlp", "9")
		again.Name = "web"
		f.admitted("jane", again)
	}
	if used := f.group.Status.Used["limits.cpu"]; used.String() != "9" || len(f.group.Status.Reservations) != 1 {
		t.Errorf("used %s by %d reservations, want 9 by one", &used, len(f.group.Status.Reservations))
	}
	larger := pod("nlp", "11")
	larger.Name = "web"
	if check, err := f.ask("jane", larger); err != nil || check.Allowed || !strings.Contains(quota.Text(check), "needs 11, 10 of 10 left") {
		t.Errorf("%+v, %v; want a refusal", check, err)
	}
	f.admitted("joe", pod("nlp", "1"))
}

// In one write, too.
func TestAskedAgainAtOnce(t *testing.T) {
	f := newFlooded(t, list("limits.cpu", "10"))
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			again := pod("nlp", "9")
			again.Name = "web"
			if check, err := f.ask("jane", again); err != nil || !check.Allowed {
				t.Errorf("%+v, %v", check, err)
			}
		})
	}
	all.Wait()
	if used := f.group.Status.Used["limits.cpu"]; used.String() != "9" {
		t.Errorf("used %s, want 9", &used)
	}
}
