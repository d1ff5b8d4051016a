// Package load_test holds package load to a real control plane.
package load_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/fleet"
	"github.com/stowage-dev/stowage/test/lab"
)

// cluster has no controller, scheduler or kubelet: nothing changes between two looks.
var cluster *lab.Lab

func TestMain(m *testing.M) {
	lab.Main(m, &cluster, lab.Options{Without: []lab.Component{lab.ControllerManager, lab.Scheduler, lab.Kwok}})
}

// TestLiveEqualsDump compares what Live loads with what Read reads from kubectl's
// own dumps of the same cluster.
func TestLiveEqualsDump(t *testing.T) {
	resetAfter(t)
	createCluster(t)
	createCustom(t)
	live := loadLive(t, cluster.RESTConfig())
	if len(live.Missing) > 0 {
		t.Errorf("Missing = %v, want none", live.Missing)
	}
	live.TakenAt, live.ServerVersion = metav1.Time{}, "" // kubectl get tells neither
	for _, k := range snapshot.Kinds() {
		// The second event is left on the server.
		if got := len(k.Objects(live)); k.Typed() && got == 0 {
			t.Errorf("%s: none loaded, want the test's", k.GroupResource())
		}
	}
	want := write(t, live)
	for _, format := range []string{"yaml", "json"} {
		dump := kubectlDump(t, format)
		read, err := snapshot.Read("kubectl", bytes.NewReader(dump))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, write(t, read)); diff != "" {
			t.Errorf("%s: live and dump differ (-live +dump):\n%s", format, diff)
		}
	}
}

