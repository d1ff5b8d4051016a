package storm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

// clients is how many do things at once.
const clients = 64

// TestStorm is the storm; see package storm.
func TestStorm(t *testing.T) {
	lab.Needed(t)
	s := startStorm(t)
	s.blow(time.Duration(*minutes * float64(time.Minute)))
	s.letGo()
	s.calmDown()
	t.Log(s.summary())
	s.judge()
	s.verify()
}

// storm is one run.
type storm struct {
	t       *testing.T
	rig     *rig.Rig
	checker *checker
	watch   *etcdWatch
	late    *lateWebhook
	chaos   *chaos
	tally   *tally

	lasted, settled time.Duration
	drifts, stuck   []string // after calmDown
}

// startStorm starts the component, the watch and the storm's webhook, and makes the tree.
func startStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{t: t, checker: newChecker(), tally: &tally{outcomes: map[string]map[outcome]int{}, texts: map[outcome][]string{}}}
	var err error
	if s.watch, err = watchEtcd(t.Context(), cluster, s.checker.take); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.watch.close(); err != nil {
			t.Error(err)
		}
	})
	if err := makeNamespaces(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Not rig.StartTest: an API server that has just started forbids what it later allows, see alarming.
	if s.rig, err = rig.Start(t.Context(), cluster, rig.Options{Managers: 3}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.rig.Close(); err != nil {
			t.Error(err)
		}
	})
	s.late = startLateWebhook(t, *seed)
	if err := s.makeTree(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range []string{namespace, abroad} {
			if err := cluster.DeleteNamespace(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// makeNamespaces makes the storm's namespaces; in one every workload needs a group.
func makeNamespaces(ctx context.Context) error {
	if err := addNodes(ctx, namespace); err != nil {
		return err
	}
	client := cluster.Client().CoreV1().Namespaces()
	text := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, stowagev1alpha1.RequireGroupLabel)
	if _, err := client.Patch(ctx, namespace, types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
		return err
	}
	return cluster.CreateAll(ctx, append([]runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: abroad}}}, rights()...)...)
}

// rights let the clients edit what is in the storm's namespaces, and resize pods.
func rights() []runtime.Object {
	objects := []runtime.Object{&rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "storm-resize"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/resize"}, Verbs: []string{"patch"}}},
	}}
	for _, namespace := range []string{namespace, abroad} {
		for _, role := range []string{"edit", "storm-resize"} {
			objects = append(objects, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
				Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: editor}},
			})
		}
	}
	return objects
}

// addNodes gives the pods of a namespace, which it makes too, room.
func addNodes(ctx context.Context, namespace string) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1k"), corev1.ResourceMemory: resource.MustParse("4Ti"), corev1.ResourcePods: resource.MustParse("10k"),
	}
	objects := []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{stowagev1alpha1.QuotaLabel: stowagev1alpha1.QuotaEnabled},
	}}}
	for i := range 4 {
		objects = append(objects, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", namespace, i)}, Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
		})
	}
	return cluster.CreateAll(ctx, objects...)
}

func (s *storm) makeTree() error {
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		return err
	}
	for _, group := range tree {
		if _, err := client.Resource(groupsResource).Create(s.t.Context(), newGroup(group.name, group.parent, group.cores), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// blow lets the storm last for a while.
func (s *storm) blow(lasts time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), lasts)
	defer cancel()
	start := time.Now()
	shared := &pool{names: map[string][]string{}}
	s.chaos = newChaos(s.rig, *seed, lasts)
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return s.chaos.run(ctx) })
	for i := range clients {
		u, err := newUser(i, *seed, shared, s.tally)
		if err != nil {
			s.t.Fatal(err)
		}
		running.Go(func() error {
			u.run(ctx)
			return nil
		})
	}
	err := running.Wait()
	s.lasted = time.Since(start)
	if err != nil {
		s.t.Error(err)
	}
}

// afterwards is how long the ledger may differ from what is there, once nothing happens any more: reservations of
// requests that failed expire after 60 s, and then have to be looked after.
const afterwards = 60*time.Second + 15*time.Second

// calmDown waits until the ledgers equal what is there, or should do so.
func (s *storm) calmDown() {
	s.t.Helper()
	ctx, start := s.t.Context(), time.Now()
	for {
		if err := s.watch.catchUp(ctx); err != nil {
			s.t.Fatal(err)
		}
		var err error
		if s.stuck, err = stuck(ctx); err != nil {
			s.t.Fatal(err)
		}
		s.drifts = s.checker.drifts()
		if s.settled = time.Since(start); len(s.drifts)+len(s.stuck) == 0 || s.settled > afterwards {
			break
		}
		sleep(ctx, time.Second)
	}
	for i := range s.rig.Size() {
		s.chaos.counters.read(ctx, s.rig, i)
	}
}

// total is how many requests had an outcome.
func (s *storm) total(outcomes ...outcome) (n int) {
	for _, by := range s.tally.outcomes {
		for _, outcome := range outcomes {
			n += by[outcome]
		}
	}
	return n
}

