package quota_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

var cluster *lab.Lab

// parallel is how many tests run at once: they wait for controllers more than they compute.
const parallel = "12"

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // the clients'; managers are processes of their own
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	rig.Main(m, &cluster, lab.Options{})
}

// component is the one rig beside the lab, restarted when a test wants it with other options.
var component struct {
	sync.Mutex
	rig  *rig.Rig
	opts rig.Options
}

// start returns the component running with these options.
func start(t *testing.T, opts rig.Options) *rig.Rig {
	t.Helper()
	component.Lock()
	defer component.Unlock()
	if component.rig != nil && reflect.DeepEqual(component.opts, opts) {
		return component.rig
	}
	if component.rig != nil {
		if err := component.rig.Close(); err != nil {
			t.Fatal(err)
		}
		component.rig = nil
	}
	if err := addNodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := rig.Start(context.WithoutCancel(t.Context()), cluster, opts)
	if err != nil {
		t.Fatal(err)
	}
	component.rig, component.opts = r, opts
	return r
}

// addNodes gives the lab's pods room, once.
func addNodes(ctx context.Context) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1k"), corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods: resource.MustParse("1k"), "nvidia.com/gpu": resource.MustParse("1k"),
	}
	for i := range 2 {
		name := fmt.Sprintf("node-%d", i)
		err := cluster.CreateAll(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
			Status:     corev1.NodeStatus{Capacity: room, Allocatable: room},
		})
		if err != nil && !apierrors.IsAlreadyExists(errors.Unwrap(err)) {
			return err
		}
	}
	return nil
}

// takesPart are the labels of a namespace whose workloads may charge groups.
var takesPart = map[string]string{stowagev1alpha1.QuotaLabel: stowagev1alpha1.QuotaEnabled}

// world is one test's part of the lab: a namespace, and groups with names of its own.
type world struct {
	client.Client // an administrator's
	t             *testing.T
	rig           *rig.Rig
	ns            string
	warnings      *warnings
}

// newWorld is for a test that runs beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorldWith(t, rig.Options{})
}

// newWorldWith is for a test that runs alone, with the component as opts say.
func newWorldWith(t *testing.T, opts rig.Options) *world {
	t.Helper()
	lab.Needed(t)
	w := &world{t: t, rig: start(t, opts), ns: "t-" + rand.String(6), warnings: &warnings{}}
	w.rig.Attach(t)
	w.Client = newClient(t, cluster.RESTConfig(), w.warnings)
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns, Labels: takesPart}})
	t.Cleanup(w.cleanUp)
	return w
}

// cleanUp has the test's workloads deleted; of a failed test, the events about them are printed first.
func (w *world) cleanUp() {
	var events corev1.EventList
	if w.t.Failed() {
		if err := w.List(context.Background(), &events, client.InNamespace(w.ns)); err != nil {
			w.t.Error(err)
		}
	}
	for i := range events.Items {
		if e := &events.Items[i]; e.Type == corev1.EventTypeWarning {
			w.t.Logf("%s: %s %s: %s", e.LastTimestamp.Format(time.TimeOnly), e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
	if err := w.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}); err != nil {
		w.t.Error(err)
	}
}

// newClient returns a client that records the API server's warnings.
func newClient(t *testing.T, config *rest.Config, record *warnings) client.Client {
	t.Helper()
	config.WarningHandlerWithContext = record
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, stowagev1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // the same kinds registered twice: a mistake in the program
		}
	}
	return s
}

// as is a client of another user, who may edit what is in the test's namespace and read groups.
func (w *world) as(user string) client.Client {
	w.t.Helper()
	w.grant(user, w.ns)
	config := cluster.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return newClient(w.t, config, &warnings{})
}

// warnings are the API server's to one client.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	const persistent = 299 // the only code that API servers give, see RFC 7234
	if code != persistent {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// take returns the warnings since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// name makes a name the test's own.
func (w *world) name(name string) string { return name + "-" + strings.TrimPrefix(w.ns, "t-") }

// hard is a group's, as a user writes it.
type hard map[corev1.ResourceName]string

func (h hard) list() corev1.ResourceList {
	list := corev1.ResourceList{}
	for key, quantity := range h {
		list[key] = resource.MustParse(quantity)
	}
	return list
}

type group = stowagev1alpha1.BizGroupResourceQuota

// newGroup returns a group that is not created yet; parent is empty for a root.
func newGroup(name, parent string, h hard) *group {
	return &group{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       stowagev1alpha1.BizGroupResourceQuotaSpec{ParentBizGroup: parent, Hard: h.list()},
	}
}

// group creates a group, which the test's namespace may charge, and deletes it after the test.
func (w *world) group(name, parent string, h hard, more ...func(*group)) string {
	w.t.Helper()
	g := newGroup(w.name(name), parent, h)
	g.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{w.ns}}
	for _, change := range more {
		change(g)
	}
	w.create(g)
	w.deleteAfter(g.Name)
	return g.Name
}

// deleteAfter deletes a group when the test has ended. The test's children are deleted before their parents, and
// workloads may still be there.
func (w *world) deleteAfter(name string) {
	w.t.Cleanup(func() {
		ctx := context.Background()
		doomed := &group{ObjectMeta: metav1.ObjectMeta{Name: name}}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, stowagev1alpha1.DeleteWithWorkloadsAnnotation)
		err := w.Patch(ctx, doomed, client.RawPatch("application/merge-patch+json", patch))
		if err == nil {
			err = w.Delete(ctx, doomed)
		}
		if client.IgnoreNotFound(err) != nil {
			w.t.Errorf("deleting group %s after the test: %v", name, err)
		}
	})
}