// TestPagesGiveTheSame lists in pages that divide no list evenly.
func TestPagesGiveTheSame(t *testing.T) {
	resetAfter(t)
	f, err := fleet.Generate(fleet.Options{Seed: 3, Nodes: 10, Pods: 50})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateAll(t.Context(), f.Manifests()...); err != nil {
		t.Fatal(err)
	}
	var dumps [2]bytes.Buffer
	for i, size := range []int64{0, 7} {
		s, err := load.Live(t.Context(), cluster.RESTConfig(), load.Options{
			ChunkSize: size, Kinds: []string{"nodes", "pods"}, Now: func() time.Time { return build.Epoch.Time },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Nodes) != 10 || len(s.Pods) < 50 {
			t.Errorf("chunk size %d: %d nodes and %d pods, want 10 and at least 50", size, len(s.Nodes), len(s.Pods))
		}
		if err := snapshot.Write(&dumps[i], s, snapshot.Format{}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(dumps[0].String(), dumps[1].String()); diff != "" {
		t.Errorf("in pages the snapshot differs (-whole +pages):\n%s", diff)
	}
}

// TestProgress loads enough pods to hear of them.
func TestProgress(t *testing.T) {
	resetAfter(t)
	f, err := fleet.Generate(fleet.Options{Seed: 2, Nodes: 1, Pods: 1200})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateAll(t.Context(), f.Manifests()...); err != nil {
		t.Fatal(err)
	}
	var heard []int64
	_, err = load.Live(t.Context(), cluster.RESTConfig(), load.Options{Progress: func(p load.Progress) {
		if p.Resource == "pods" {
			heard = append(heard, p.Done)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{500, 1000}, heard); diff != "" {
		t.Errorf("pods heard of differ (-want +got):\n%s", diff)
	}
}

func TestForbiddenKindsAreMissing(t *testing.T) {
	lab.Needed(t)
	ctx := t.Context()
	limited := rest.CopyConfig(cluster.RESTConfig())
	limited.Impersonate = rest.ImpersonationConfig{UserName: "limited", Groups: []string{"system:authenticated"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "limited"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "limited"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "limited"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "limited"}},
	}
	pods := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "limited", Namespace: "default"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}}
	podsBinding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "limited", Namespace: "default"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "limited"},
		Subjects:   binding.Subjects,
	}
	if err := cluster.CreateAll(ctx, role, binding, pods, podsBinding); err != nil {
		t.Fatal(err)
	}
	s, err := load.Live(ctx, limited, load.Options{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, m := range s.Missing {
		reasons[m.Resource] = m.Why()
	}
	for resource, want := range map[string]string{
		"nodes":                             "",
		"pods":                              "forbidden outside namespace default",
		"poddisruptionbudgets.policy":       "forbidden",
		"resourceclaims.resource.k8s.io":    "forbidden",
		"storageclasses.storage.k8s.io":     "forbidden",
		"priorityclasses.scheduling.k8s.io": "forbidden",
	} {
		if reasons[resource] != want {
			t.Errorf("%s is missing for the reason %q, want %q", resource, reasons[resource], want)
		}
	}
}

func TestKindsLimitTheLoad(t *testing.T) {
	lab.Needed(t)
	s, err := load.Live(t.Context(), cluster.RESTConfig(), load.Options{Kinds: []string{"namespaces"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Namespace("kube-system") == nil || len(s.PriorityClasses) > 0 {
		t.Errorf("loaded %d namespaces and %d priority classes, want the namespaces only", len(s.Namespaces), len(s.PriorityClasses))
	}
}

// TestFinished keeps the pods that have run to their end when it is asked to.
func TestFinished(t *testing.T) {
	resetAfter(t)
	if err := cluster.CreateAll(t.Context(), build.Pod("default", "done").Node("n").Phase(corev1.PodSucceeded).Obj()); err != nil {
		t.Fatal(err)
	}
	for finished, want := range map[bool]int{false: 0, true: 1} {
		s, err := load.Live(t.Context(), cluster.RESTConfig(), load.Options{Kinds: []string{"pods"}, Finished: finished})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Pods) != want {
			t.Errorf("Finished: %t: loaded %d pods, want %d", finished, len(s.Pods), want)
		}
	}
}

func TestCancel(t *testing.T) {
	lab.Needed(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load.Live(ctx, cluster.RESTConfig(), load.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestUnreachable(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	_, err := load.Live(t.Context(), config, load.Options{})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want one line on the refused connection", err)
	}
}

// resetAfter empties the cluster at the test's end.
func resetAfter(t *testing.T) {
	t.Helper()
	lab.Needed(t)
	t.Cleanup(func() {
		if err := cluster.Reset(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func loadLive(t *testing.T, config *rest.Config) *snapshot.Snapshot {
	t.Helper()
	s, err := load.Live(t.Context(), config, load.Options{Extra: []snapshot.Kind{rollouts()}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s *snapshot.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := snapshot.Write(&b, s, snapshot.Format{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// createCluster creates a fleet and an object of every kind.
func createCluster(t *testing.T) {
	t.Helper()
	f, err := fleet.Generate(fleet.Options{Seed: 1, Nodes: 20, Pods: 100, Bound: 0.8})
	if err != nil {
		t.Fatal(err)
	}
	objects := f.Manifests()
	template := func() *build.PodBuilder { return build.Pod("default", "p").Label("app", "web").Request("cpu=1") }
	for _, o := range []snapshot.Object{
		build.StorageClass("fast", "csi.example.com", "WaitForFirstConsumer"),
		build.PV("pv", "fast", "10Gi", "csi.example.com", "zone-a"),
		build.PVC("default", "data", "fast", "10Gi", ""),
		build.Deployment("default", "web", 2, template()),
		build.StatefulSet("default", "db", 1, template()),
		build.DaemonSet("default", "agent", template()),
		build.Service("default", "web", "app=web"),
		build.PDB("default", "web", "1", "app=web", 0),
		build.ResourceQuota("default", "quota", "requests.cpu=4", "requests.cpu=1"),
		build.LimitRange("default", "limits", "Container", "cpu=8", "cpu=1"),
		build.CSINode("n", "csi.example.com", 8),
		build.DeviceClass("gpu", "gpu.example.com"),
		build.ResourceClaim("default", "gpu", "gpu", 1),
		build.Event("default", "failed", "Pod", "p", "FailedScheduling", "0/20 nodes are available"),
		build.Event("default", "pulled", "Pod", "p", "Pulled", "Container image pulled"),
	} {
		objects = append(objects, asUser(o))
	}
	objects = append(objects, moreObjects()...)
	if err := cluster.CreateAll(t.Context(), objects...); err != nil {
		t.Fatal(err)
	}
}

// asUser takes from an object what the API server sets.
func asUser(o snapshot.Object) runtime.Object {
	o.SetUID("")
	o.SetCreationTimestamp(metav1.Time{})
	return o
}

// kubectlDump is `kubectl get` of every kind, of finished pods too.
func kubectlDump(t *testing.T, format string) []byte {
	t.Helper()
	resources := []string{rollouts().GroupResource()}
	for _, k := range snapshot.Kinds() {
		if k.Typed() {
			resources = append(resources, k.GroupResource())
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kubectl := filepath.Join(cache, "stowage", "v1.37.1", "bin", "kubectl")
	cmd := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", cluster.Kubeconfig(), "get", strings.Join(resources, ","), "-A", "-o", format)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
