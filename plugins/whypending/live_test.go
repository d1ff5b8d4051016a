package whypending_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/command"
)

// TestLive runs the command against a real control plane: on one node with four
// cores, "fits" runs and "large" and "larger" wait.
func TestLive(t *testing.T) {
	l := plugin().Start(t)
	l.Create(build.Node("only").Capacity("cpu=4,memory=8Gi").Obj())
	l.AwaitNodes()
	l.Create(
		build.Pod("default", "fits").Request("cpu=1").Obj(),
		build.Pod("default", "large").Request("cpu=8").Obj(),
		build.Pod("default", "larger").Request("cpu=16").Obj(),
	)
	l.Create(command.ClusterRole("no-nodes", []string{""}, []string{"pods", "namespaces"}, "get", "list", "watch")...)
	l.Create(command.ClusterRole("no-claims", []string{""}, []string{"pods", "nodes", "namespaces"}, "get", "list", "watch")...)
	l.Await("the scheduler to bind or refuse every pod", func(ctx context.Context) (bool, error) {
		pods, err := l.Cluster.Client().CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		unsettled := slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
			return pod.Spec.NodeName == "" && len(pod.Status.Conditions) == 0 || pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodRunning
		})
		return !unsettled, nil
	})

	l.Sub("the verdict is the scheduler's", func(l command.Live) {
		l.Expect([]string{"-o", `jsonpath={range .items[*]}{.name} {.agrees}{"\n"}{end}`}, 0, "--- stdout\nlarge true\nlarger true\n")
	})
	l.Sub("a dump gives the same bytes", testDump)
	l.Sub("a bound pod", func(l command.Live) {
		l.Expect([]string{"fits"}, 0, `pod "fits" in namespace "default" is not pending: it is bound to node "only" since `)
	})
	l.Sub("no right to list nodes", func(l command.Live) {
		l.Expect([]string{"--as=no-nodes"}, cli.ExitError,
			"--- stdout\n--- stderr\nerror: nodes cannot be listed in all namespaces (forbidden): nothing can be said without them; ask for the right to list nodes\n")
	})
	l.Sub("no right to list claims", func(l command.Live) {
		l.Expect([]string{"--as=no-claims", "-o", "name"}, 0, "--- stdout\npod/large\npod/larger\n",
			"Warning: persistentvolumeclaims could not be listed (forbidden): verdicts on pods with volumes are unknown\n")
	})
	l.Sub("completion", func(l command.Live) {
		l.Completes(map[string]string{
			"":           "large\nlarger\n:4\n",
			"larger":     "larger\n:4\n",
			"-n\tdefau":  "default\n:4\n",
			"-o\tjsonpa": "jsonpath\njsonpath-as-json\njsonpath-file\n:4\n",
		})
	})
	l.Sub("watch", testWatch)
}

func testDump(l command.Live) {
	dump := filepath.Join(l.TempDir(), "dump.yaml")
	if err := os.WriteFile(dump, []byte(l.Do("snapshot", "--gzip=false").Stdout), 0o600); err != nil {
		l.Fatal(err)
	}
	for _, args := range [][]string{{"-A", "-o", "json"}, {"large", "-o", "yaml"}, {"--all"}} {
		offline := plugin().Run(l, "", append(args, "--snapshot", dump)...).Stdout
		if diff := cmp.Diff(l.Do(args...).Stdout, offline); diff != "" {
			l.Errorf("%v: - is live, + is from the dump:\n%s", args, diff)
		}
	}
}

// testWatch checks that --watch tells when a pod is no longer pending, and ends with
// its context.
func testWatch(l command.Live) {
	out, stop := l.Background("--watch", "--no-headers")
	l.AwaitText(out, "larger") // the last line of the first answer
	node := l.Node("only")
	node.Spec.Unschedulable = true
	if _, err := l.Cluster.Client().CoreV1().Nodes().Update(l.Context(), node, metav1.UpdateOptions{}); err != nil {
		l.Fatal(err)
	}
	l.AwaitText(out, "were unschedulable")
	if _, err := stop(); !errors.Is(err, context.Canceled) {
		l.Errorf("the command ended with %v", err)
	}
}