// create creates an object, which must be admitted.
func (w *world) create(obj client.Object) {
	w.t.Helper()
	w.admitted(w.Create(w.t.Context(), obj))
}

// update changes an object as it is now. It returns the API server's answer.
func update[T client.Object](w *world, obj T, change func(T)) error {
	w.t.Helper()
	return updateBy(w.t.Context(), w.Client, obj, change)
}

// updateBy changes an object as it is now, with a client's permissions. Conflicts with the controllers, which
// write to the same objects, are what any client retries.
func updateBy[T client.Object](ctx context.Context, c client.Client, obj T, change func(T)) error {
	for {
		if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		change(obj)
		if err := c.Update(ctx, obj); !isStale(err) {
			return err
		}
	}
}

// isStale says whether an update was based on an old version of the object: the API server's own answer, and none
// of the webhook's.
func isStale(err error) bool {
	return apierrors.IsConflict(err) && strings.Contains(err.Error(), "the object has been modified")
}

func (w *world) admitted(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("refused, want it admitted: %v", err)
	}
}

// refusal is the webhook's text in an error; false when the error is none of the webhook's.
func refusal(err error) (string, bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "", false
	}
	_, text, denied := strings.Cut(status.Status().Message, "denied the request: ")
	return text, denied
}

// refused checks that the webhook refused a request with exactly these lines.
func (w *world) refused(err error, lines ...string) {
	w.t.Helper()
	text, denied := refusal(err)
	if !denied {
		w.t.Fatalf("got %v, want a refusal: %q", err, lines)
	}
	if diff := cmp.Diff(lines, strings.Split(text, "\n")); diff != "" {
		w.t.Fatalf("refusal (-want +got):\n%s", diff)
	}
}

// refusedWith checks that a request was refused, by the webhook or by the CRD's schema, with a text that has all
// the parts.
func (w *world) refusedWith(err error, parts ...string) {
	w.t.Helper()
	_, denied := refusal(err)
	if !denied && !apierrors.IsInvalid(err) {
		w.t.Fatalf("got %v, want a refusal with %q", err, parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			w.t.Fatalf("refused with %q, which has no %q", err, part)
		}
	}
}

// warned checks that the answers since the last call carried a warning with all the parts.
func (w *world) warned(parts ...string) {
	w.t.Helper()
	texts := w.warnings.take()
	if !slices.ContainsFunc(texts, func(text string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
	}) {
		w.t.Fatalf("warnings %q, want one with %q", texts, parts)
	}
}

// status reads a group's status.
func (w *world) status(name string) stowagev1alpha1.BizGroupResourceQuotaStatus {
	w.t.Helper()
	var g group
	if err := w.Get(w.t.Context(), client.ObjectKey{Name: name}, &g); err != nil {
		w.t.Fatal(err)
	}
	return g.Status
}

// used waits until a group's ledger is settled with this use of these keys.
func (w *world) used(name string, want hard) {
	w.t.Helper()
	w.settles(name, want, func(s *stowagev1alpha1.BizGroupResourceQuotaStatus) corev1.ResourceList { return s.Used })
}

// selfUsed waits until a group's ledger is settled with this use by its own workloads.
func (w *world) selfUsed(name string, want hard) {
	w.t.Helper()
	w.settles(name, want, func(s *stowagev1alpha1.BizGroupResourceQuotaStatus) corev1.ResourceList { return s.SelfUsed })
}

func (w *world) settles(name string, want hard, list func(*stowagev1alpha1.BizGroupResourceQuotaStatus) corev1.ResourceList) {
	w.t.Helper()
	var got hard
	var left []stowagev1alpha1.Reservation
	ok := w.eventually(func(ctx context.Context) (bool, error) {
		var g group
		if err := w.Get(ctx, client.ObjectKey{Name: name}, &g); err != nil {
			return false, err
		}
		got, left = only(list(&g.Status), want), g.Status.Reservations
		return maps.Equal(got, normal(want)) && len(left) == 0 && g.Status.ObservedGeneration == g.Generation, nil
	})
	if !ok {
		w.t.Fatalf("group %s has %d reservations left, and (-want +got):\n%s", name, len(left), cmp.Diff(normal(want), got))
	}
}

// only is what list has for the keys of want.
func only(list corev1.ResourceList, want hard) hard {
	got := hard{}
	for key := range want {
		if quantity, ok := list[key]; ok {
			got[key] = quantity.String()
		}
	}
	return got
}

// normal writes the quantities as the API server does.
func normal(h hard) hard {
	out := hard{}
	for key, quantity := range h.list() {
		out[key] = quantity.String()
	}
	return out
}

// patience is how long a test waits for controllers, on a machine that others use too.
const patience = 60 * time.Second

// eventually says whether done becomes true.
func (w *world) eventually(done wait.ConditionWithContextFunc) bool {
	w.t.Helper()
	err := wait.PollUntilContextTimeout(w.t.Context(), 50*time.Millisecond, patience, true, done)
	if err != nil && !wait.Interrupted(err) {
		w.t.Fatal(err)
	}
	return err == nil
}
