package quota_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/plugins/quota"
	"github.com/stowage-dev/stowage/test/lab"
)

// groupCRD is what `kubectl quota install` applies first.
const groupCRD = "../../pkg/install/manifests/crds/stowage.dev_bizgroupresourcequotas.yaml"

// rolloutCRD serves a workload kind that has no Go type.
const rolloutCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts, singular: rollout}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

const rollout = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: ocr, namespace: default, labels: {biz.group.resource.quota: vision}}
spec:
  replicas: 2
  template:
    spec:
      containers: [{name: main, image: a, resources: {limits: {cpu: "2"}}}]
`

// live is a test on a real control plane.
type live struct {
	*testing.T
	cluster *lab.Lab
}

// TestLive runs the commands against a real control plane without the in-cluster
// component: the tests write the groups' ledgers.
func TestLive(t *testing.T) {
	cluster, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	l := live{t, cluster}
	l.create(build.Node("only").Capacity("cpu=16,memory=64Gi").Obj(), build.ResourceQuota("default", "native", "requests.cpu=64", ""))

	l.expect([]string{"tree"}, 0, "default/native   requests.cpu", "To install business groups: kubectl quota install\n")
	l.expect([]string{"create", "ai", "--hard", "limits.cpu=1", "--yes"}, cli.ExitError, "is not served by https://", "install the in-cluster component first (kubectl quota install)\n")

	l.create(decode(t, read(t, groupCRD)), decode(t, rolloutCRD))
	l.await("the kinds to be served", func(context.Context) (bool, error) {
		return strings.Contains(l.run("create", "probe", "--hard", "pods=1", "--dry-run=server", "--yes"), "exit code 0"), nil
	})
	t.Run("create", func(t *testing.T) { live{t, cluster}.testCreate() })
	t.Run("set", func(t *testing.T) { live{t, cluster}.testSet() })

	l.create(
		decode(t, rollout),
		build.Namespace("nlp-prod", ""),
		tie(build.Deployment("nlp-prod", "web", 2, build.Pod("nlp-prod", "web").Label("app", "web").Request("cpu=1").Limit("cpu=1")), "nlp"),
		clusterRole("reader", []string{"", "apps", "batch", stowagev1alpha1.GroupName, "argoproj.io"}, "list", "watch"), binding("reader"),
		clusterRole("poor", []string{"", "apps", "batch"}, "list"), binding("poor"),
	)
	l.await("the pods to run", func(ctx context.Context) (bool, error) {
		pods, err := cluster.Client().CoreV1().Pods("nlp-prod").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=" + string(corev1.PodRunning)})
		return err == nil && len(pods.Items) == 2, err
	})
	t.Run("verify", func(t *testing.T) { live{t, cluster}.testVerify() })
	t.Run("tree", func(t *testing.T) { live{t, cluster}.testTree() })
	t.Run("check", func(t *testing.T) { live{t, cluster}.testCheck() })
	t.Run("rights", func(t *testing.T) {
		live{t, cluster}.expect([]string{"tree", "--as=poor"}, cli.ExitError, "bizgroupresourcequotas.stowage.dev cannot be listed (forbidden): nothing can be said without them; ask for the right to list them\n")
	})
	t.Run("completion", func(t *testing.T) { live{t, cluster}.testCompletion() })
	t.Run("watch", func(t *testing.T) { live{t, cluster}.testWatch() })
}

func (l live) testCreate() {
	root := []string{"create", "ai", "--hard", "limits.cpu=10,cash/limits.cpu=100"}
	l.expect(root, cli.ExitError, "error: stdin is no terminal to ask on: expected --yes, or --dry-run=server to see what would be done\n")
	l.expect(append(root, "--dry-run=client"), 0, "bizgroupresourcequota.stowage.dev/ai created (dry run)\n")
	l.expect(append(root, "--dry-run=server"), 0, "bizgroupresourcequota.stowage.dev/ai created (server dry run)\n")
	l.expect([]string{"tree", "ai"}, cli.ExitError, `bizgroupresourcequotas.stowage.dev "ai" not found`)
	l.expect(append(root, "--yes"), 0, "bizgroupresourcequota.stowage.dev/ai created\n", "ai      limits.cpu        <none>   10      <none>\n")
	l.expect(append(root, "--yes"), cli.ExitError, `bizgroupresourcequotas.stowage.dev "ai" already exists; kubectl quota set changes it`)

	child := func(name, hard string, more ...string) []string {
		return append([]string{"create", name, "--parent", "ai", "--hard", hard, "--yes"}, more...)
	}
	l.expect(child("nlp", "limits.cpu=12,cash/limits.cpu=10"), cli.ExitError,
		"ai       limits.cpu        10            -2           10\n", "error: group ai: limits.cpu: needs 12, 10 of 10 left (short 2)\n")
	l.expect(child("nlp", "limits.cpu=4,cash/limits.cpu=10", "--refill", "0 0 * *"), cli.ExitError, "spec.refill.schedule: ")
	l.expect(child("nlp", "limits.cpu=4,cash/limits.cpu=10,pods=10", "--refill", "0 0 * * 1", "--time-zone", "Asia/Shanghai", "--allow-namespace", "nlp-*", "-o", "yaml"), 0,
		"kind: BizGroupResourceQuota\n", "    schedule: 0 0 * * 1\n    timeZone: Asia/Shanghai\n", "    - nlp-*\n")
	l.expect(child("vision", "limits.cpu=6,cash/limits.cpu=10", "-o", "name"), 0, "--- stdout\nbizgroupresourcequota.stowage.dev/vision\n--- stderr\n")
	l.expect(child("speech", "limits.cpu=1,cash/limits.cpu=1", "--parent", "aj"), cli.ExitError, `there is no group "aj"; did you mean "ai"?`)
}

func (l live) testSet() {
	l.annotate("nlp", corev1.LastAppliedConfigAnnotation, "{}")
	l.expect([]string{"set", "nlp", "pod-"}, cli.ExitError, `error: "pod-": the group has no key pod; did you mean "pods"?`)
	l.expect([]string{"set", "nlp", "limits.cpu-", "--yes"}, cli.ExitError, "error: spec.hard: lacks limits.cpu, which its parent ai has: give every key of the parent\n")
	l.expect([]string{"set", "nlp", "pods-", "--yes"}, 0, "nlp     pods              10       <none>   <none>\n", "bizgroupresourcequota.stowage.dev/nlp changed\n")
	l.expect([]string{"set", "nlp", "limits.cpu=4", "--yes"}, 0, "bizgroupresourcequota.stowage.dev/nlp unchanged\n")
	l.expect([]string{"set", "ai", "pods=10", "--yes"}, cli.ExitError, "spec.hard: a new key must be in every child first: pods is not in nlp, vision\n")
	l.expect([]string{"set", "ai", "limits.cpu=20", "--dry-run=server", "-o", "yaml"}, 0, "    limits.cpu: \"20\"\n")
	l.expect([]string{"tree", "ai", "-o", "jsonpath={.items[0].keys[1].hard}"}, 0, "--- stdout\n10--- stderr")
	if got := l.group("nlp").GetAnnotations()[corev1.LastAppliedConfigAnnotation]; got != "{}" {
		l.Errorf("what a snapshot does not hold was lost: the annotation is %q", got)
	}
}

// testVerify checks that what nobody has counted is drift, and then counts it.
func (l live) testVerify() {
	l.expect([]string{"verify", "--exit-code"}, cli.ExitNo,
		"ai       limits.cpu   0        10        -10\nnlp      limits.cpu   0        2         -2\nvision   limits.cpu   0        4         -4\n")
	l.count("ai", "limits.cpu=0,cash/limits.cpu=0", "limits.cpu=10,cash/limits.cpu=20")
	l.count("nlp", "limits.cpu=2,cash/limits.cpu=4", "limits.cpu=2,cash/limits.cpu=4")
	l.count("vision", "limits.cpu=4,cash/limits.cpu=0", "limits.cpu=4,cash/limits.cpu=0")
	l.expect([]string{"verify", "--exit-code"}, 0, "No drift: the ledgers of 3 groups agree with what is there\n")
}

// testTree checks that a dump gives the same bytes.
func (l live) testTree() {
	l.expect([]string{"tree"}, 0, "├── nlp      cash/limits.cpu   40%    4      10     6 (3h)\n", "└── vision   cash/limits.cpu   0%     0      10     10 (idle)\n")
	snap, err := load.Live(l.Context(), l.cluster.RESTConfig(), load.Options{Extra: []snapshot.Kind{
		snapshot.Labelled(decode(l.T, rollout).GroupVersionKind(), "rollouts"),
	}})
	if err != nil {
		l.Fatal(err)
	}
	dump := filepath.Join(l.TempDir(), "dump.yaml")
	f, err := os.Create(dump)
	if err != nil {
		l.Fatal(err)
	}
	if err := errors.Join(snapshot.Write(f, snap, snapshot.Format{}), f.Close()); err != nil {
		l.Fatal(err)
	}
	for _, args := range [][]string{{"tree"}, {"verify", "-o", "json"}, {"tree", "ai", "-o", "wide"}} {
		online, offline := stdoutOf(l.run(args...)), stdoutOf(run(l, "", append(args, "--snapshot", dump)...))
		if diff := cmp.Diff(online, offline); diff != "" {
			l.Errorf("%v: - is live, + is from the dump:\n%s", args, diff)
		}
	}
}

func (l live) testCheck() {
	l.expect([]string{"check", "deploy/web", "-n", "nlp-prod", "--replicas", "4"}, 0, "admitted  nlp-prod/deployment.apps/web  charges nlp\n--- stderr")
	l.expect([]string{"check", "deploy/web", "-n", "nlp-prod", "--replicas", "5", "--exit-code"}, cli.ExitNo, "group nlp: limits.cpu: needs 3, 2 of 4 left (short 1); largest that fits:")
	elsewhere := []string{"check", "rollout/ocr", "--replicas", "3"}
	l.expect(elsewhere, 0, "admitted  default/rollout.argoproj.io/ocr  charges vision\n--- stderr")
	l.expect(append(elsewhere, "--as=reader"), 0, "refused   default/rollout.argoproj.io/ocr", "group vision: you may not charge it from namespace default:")
}

func (l live) testCompletion() {
	for line, want := range map[string]string{
		"tree\t":               "ai\nnlp\nvision\n:4\n",
		"tree\tnlp\t":          ":4\n",
		"describe\tnlp\tv":     "vision\n:4\n",
		"tree\t--resource\tca": "cash/limits.cpu\n:4\n",
		"create\t--parent\tn":  "nlp\n:4\n",
		"set\tnlp\tli":         "limits.cpu=\n:6\n",
	} {
		out := stdoutOf(run(l, "", append([]string{"__complete", l.config()}, strings.Split(line, "\t")...)...))
		if !strings.HasSuffix("\n"+out, "\n"+want) {
			l.Errorf("%q completes to %q, want %q", line, out, want)
		}
	}
}

// testWatch checks that --watch prints the group that changes, and ends with its
// context.
func (l live) testWatch() {
	ctx, cancel := context.WithCancel(l.Context())
	defer cancel()
	out, writer := io.Pipe()
	cmd := quota.NewCommand(cli.Env{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: writer, ErrOut: io.Discard},
		Clock:     clock.RealClock{},
		LookupEnv: func(string) (string, bool) { return "", false },
		Config:    genericclioptions.NewConfigFlags(true),
	})
	cmd.SetArgs([]string{"tree", "--watch", "--no-headers", "--resource", "limits.cpu", l.config()})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()

	awaitText(l.T, out, "└── vision")
	l.count("nlp", "limits.cpu=3,cash/limits.cpu=4", "limits.cpu=3,cash/limits.cpu=4")
	awaitText(l.T, out, "nlp   limits.cpu   75%   3   4   1\n")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		l.Errorf("the command ended with %v", err)
	}
}

func (l live) groups() dynamic.ResourceInterface {
	l.Helper()
	client, err := dynamic.NewForConfig(l.cluster.RESTConfig())
	if err != nil {
		l.Fatal(err)
	}
	return client.Resource(stowagev1alpha1.GroupVersion.WithResource(stowagev1alpha1.BizGroupResourceQuotaResource))
}

func (l live) group(name string) *unstructured.Unstructured {
	l.Helper()
	content, err := l.groups().Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return content
}

func (l live) annotate(name, key, value string) {
	l.Helper()
	content := l.group(name)
	content.SetAnnotations(map[string]string{key: value})
	if _, err := l.groups().Update(l.Context(), content, metav1.UpdateOptions{}); err != nil {
		l.Fatal(err)
	}
}

// count writes a group's status, as the controller would.
func (l live) count(name, self, used string) {
	l.Helper()
	content := l.group(name)
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&stowagev1alpha1.BizGroupResourceQuotaStatus{
		ObservedGeneration: content.GetGeneration(), SelfUsed: build.Resources(self), Used: build.Resources(used),
		LastReconcileTime: new(metav1.NowMicro()),
	})
	if err != nil {
		l.Fatal(err)
	}
	content.Object["status"] = status
	if _, err := l.groups().UpdateStatus(l.Context(), content, metav1.UpdateOptions{}); err != nil {
		l.Fatal(err)
	}
}

func (l live) config() string { return "--kubeconfig=" + l.cluster.Kubeconfig() }

// run runs the command on the cluster.
func (l live) run(args ...string) string {
	l.Helper()
	return runAt(l, clock.RealClock{}, "", append(args, l.config())...)
}

// expect runs the command and looks for texts in what it writes.
func (l live) expect(args []string, code int, texts ...string) {
	l.Helper()
	out := l.run(args...)
	if !strings.Contains(out, "exit code "+string(rune('0'+code))+"\n") {
		l.Errorf("want exit code %d:\n%s", code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			l.Errorf("%q is not in:\n%s", text, out)
		}
	}
}

func (l live) create(objects ...runtime.Object) {
	l.Helper()
	if err := l.cluster.CreateAll(l.Context(), objects...); err != nil {
		l.Fatal(err)
	}
}

// await polls until a condition holds.
func (l live) await(what string, condition wait.ConditionWithContextFunc) {
	l.Helper()
	if err := wait.PollUntilContextTimeout(l.Context(), 100*time.Millisecond, time.Minute, true, condition); err != nil {
		l.Fatalf("waiting for %s: %v", what, err)
	}
}

// awaitText reads until a text has come by.
func awaitText(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := r.Read(buffer)
		if err != nil {
			t.Fatalf("%v, before %q, after:\n%s", err, text, seen.String())
		}
		seen.Write(buffer[:n])
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func decode(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// tie labels a workload with its group.
func tie[T metav1.Object](object T, group string) T {
	object.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: group})
	return object
}

// clusterRole may do these verbs with everything in the API groups.
func clusterRole(name string, groups []string, verbs ...string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: groups, Resources: []string{"*"}, Verbs: verbs}},
	}
}

// binding gives the role of a name to the user of that name.
func binding(name string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
	}
}
