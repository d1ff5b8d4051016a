package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

var groupsResource = schema.GroupVersionResource{Group: "stowage.dev", Version: "v1alpha1", Resource: "bizgroupresourcequotas"}

const (
	groupLabel = "biz.group.resource.quota"
	namespace  = "bench"
	// depth is of the trees of groups.
	depth = 6
)

// contender is one way to admit objects.
type contender struct {
	name string
	// prepare makes it the only one that admits; it is ended by the function that it returns.
	prepare func(*testing.T) (end func())
	labels  func(i int) map[string]string
}

// TestAdmission measures the contenders in turn.
func TestAdmission(t *testing.T) {
	contenders := []contender{
		{"nothing", nothing, unlabelled},
		{"ResourceQuota", nativeQuota, unlabelled},
		{"bizrq, 3 managers", component(3), oneGroup},
		{"bizrq, 1 manager", component(1), oneGroup},
	}
	const native = 1
	kubes := connectTest(t)
	createNamespace(t)
	createTree(t, 1)
	for _, kind := range kinds {
		figures := make([][]figure, len(contenders)) // by contender and round
		for round := range *rounds {
			for i := range contenders {
				c := (i + round) % len(contenders)
				figures[c] = append(figures[c], take(t, kubes, contenders[c], kind.create))
			}
		}
		var text strings.Builder
		fmt.Fprintf(&text, "\n%s, %d creations by %d clients, median of %d\n\n", kind.name, *creates, clients, *rounds)
		fmt.Fprintf(&text, "| | creations/s | to native | p50 | to native | p99 | to native | processor | to native |\n| --- | --: | --: | --: | --: | --: | --: | --: | --: |\n")
		for c, contender := range contenders {
			m := median(figures[c])
			ratio := func(number func(figure) float64) float64 {
				pairs := make([]float64, *rounds)
				for round := range pairs {
					pairs[round] = number(figures[c][round]) / number(figures[native][round])
				}
				return middle(pairs, func(f float64) float64 { return f })
			}
			fmt.Fprintf(&text, "| %s | %.0f | %.2f | %s | %.2f | %s | %.2f | %s | %.2f |\n", contender.name,
				m.perSecond, ratio(func(f figure) float64 { return f.perSecond }),
				m.p50.Round(100*time.Microsecond), ratio(func(f figure) float64 { return float64(f.p50) }),
				m.p99.Round(100*time.Microsecond), ratio(func(f figure) float64 { return float64(f.p99) }),
				m.processor.Round(10*time.Microsecond), ratio(func(f figure) float64 { return float64(f.processor) }))
		}
		t.Log(text.String())
	}
}

// take measures one contender once.
func take(t *testing.T, kubes []kubernetes.Interface, c contender, create creator) figure {
	t.Helper()
	end := c.prepare(t)
	defer end()
	f, err := measure(t.Context(), kubes, load{namespace: namespace, create: create, labels: c.labels}, *creates)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return f
}

func connectTest(t *testing.T) []kubernetes.Interface {
	t.Helper()
	lab.Needed(t)
	kubes, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	return kubes
}

func createNamespace(t *testing.T) {
	t.Helper()
	if err := cluster.CreateAll(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{stowagev1alpha1.QuotaLabel: stowagev1alpha1.QuotaEnabled},
	}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) (bool, error) {
		_, err := cluster.Client().CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
}

// eventually waits until done says so.
func eventually(t *testing.T, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Minute, true, done); err != nil {
		t.Fatal(err)
	}
}

func unlabelled(int) map[string]string { return nil }

func oneGroup(int) map[string]string { return map[string]string{groupLabel: groupName(0)} }

func nothing(*testing.T) func() { return func() {} }