// summary is the table of the run.
func (s *storm) summary() string {
	changes, err := leaderChanges(s.t.Context())
	if err != nil {
		s.t.Error(err)
	}
	all := []outcome{admitted, refused, failedAfter, ownConflict, raced, unavailable, conflict, unexpected}
	sums := s.chaos.counters.sum
	operations := s.total(all...)
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	fmt.Fprintf(w, "\nstorm of %s, seed %d\n", s.lasted.Round(time.Second), *seed)
	row("operations", fmt.Sprintf("%d (%.0f/s, slowest %s)", operations, float64(operations)/s.lasted.Seconds(), s.tally.slowest.Round(time.Millisecond)))
	for _, outcome := range all {
		row("  "+string(outcome), s.total(outcome))
	}
	row("conflicts retried by admission", sums[ledgerConflicts])
	row("conflicts retried by counting", sums[countConflicts])
	row("ledger writes by admission", sums[ledgerWrites])
	row("requests not judged in time", sums[unsettled])
	row("held up by the storm's webhook", s.late.delayed)
	row("instants checked", s.checker.instants)
	row("instants over", s.checker.over)
	row("instants not in the ledger", s.checker.unaccounted)
	row("instants above a lowered hard", s.checker.lowered)
	row("instants over with pods that nothing explains", s.checker.lived)
	for r := range reasons {
		row("instants over by "+r.String(), s.checker.excused[r])
	}
	row("ledgers silent on pods", fmt.Sprintf("%d, in %s with a leader", s.checker.untold, s.checker.pulse.up.Round(time.Second)))
	row("controllers stuck", len(s.stuck))
	row("drift after the storm", fmt.Sprintf("%d groups, after %s", len(s.drifts), s.settled.Round(time.Second)))
	row("leader changes", changes)
	row("managers killed, ended, gone by themselves", fmt.Sprintf("%d, %d, %d", s.chaos.kills, s.chaos.terms, s.chaos.revived))
	row("restarts of the API server, of etcd", fmt.Sprintf("%d, %d", s.chaos.restarts[lab.APIServer], s.chaos.restarts[lab.Etcd]))
	fmt.Fprintf(w, "\n\t%s\n", "operations, admitted, refused, raced, own conflicts, unavailable")
	for _, name := range slices.Sorted(maps.Keys(s.tally.outcomes)) {
		by := s.tally.outcomes[name]
		n := 0
		for _, count := range by {
			n += count
		}
		row("  "+name, fmt.Sprint(n, by[admitted], by[refused], by[raced], by[ownConflict], by[unavailable]))
	}
	w.Flush()
	fmt.Fprintf(&text, "\n%s\n", strings.Join(s.chaos.journal, "\n"))
	return text.String()
}

// judge fails the test for all that must not be.
func (s *storm) judge() {
	s.t.Helper()
	if s.checker.over+s.checker.unaccounted > 0 {
		s.t.Errorf("%d instants over, %d not in the ledger:\n%s", s.checker.over, s.checker.unaccounted, strings.Join(s.checker.findings, "\n"))
	}
	if s.checker.lived+s.checker.untold > 0 {
		s.t.Errorf("%d instants over with pods, %d ledgers silent on them:\n%s", s.checker.lived, s.checker.untold, strings.Join(s.checker.findings, "\n"))
	}
	if len(s.stuck) > 0 {
		s.t.Errorf("%s after the storm these have not the pods that they want:\n%s", s.settled.Round(time.Second), strings.Join(s.stuck, "\n"))
	}
	for _, outcome := range []outcome{conflict, unexpected} {
		if n := s.total(outcome); n > 0 {
			s.t.Errorf("%d requests: %s:\n%s", n, outcome, strings.Join(s.tally.texts[outcome], "\n"))
		}
	}
	if len(s.drifts) > 0 {
		s.t.Errorf("%s after the storm the ledgers differ from what is there:\n%s", s.settled.Round(time.Second), strings.Join(s.drifts, "\n"))
	}
	for i := range s.rig.Size() {
		for _, line := range alarming(s.t, s.rig.LogFile(i), s.chaos.away) {
			s.t.Errorf("manager %d logged: %s", i, line)
		}
	}
	if s.total(admitted) == 0 || s.total(refused) == 0 || s.checker.instants == 0 {
		s.t.Error("nothing was admitted, refused or checked: this was no storm")
	}
}

// alarming are the lines of a log that a healthy manager never writes. While an API server starts it may forbid
// anything.
func alarming(t *testing.T, path string, starts []span) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "panic") || strings.Contains(line, "forbidden: User ") && !within(line, starts) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// within says whether a log's line was written in one of the spans.
func within(line string, spans []span) bool {
	stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return err == nil && slices.ContainsFunc(spans, func(s span) bool { return at.After(s.from) && at.Before(s.to) })
}
