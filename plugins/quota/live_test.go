package quota_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/command"
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
type live struct{ command.Live }

// TestLive runs the commands against a real control plane without the in-cluster
// component: the tests write the groups' ledgers.
func TestLive(t *testing.T) {
	l := live{plugin().Start(t)}
	l.Create(build.Node("only").Capacity("cpu=16,memory=64Gi").Obj(), build.ResourceQuota("default", "native", "requests.cpu=64", ""))

	l.Expect([]string{"tree"}, 0, "default/native   requests.cpu", "The in-cluster component is not installed: kubectl quota install\n")
	l.Expect([]string{"create", "ai", "--hard", "limits.cpu=1", "--yes"}, cli.ExitError, "is not served by https://", "install the in-cluster component first (kubectl quota install)\n")

	l.Create(decode(t, read(t, groupCRD)), decode(t, rolloutCRD))
	l.Await("the kinds to be served", func(context.Context) (bool, error) {
		return l.Do("create", "probe", "--hard", "pods=1", "--dry-run=server", "--yes").Code == 0, nil
	})
	l.Sub("create", func(l command.Live) { live{l}.testCreate() })
	l.Sub("set", func(l command.Live) { live{l}.testSet() })

	l.Create(
		decode(t, rollout),
		build.Namespace("nlp-prod", "stowage.dev/quota=enabled"),
		tie(build.Deployment("nlp-prod", "web", 2, build.Pod("nlp-prod", "web").Label("app", "web").Request("cpu=1").Limit("cpu=1")), "nlp"),
	)
	if _, err := l.Cluster.Client().CoreV1().Namespaces().Patch(t.Context(), metav1.NamespaceDefault, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"stowage.dev/quota":"enabled"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	l.Create(command.ClusterRole("reader", []string{"", "apps", "batch", stowagev1alpha1.GroupName, "argoproj.io", "node.k8s.io"}, []string{"*"}, "list", "watch")...)
	l.Create(command.ClusterRole("poor", []string{"", "apps", "batch"}, []string{"*"}, "list")...)
	l.Await("the pods to run", func(ctx context.Context) (bool, error) {
		pods, err := l.Cluster.Client().CoreV1().Pods("nlp-prod").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=" + string(corev1.PodRunning)})
		return err == nil && len(pods.Items) == 2, err
	})
	l.Sub("verify", func(l command.Live) { live{l}.testVerify() })
	l.Sub("tree", func(l command.Live) { live{l}.testTree() })
	l.Sub("check", func(l command.Live) { live{l}.testCheck() })
	l.Sub("rights", func(l command.Live) {
		l.Expect([]string{"tree", "--as=poor"}, cli.ExitError, "bizgroupresourcequotas.stowage.dev cannot be listed (forbidden): nothing can be said without them; ask for the right to list them, or to get the one that you name\n")
	})
	l.Sub("completion", func(l command.Live) { live{l}.testCompletion() })
	l.Sub("watch", func(l command.Live) { live{l}.testWatch() })
	l.Sub("enable", func(l command.Live) { live{l}.testEnable() })
	l.Sub("delete", func(l command.Live) { live{l}.testDelete() })
}

// testEnable puts a namespace under quota, and takes it out again.
func (l live) testEnable() {
	l.Create(build.Namespace("lab", ""))
	l.Expect([]string{"enable", "lab"}, cli.ExitError, "namespace lab would take part", "error: stdin is no terminal to ask on")
	l.Expect([]string{"enable", "lab", "--require", "--dry-run=server"}, 0, "namespace/lab enabled (server dry run)\n")
	l.labelled("lab", nil)
	l.Expect([]string{"enable", "lab", "--yes"}, 0, "namespace/lab enabled\n")
	l.labelled("lab", map[string]string{"stowage.dev/quota": "enabled"})
	l.Expect([]string{"enable", "lab", "--require", "--yes"}, 0, "namespace lab takes part already\n", "namespace/lab enabled\n")
	l.labelled("lab", map[string]string{"stowage.dev/quota": "enabled", "stowage.dev/require-biz-group": "true"})
	l.Expect([]string{"disable", "lab", "--yes"}, 0, "namespace lab would take no part", "namespace/lab disabled\n")
	l.labelled("lab", nil)
	l.Completes(map[string]string{"enable\tla": "lab\n:4\n", "delete\tnl": "nlp\n:4\n", "delete\tnlp\tv": ":4\n"})
}

// labelled checks a namespace's labels of ours.
func (l live) labelled(name string, want map[string]string) {
	l.Helper()
	namespace, err := l.Cluster.Client().CoreV1().Namespaces().Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	got := map[string]string{}
	for key, value := range namespace.Labels {
		if strings.HasPrefix(key, stowagev1alpha1.GroupName) {
			got[key] = value
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		l.Errorf("labels (-want +got):\n%s", diff)
	}
}

// testDelete deletes a leaf, and a group that workloads charge when that is said.
func (l live) testDelete() {
	l.Expect([]string{"delete", "ai", "--yes"}, cli.ExitError, "error: group ai: has children (nlp, vision): only a leaf can be deleted")
	l.Expect([]string{"delete", "visio", "--yes"}, cli.ExitError, `did you mean "vision"?`)
	l.Expect([]string{"delete", "vision", "--yes"}, cli.ExitError, "error: group vision: workloads charge it", " (--with-workloads)\n")
	l.Expect([]string{"delete", "vision", "--with-workloads", "--dry-run=server"}, 0, "bizgroupresourcequota.stowage.dev/vision deleted (server dry run)\n")
	l.Expect([]string{"delete", "vision", "--with-workloads"}, cli.ExitError, "error: stdin is no terminal to ask on")
	l.Expect([]string{"delete", "vision", "--with-workloads", "--yes"}, 0,
		"vision   limits.cpu", "bizgroupresourcequota.stowage.dev/vision deleted\n")
	l.Expect([]string{"delete", "vision"}, cli.ExitError, `bizgroupresourcequotas.stowage.dev "vision" not found`)
}

func (l live) testCreate() {
	l.Expect([]string{"tree"}, 0, "No business groups found in ", ". To create the first one: kubectl quota create NAME --hard ")
	root := []string{"create", "ai", "--hard", "limits.cpu=10,cash/limits.cpu=100"}
	l.Expect(root, cli.ExitError, "error: stdin is no terminal to ask on: expected --yes, or --dry-run=server to see what would be done\n")
	l.Expect(append(root, "--dry-run=client"), 0, "bizgroupresourcequota.stowage.dev/ai created (dry run)\n")
	l.Expect(append(root, "--dry-run=server"), 0, "bizgroupresourcequota.stowage.dev/ai created (server dry run)\n")
	l.Expect([]string{"tree", "ai"}, cli.ExitError, `bizgroupresourcequotas.stowage.dev "ai" not found`)
	l.Expect(append(root, "--yes"), 0, "bizgroupresourcequota.stowage.dev/ai created\n", "ai      limits.cpu        <none>   10      <none>\n")
	l.Expect(append(root, "--yes"), cli.ExitError, `bizgroupresourcequotas.stowage.dev "ai" already exists; kubectl quota set changes it`)

	child := func(name, hard string, more ...string) []string {
		return append([]string{"create", name, "--parent", "ai", "--hard", hard, "--yes"}, more...)
	}
	l.Expect(child("nlp", "limits.cpu=12,cash/limits.cpu=10"), cli.ExitError,
		"ai       limits.cpu        10            -2           10\n", "error: group ai: limits.cpu: needs 12, 10 of 10 left (short 2)\n")
	l.Expect(child("nlp", "limits.cpu=4,cash/limits.cpu=10", "--refill", "0 0 * *"), cli.ExitError, "spec.refill.schedule: ")
	l.Expect(child("nlp", "limits.cpu=4,cash/limits.cpu=10,pods=10", "--refill", "0 0 * * 1", "--time-zone", "Asia/Shanghai", "--allow-namespace", "nlp-*", "-o", "yaml"), 0,
		"kind: BizGroupResourceQuota\n", "    schedule: 0 0 * * 1\n    timeZone: Asia/Shanghai\n", "    - nlp-*\n")
	l.Expect(child("vision", "limits.cpu=6,cash/limits.cpu=10", "-o", "name"), 0, "--- stdout\nbizgroupresourcequota.stowage.dev/vision\n--- stderr\n")
	l.Expect(child("speech", "limits.cpu=1,cash/limits.cpu=1", "--parent", "aj"), cli.ExitError, `there is no group "aj"; did you mean "ai"?`)
}

func (l live) testSet() {
	l.annotate("nlp", corev1.LastAppliedConfigAnnotation, "{}")
	l.Expect([]string{"set", "nlp", "pod-"}, cli.ExitError, `error: "pod-": the group has no key pod; did you mean "pods"?`)
	l.Expect([]string{"set", "nlp", "limits.cpu-", "--yes"}, cli.ExitError, "error: spec.hard: lacks limits.cpu, which its parent ai has: give every key of the parent\n")
	l.Expect([]string{"set", "nlp", "pods-", "--yes"}, 0, "nlp     pods              10       <none>   <none>\n", "bizgroupresourcequota.stowage.dev/nlp changed\n")
	l.Expect([]string{"set", "nlp", "limits.cpu=4", "--yes"}, 0, "bizgroupresourcequota.stowage.dev/nlp unchanged\n")
	l.Expect([]string{"set", "ai", "pods=10", "--yes"}, cli.ExitError, "spec.hard: a new key must be in every child first: pods is not in nlp, vision\n")
	l.Expect([]string{"set", "ai", "limits.cpu=20", "--dry-run=server", "-o", "yaml"}, 0, "    limits.cpu: \"20\"\n")
	l.Expect([]string{"tree", "ai", "-o", "jsonpath={.items[0].keys[1].hard}"}, 0, "--- stdout\n10--- stderr")
	if got := l.group("nlp").GetAnnotations()[corev1.LastAppliedConfigAnnotation]; got != "{}" {
		l.Errorf("what a snapshot does not hold was lost: the annotation is %q", got)
	}
}

// testVerify checks that what nobody has counted is drift, and then counts it.
func (l live) testVerify() {
	l.Expect([]string{"verify", "--exit-code"}, cli.ExitNo,
		"ai       limits.cpu   0        10        -10\nnlp      limits.cpu   0        2         -2\nvision   limits.cpu   0        4         -4\n")
	l.count("ai", "limits.cpu=0,cash/limits.cpu=0", "limits.cpu=10,cash/limits.cpu=20")
	l.count("nlp", "limits.cpu=2,cash/limits.cpu=4", "limits.cpu=2,cash/limits.cpu=4")
	l.count("vision", "limits.cpu=4,cash/limits.cpu=0", "limits.cpu=4,cash/limits.cpu=0")
	l.Expect([]string{"verify", "--exit-code"}, 0, "No drift: the ledgers of 3 groups agree with what is there\n")
}

// testTree checks that a dump gives the same bytes.
func (l live) testTree() {
	l.Expect([]string{"tree"}, 0, "├── nlp      cash/limits.cpu   40%    4      10     6 (3h)\n", "└── vision   cash/limits.cpu   0%     0      10     10 (idle)\n")
	snap, err := load.Live(l.Context(), l.Cluster.RESTConfig(), load.Options{Extra: []snapshot.Kind{
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
		online, offline := l.Do(args...).Stdout, plugin().Run(l, "", append(args, "--snapshot", dump)...).Stdout
		if diff := cmp.Diff(online, offline); diff != "" {
			l.Errorf("%v: - is live, + is from the dump:\n%s", args, diff)
		}
	}
}

func (l live) testCheck() {
	l.Expect([]string{"check", "deploy/web", "-n", "nlp-prod", "--replicas", "4"}, 0, "admitted  nlp-prod/deployment.apps/web  charges nlp\n", "at 4 cores the hours that are left last 1h30m0s")
	l.Expect([]string{"check", "deploy/web", "-n", "nlp-prod", "--replicas", "5", "--exit-code"}, cli.ExitNo, "group nlp: limits.cpu: needs 3, 2 of 4 left (short 1); largest that fits:")
	elsewhere := []string{"check", "rollout/ocr", "--replicas", "3"}
	l.Expect(elsewhere, 0, "admitted  default/rollout.argoproj.io/ocr  charges vision\n")
	l.Expect(append(elsewhere, "--as=reader"), 0, "refused   default/rollout.argoproj.io/ocr", "group vision: you may not charge it from namespace default:")
}

func (l live) testCompletion() {
	l.Completes(map[string]string{
		"tree\t":               "ai\nnlp\nvision\n:4\n",
		"tree\tnlp\t":          ":4\n",
		"describe\tnlp\tv":     "vision\n:4\n",
		"tree\t--resource\tca": "cash/limits.cpu\n:4\n",
		"create\t--parent\tn":  "nlp\n:4\n",
		"set\tnlp\tli":         "limits.cpu=\n:6\n",
	})
}

// testWatch checks that --watch prints the group that changes, and ends with its
// context.
func (l live) testWatch() {
	out, stop := l.Background("tree", "--watch", "--no-headers", "--resource", "limits.cpu")
	l.AwaitText(out, "└── vision")
	l.count("nlp", "limits.cpu=3,cash/limits.cpu=4", "limits.cpu=3,cash/limits.cpu=4")
	l.AwaitText(out, "nlp   limits.cpu   75%   3   4   1\n")
	if _, err := stop(); !errors.Is(err, context.Canceled) {
		l.Errorf("the command ended with %v", err)
	}
}

func (l live) groups() dynamic.ResourceInterface {
	l.Helper()
	client, err := dynamic.NewForConfig(l.Cluster.RESTConfig())
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