// nativeQuota has a ResourceQuota limit the namespace, so that it refuses nothing.
func nativeQuota(t *testing.T) func() {
	t.Helper()
	quotas := cluster.Client().CoreV1().ResourceQuotas(namespace)
	hard := corev1.ResourceList{}
	for key, value := range map[corev1.ResourceName]string{"limits.cpu": "1M", "limits.memory": "1Pi", "pods": "10M", "count/deployments.apps": "10M"} {
		hard[key] = resource.MustParse(value)
	}
	_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "bench"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) (bool, error) {
		quota, err := quotas.Get(ctx, "bench", metav1.GetOptions{})
		return err == nil && len(quota.Status.Used) == len(hard), err
	})
	return func() {
		if err := quotas.Delete(context.Background(), "bench", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// component runs so many managers, and waits until all groups are counted.
func component(managers int) func(*testing.T) func() {
	return func(t *testing.T) func() {
		t.Helper()
		r, err := rig.Start(t.Context(), cluster, rig.Options{Managers: managers})
		if err != nil {
			t.Fatal(err)
		}
		r.Attach(t)
		client := groupsClient(t)
		eventually(t, func(ctx context.Context) (bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			for i := range list.Items {
				if _, counted, _ := unstructured.NestedString(list.Items[i].Object, "status", "lastReconcileTime"); !counted {
					return false, nil
				}
			}
			return true, nil
		})
		return func() {
			t.Logf("%d managers: %s", managers, counters(t, r))
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			uninstallWebhooks(t)
		}
	}
}

// counters are the managers' own, summed up.
func counters(t *testing.T, r *rig.Rig) string {
	t.Helper()
	const prefix = "stowage_quota_ledger_"
	sums := map[string]float64{}
	for i := range r.Size() {
		text, err := r.Metrics(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
			if value, err := strconv.ParseFloat(number, 64); ok && err == nil {
				sums[strings.TrimPrefix(name, prefix)] += value
			}
		}
	}
	return fmt.Sprintf("%.0f writes of ledgers, %.0f conflicts, %.1f requests a batch", sums["writes_total"], sums["conflicts_total"],
		sums["batch_size_sum"]/max(sums["batch_size_count"], 1))
}

// uninstallWebhooks has nothing wait for managers that do not run.
func uninstallWebhooks(t *testing.T) {
	t.Helper()
	err := cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), install.WebhookName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // the API server learns of it by a watch
}

func groupsClient(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(groupsResource)
}

// groupName is the i-th group's of a tree.
func groupName(i int) string { return fmt.Sprintf("group-%05d", i) }

// fanout is how many children the groups of a tree of n have, for it to have depth levels.
func fanout(n int) int {
	for f := 1; ; f++ {
		holds, level := 0, 1
		for range depth {
			holds += level
			level *= f
		}
		if holds >= n {
			return f
		}
	}
}

// groupsOf are a tree's groups, parents first. No hard is ever reached.
func groupsOf(n int) []*unstructured.Unstructured {
	f := fanout(n)
	weight := make([]int, n) // of the group and all below it
	for i := n - 1; i >= 0; i-- {
		weight[i]++
		if i > 0 {
			weight[(i-1)/f] += weight[i]
		}
	}
	groups := make([]*unstructured.Unstructured, n)
	for i := range groups {
		parent := ""
		if i > 0 {
			parent = groupName((i - 1) / f)
		}
		groups[i] = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": groupsResource.GroupVersion().String(), "kind": "BizGroupResourceQuota",
			"metadata": map[string]any{"name": groupName(i)},
			"spec": map[string]any{
				"parentBizGroup": parent,
				"hard": map[string]any{
					"limits.cpu": fmt.Sprint(weight[i] * 10000), "limits.memory": fmt.Sprintf("%dTi", weight[i]*10), "pods": fmt.Sprint(weight[i] * 100000),
				},
				"allow": map[string]any{"namespaces": []any{namespace}},
			},
		}}
	}
	return groups
}

