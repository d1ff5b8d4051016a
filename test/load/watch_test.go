package load_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/lab"
)

// patience bounds each wait: a stream gives a snapshot well within it, even on a busy
// machine.
const patience = time.Minute

// watchCluster follows the cluster until the test ends.
func watchCluster(t *testing.T, config *rest.Config, opts load.WatchOptions) *load.Stream {
	t.Helper()
	opts.Settle = 100 * time.Millisecond
	stream, err := load.Watch(t.Context(), config, opts)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// await returns the first snapshot that is as wanted.
func await(t *testing.T, stream *load.Stream, what string, wanted func(*snapshot.Snapshot) bool) *snapshot.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		s, err := stream.Next(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if wanted(s) {
			return s
		}
	}
}

// TestWatchEqualsLive changes a cluster, and compares what the stream then has with
// what a load of the same cluster has.
func TestWatchEqualsLive(t *testing.T) {
	resetAfter(t)
	createCustom(t)
	opts := load.WatchOptions{Options: load.Options{Extra: []snapshot.Kind{rollouts()}}}
	stream := watchCluster(t, cluster.RESTConfig(), opts)
	first := await(t, stream, "the first snapshot", func(*snapshot.Snapshot) bool { return true })
	held := write(t, first)

	objects := []runtime.Object{rollout("second", "nlp"), rollout("free", "")}
	for _, o := range []snapshot.Object{
		build.Node("n").Obj(),
		build.PVC("default", "data", "fast", "10Gi", ""),
		build.Deployment("default", "web", 2, build.Pod("default", "p").Label("app", "web").Request("cpu=1")),
		build.CSINode("n", "csi.example.com", 8),
		build.ResourceClaim("default", "gpu", "gpu", 1),
		build.Event("default", "watched", "Pod", "p", "FailedScheduling", "0/20 nodes are available"),
		build.Event("default", "watched-pull", "Pod", "p", "Pulled", "Container image pulled"),
	} {
		objects = append(objects, asUser(o))
	}
	if err := cluster.CreateAll(t.Context(), objects...); err != nil {
		t.Fatal(err)
	}
	pods := cluster.Client().CoreV1().Pods("default")
	ctx := t.Context()
	for _, name := range []string{"kept", "gone", "done"} {
		if err := cluster.CreateAll(ctx, build.Pod("default", name).Request("cpu=1").Obj()); err != nil {
			t.Fatal(err)
		}
	}
	patch := []byte(`{"metadata":{"labels":{"app":"changed"}}}`)
	if _, err := pods.Patch(ctx, "kept", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	if err := pods.Delete(ctx, "gone", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	finished := []byte(`{"status":{"phase":"Succeeded"}}`)
	if _, err := pods.Patch(ctx, "done", types.MergePatchType, finished, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}

	live := loadLive(t, cluster.RESTConfig())
	live.TakenAt = metav1.Time{}
	want := write(t, live)
	got := ""
	defer func() {
		if t.Failed() {
			t.Log(cmp.Diff(want, got))
		}
	}()
	await(t, stream, "what a load has", func(s *snapshot.Snapshot) bool {
		same := *s
		same.TakenAt = metav1.Time{}
		got = write(t, &same)
		return got == want
	})
	if diff := cmp.Diff(held, write(t, first)); diff != "" {
		t.Errorf("a snapshot that was given out has changed (-then +now):\n%s", diff)
	}
}

// TestWatchWakes holds what changes of a kind that wakes nobody until one does.
func TestWatchWakes(t *testing.T) {
	resetAfter(t)
	stream := watchCluster(t, cluster.RESTConfig(), load.WatchOptions{Wake: []string{"nodes"}})
	await(t, stream, "the first snapshot", func(*snapshot.Snapshot) bool { return true })
	if err := cluster.CreateAll(t.Context(), build.Pod("default", "quiet").Obj(), build.Node("loud").Obj()); err != nil {
		t.Fatal(err)
	}
	await(t, stream, "a node and the pod before it", func(s *snapshot.Snapshot) bool {
		return s.Node("loud") != nil && s.Pod("default", "quiet") != nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stream.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

// counter counts the lists of pods.
type counter struct {
	http.RoundTripper
	lists atomic.Int32
}

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path == "/api/v1/pods" && request.URL.Query().Get("watch") == "" {
		c.lists.Add(1)
	}
	return c.RoundTripper.RoundTrip(request)
}

// TestWatchSurvivesTheServer restarts the API server, after which it no longer knows
// the versions from before (410 Gone).
func TestWatchSurvivesTheServer(t *testing.T) {
	resetAfter(t)
	config, counted := cluster.RESTConfig(), &counter{}
	config.WrapTransport = func(transport http.RoundTripper) http.RoundTripper {
		if counted.RoundTripper == nil {
			counted.RoundTripper = transport
			return counted
		}
		return transport // the client of custom kinds
	}
	stream := watchCluster(t, config, load.WatchOptions{Wake: []string{"pods"}})
	await(t, stream, "the first snapshot", func(*snapshot.Snapshot) bool { return true })
	if err := cluster.CreateAll(t.Context(), build.Pod("default", "before").Obj()); err != nil {
		t.Fatal(err)
	}
	await(t, stream, "a pod", func(s *snapshot.Snapshot) bool { return s.Pod("default", "before") != nil })
	for range 2 {
		// What else is written meanwhile makes the pods' version too old.
		if err := cluster.CreateAll(t.Context(), build.Event("default", "e", "Pod", "before", "FailedScheduling", "no")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(cluster.Stop(t.Context(), lab.APIServer), cluster.Start(t.Context(), lab.APIServer)); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Client().CoreV1().Events("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.CreateAll(t.Context(), build.Pod("default", "after").Obj()); err != nil {
		t.Fatal(err)
	}
	await(t, stream, "a pod of after the restart", func(s *snapshot.Snapshot) bool {
		return s.Pod("default", "before") != nil && s.Pod("default", "after") != nil
	})
	if lists := counted.lists.Load(); lists < 2 {
		t.Errorf("pods were listed %d times, want another time after the restart", lists)
	}
}

// TestWatchForbidden does without kinds that may not be listed, and lists those anew
// that may not be watched.
func TestWatchForbidden(t *testing.T) {
	resetAfter(t)
	may := func(verbs []string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: resources, Verbs: verbs}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, Rules: []rbacv1.PolicyRule{
		may([]string{"list", "watch"}, "nodes"), may([]string{"list"}, "pods"),
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "watcher"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "watcher"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "watcher"}},
	}
	if err := cluster.CreateAll(t.Context(), role, binding); err != nil {
		t.Fatal(err)
	}
	config := cluster.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "watcher", Groups: []string{"system:authenticated"}}
	stream := watchCluster(t, config, load.WatchOptions{Again: time.Second})
	claims := func(m snapshot.Missing) bool {
		return m == snapshot.Missing{Resource: "persistentvolumeclaims", Reason: snapshot.Forbidden}
	}
	await(t, stream, "the first snapshot", func(s *snapshot.Snapshot) bool {
		if !slices.ContainsFunc(s.Missing, claims) {
			t.Errorf("Missing = %v, want claims among them", s.Missing)
		}
		return true
	})
	if err := cluster.CreateAll(t.Context(), build.Pod("default", "p").Obj(), build.Node("n").Obj()); err != nil {
		t.Fatal(err)
	}
	s := await(t, stream, "the node, and the pod of a later list", func(s *snapshot.Snapshot) bool {
		return s.Node("n") != nil && s.Pod("default", "p") != nil
	})
	if !slices.ContainsFunc(s.Missing, claims) {
		t.Errorf("Missing = %v, want claims among them", s.Missing)
	}
	if notes := stream.Notes(); !slices.ContainsFunc(notes, func(note string) bool { return strings.HasPrefix(note, "pods may not be watched (forbidden)") }) {
		t.Errorf("Notes = %q, want one on the pods", notes)
	}

	// The right that is given later counts as soon as the kind is asked for again.
	role.Rules = append(role.Rules, may([]string{"list", "watch"}, "persistentvolumeclaims"))
	if _, err := cluster.Client().RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, stream, "the claims", func(s *snapshot.Snapshot) bool { return !slices.ContainsFunc(s.Missing, claims) })
}
