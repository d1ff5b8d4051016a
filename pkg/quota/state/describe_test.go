package state_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// describe describes group a of the objects.
func describe(t *testing.T, objects ...snapshot.Object) *state.Description {
	t.Helper()
	description, err := newState(objects...).Describe("a")
	if err != nil {
		t.Fatal(err)
	}
	return description
}

// TestDescribe gives amounts by the keys that the group has, as it spells them.
func TestDescribe(t *testing.T) {
	d := describe(t, append(web(),
		build.BizGroup("a", "").Hard("cpu=10,pods=10").Refill("0 0 * * *", "").Obj(),
		build.BizGroup("b", "a").Hard("requests.cpu=2,limits.cpu=7").Obj(),
		build.BizGroup("c", "a").Hard("pods=0").Obj(),
		tie(build.Job("ns", "idle", 0, 1, pod("idle", "cpu=1")), "a"),
		tie(build.Job("ns", "elsewhere", 1, 1, pod("elsewhere", "cpu=1")), "b"),
	)...)
	equal(t, "what charges the group", map[string]map[string]string{
		"ns/deployment.apps/web": {"cpu": "3", "pods": "3"}, "ns/job.batch/idle": {},
	}, amountsOf(d.Workloads))
	equal(t, "the number of children", 2, len(d.Children))
	equal(t, "the first child's hard", map[string]string{"cpu": "2"}, text(d.Children[0].Hard))
	equal(t, "the second child's hard", map[string]string{}, text(d.Children[1].Hard))
	equal(t, "the item", "a", d.Item.Name)
	equal(t, "the next refill", build.Epoch.AddDate(0, 0, 1), d.Refills)
}

// Those come first that have most of what the group is shortest of.
func TestDescribeOrder(t *testing.T) {
	d := describe(t,
		counted("a", "", "cpu=100,memory=10Gi,cash/cpu=1", "cpu=90,memory=1Gi,cash/cpu=2").Obj(),
		tie(build.Job("ns", "much-memory", 1, 1, pod("much-memory", "cpu=1,memory=9Gi")), "a"),
		tie(build.Job("ns", "some-cores", 1, 1, pod("some-cores", "cpu=20")), "a"),
		tie(build.Job("ns", "more-cores", 1, 1, pod("more-cores", "cpu=30")), "a"),
		tie(build.Job("ns", "some-memory", 1, 1, pod("some-memory", "cpu=1,memory=1Gi")), "a"),
		build.BizGroup("b", "a").Hard("cpu=2,memory=8Gi,cash/cpu=0").Obj(), build.BizGroup("c", "a").Hard("cpu=3,memory=1Gi,cash/cpu=9").Obj(),
	)
	var names []string
	for _, charged := range d.Workloads {
		names = append(names, charged.Name)
	}
	for _, child := range d.Children {
		names = append(names, child.Name)
	}
	equal(t, "the order", []string{"more-cores", "some-cores", "much-memory", "some-memory", "c", "b"}, names)
}

func TestDescribeReservations(t *testing.T) {
	for name, test := range map[string]struct {
		after   time.Duration
		expired bool
	}{
		"stands":   {time.Second, false},
		"ends now": {0, true},
		"expired":  {-time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := describe(t, build.BizGroup("a", "").Hard("limits.cpu=10,pods=1").With(reserve("p", test.after)).Obj())
			equal(t, "expired", test.expired, d.Reservations[0].Expired)
			equal(t, "amounts", map[string]string{"limits.cpu": "2"}, text(d.Reservations[0].Amounts))
			equal(t, "object", "p", d.Reservations[0].Object.Name)
		})
	}
}

// TestDescribeEvents tells what was said of the group, the last one last.
func TestDescribeEvents(t *testing.T) {
	event := func(name, object string, edit func(*corev1.Event)) *corev1.Event {
		event := build.Event("default", name, stowagev1alpha1.BizGroupResourceQuotaKind, object, "Reason", name)
		edit(event)
		return event
	}
	at := func(after time.Duration) func(*corev1.Event) {
		return func(event *corev1.Event) { event.LastTimestamp = metav1.NewTime(build.Epoch.Add(after)) }
	}
	d := describe(t, build.BizGroup("a", "").Obj(),
		event("last", "a", at(time.Minute)),
		event("first", "a", at(time.Second)),
		event("of-another", "b", at(0)),
		event("newer-api", "a", func(event *corev1.Event) {
			event.LastTimestamp, event.EventTime = metav1.Time{}, metav1.NewMicroTime(build.Epoch.Add(2*time.Second))
		}),
	)
	var names []string
	for _, event := range d.Events {
		names = append(names, event.Name)
	}
	equal(t, "the events", []string{"first", "newer-api", "last"}, names)
	equal(t, "when the second was seen", build.Epoch.Add(2*time.Second), d.Events[1].At)
}

func TestDescribeNothing(t *testing.T) {
	if _, err := newState().Describe("a"); err == nil {
		t.Error("expected an error for a group that is not there")
	}
}

// Where a group limits hours alone, those come first that use most of them.
func TestDescribeHours(t *testing.T) {
	d := describe(t,
		counted("a", "", "cash/cpu=1000,cash/memory=1Ti,memory=10Gi", "").Obj(),
		tie(build.Job("ns", "few-cores", 1, 1, pod("few-cores", "cpu=1,memory=1Gi")), "a"),
		tie(build.Job("ns", "many-cores", 2, 2, pod("many-cores", "cpu=20")), "a"),
	)
	equal(t, "what charges the group", map[string]map[string]string{
		"ns/job.batch/few-cores": {"cash/cpu": "1", "memory": "1Gi"}, "ns/job.batch/many-cores": {"cash/cpu": "40"},
	}, amountsOf(d.Workloads))
	d = describe(t,
		counted("a", "", "cash/cpu=1000", "").Obj(),
		tie(build.Job("ns", "few-cores", 1, 1, pod("few-cores", "cpu=1")), "a"),
		tie(build.Job("ns", "many-cores", 2, 2, pod("many-cores", "cpu=20")), "a"),
	)
	equal(t, "the first workload", "many-cores", d.Workloads[0].Name)
}