// createTree creates n groups in place of those that are there, before any manager runs to judge them.
func createTree(t *testing.T, n int) {
	t.Helper()
	r, err := rig.Start(t.Context(), cluster, rig.Options{Managers: 1}) // for the kind to be there
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	uninstallWebhooks(t)
	client := groupsClient(t)
	if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	var creating errgroup.Group
	creating.SetLimit(clients)
	for _, group := range groupsOf(n) {
		creating.Go(func() error {
			_, err := client.Create(t.Context(), group, metav1.CreateOptions{})
			return err
		})
	}
	if err := creating.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestTree measures the component with many groups, charged alike or one alone.
func TestTree(t *testing.T) {
	kubes := connectTest(t)
	createNamespace(t)
	var text strings.Builder
	fmt.Fprintf(&text, "\nPods, %d creations by %d clients, 3 managers, median of %d\n\n", *creates, clients, *rounds)
	fmt.Fprintf(&text, "| groups | charged | creations/s | p50 | p99 | processor | all counted after |\n| --: | --- | --: | --: | --: | --: | --: |\n")
	for n := 10; n <= *most; n *= sizeStep(n) {
		createTree(t, n)
		start := time.Now()
		end := component(3)(t)
		counted := time.Since(start)
		for _, spread := range []struct {
			name   string
			labels func(int) map[string]string
		}{
			{"one", func(int) map[string]string { return map[string]string{groupLabel: groupName(n - 1)} }},
			{"all", func(i int) map[string]string { return map[string]string{groupLabel: groupName(i % n)} }},
		} {
			var figures []figure
			for range *rounds {
				f, err := measure(t.Context(), kubes, load{namespace: namespace, create: createPod, labels: spread.labels}, *creates)
				if err != nil {
					t.Fatal(err)
				}
				figures = append(figures, f)
			}
			m := median(figures)
			fmt.Fprintf(&text, "| %d | %s | %.0f | %s | %s | %s | %s |\n", n, spread.name, m.perSecond,
				m.p50.Round(100*time.Microsecond), m.p99.Round(100*time.Microsecond), m.processor.Round(10*time.Microsecond), counted.Round(time.Second))
		}
		end()
	}
	t.Log(text.String())
}

// sizeStep is the factor between the sizes of trees: 10, 1,000, 10,000.
func sizeStep(n int) int {
	if n == 10 {
		return 100
	}
	return 10
}

// TestTreeCommand measures `kubectl quota tree` on a snapshot of groups.
func TestTreeCommand(t *testing.T) {
	lab.Needed(t)
	dir := t.TempDir()
	binary := filepath.Join(dir, "kubectl-quota")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/stowage-dev/stowage/cmd/kubectl-quota").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	snapshot := filepath.Join(dir, "groups.json")
	writeSnapshot(t, snapshot, *most)
	var took []float64
	var lines int
	for range max(5, *rounds) {
		start := time.Now()
		out, err := exec.Command(binary, "tree", "--snapshot", snapshot).Output()
		if err != nil {
			t.Fatal(err)
		}
		took, lines = append(took, time.Since(start).Seconds()), strings.Count(string(out), "\n")
	}
	if lines < *most {
		t.Fatalf("%d lines for %d groups", lines, *most)
	}
	info, err := os.Stat(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl quota tree --snapshot, %d groups of depth %d (%d KiB of JSON, %d lines out): median of %d: %.2f s", *most, depth,
		info.Size()>>10, lines, len(took), middle(took, func(f float64) float64 { return f }))
}

// writeSnapshot writes groups as `kubectl get bizrq -o json` does, each with a ledger in which half is used.
func writeSnapshot(t *testing.T, path string, n int) {
	t.Helper()
	groups := groupsOf(n)
	items := make([]any, n)
	for i, group := range groups {
		hard, _, _ := unstructured.NestedStringMap(group.Object, "spec", "hard")
		half := map[string]any{"limits.cpu": "5000", "limits.memory": "5Ti", "pods": "50000"}
		group.Object["status"] = map[string]any{
			"observedGeneration": 1, "hard": hard, "used": half, "selfUsed": half, "lastReconcileTime": "2026-01-01T00:00:00.000000Z",
		}
		group.SetGeneration(1)
		group.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", i)))
		items[i] = group.Object
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
