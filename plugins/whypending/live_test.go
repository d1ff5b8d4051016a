package whypending_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/plugins/whypending"
	"github.com/stowage-dev/stowage/test/lab"
)

// TestLive runs the command against a real control plane: on one node with four
// cores, "fits" runs and "large" and "larger" wait.
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
	if err := cluster.CreateAll(t.Context(), build.Node("only").Capacity("cpu=4,memory=8Gi").Obj()); err != nil {
		t.Fatal(err)
	}
	await(t, "the node to lose its taints", func(ctx context.Context) (bool, error) {
		node, err := cluster.Client().CoreV1().Nodes().Get(ctx, "only", metav1.GetOptions{})
		return err == nil && len(node.Spec.Taints) == 0, err
	})
	if err := cluster.CreateAll(t.Context(),
		build.Pod("default", "fits").Request("cpu=1").Obj(),
		build.Pod("default", "large").Request("cpu=8").Obj(),
		build.Pod("default", "larger").Request("cpu=16").Obj(),
		reader("no-nodes", "pods", "namespaces"),
		binding("no-nodes"),
		reader("no-claims", "pods", "nodes", "namespaces"),
		binding("no-claims"),
	); err != nil {
		t.Fatal(err)
	}
	await(t, "the scheduler to bind or refuse every pod", func(ctx context.Context) (bool, error) {
		pods, err := cluster.Client().CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		unsettled := slices.ContainsFunc(pods.Items, func(pod corev1.Pod) bool {
			return pod.Spec.NodeName == "" && len(pod.Status.Conditions) == 0 || pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodRunning
		})
		return !unsettled, nil
	})
	config := "--kubeconfig=" + cluster.Kubeconfig()

	t.Run("the verdict is the scheduler's", func(t *testing.T) {
		out := run(t, "", config, "-o", `jsonpath={range .items[*]}{.name} {.agrees}{"\n"}{end}`)
		if want := "--- stdout\nlarge true\nlarger true\n"; !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	})
	t.Run("a dump gives the same bytes", func(t *testing.T) {
		dump := filepath.Join(t.TempDir(), "dump.yaml")
		text := stdout(run(t, "", "snapshot", config, "--gzip=false"))
		if err := os.WriteFile(dump, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-A", "-o", "json"}, {"large", "-o", "yaml"}, {"--all"}} {
			live, offline := stdout(run(t, "", append(args, config)...)), stdout(run(t, "", append(args, "--snapshot", dump)...))
			if diff := cmp.Diff(live, offline); diff != "" {
				t.Errorf("%v: - is live, + is from the dump:\n%s", args, diff)
			}
		}
	})
	t.Run("a bound pod", func(t *testing.T) {
		out := run(t, "", config, "fits")
		if want := `pod "fits" in namespace "default" is not pending: it is bound to node "only" since `; !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	})
	t.Run("no right to list nodes", func(t *testing.T) {
		out := run(t, "", config, "--as=no-nodes")
		want := "exit code 2\n--- stdout\n--- stderr\nerror: nodes cannot be listed in all namespaces (forbidden): nothing can be said without them; ask for the right to list nodes\n"
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	})
	t.Run("no right to list claims", func(t *testing.T) {
		out := run(t, "", config, "--as=no-claims", "-o", "name")
		for _, want := range []string{
			"exit code 0\n--- stdout\npod/large\npod/larger\n",
			"Warning: persistentvolumeclaims could not be listed (forbidden): verdicts on pods with volumes are unknown\n",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in:\n%s", want, out)
			}
		}
	})
	t.Run("completion", func(t *testing.T) {
		for line, want := range map[string]string{
			"":           "large\nlarger\n:4\n",
			"larger":     "larger\n:4\n",
			"-n\tdefau":  "default\n:4\n",
			"-o\tjsonpa": "jsonpath\njsonpath-as-json\njsonpath-file\n:4\n",
		} {
			args := append([]string{"__complete", config}, strings.Split(line, "\t")...)
			if out := stdout(run(t, "", args...)); !strings.HasSuffix(out, want) {
				t.Errorf("%q completes to %q, want %q", line, out, want)
			}
		}
	})
	t.Run("watch", func(t *testing.T) { watch(t, cluster, config) })
}

// watch checks that --watch tells when a pod is no longer pending, and ends with
// its context.
func watch(t *testing.T, cluster *lab.Lab, config string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, outWriter := io.Pipe()
	errOut, errWriter := io.Pipe()
	env := cli.Env{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: outWriter, ErrOut: errWriter},
		Clock:     clock.RealClock{},
		LookupEnv: func(string) (string, bool) { return "", false },
		Config:    genericclioptions.NewConfigFlags(true),
	}
	cmd := whypending.NewCommand(env)
	cmd.SetArgs([]string{config, "--watch", "--no-headers"})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	go func() { _, _ = io.Copy(io.Discard, errOut) }()

	awaitText(t, out, "larger") // the last line of the first answer
	node, err := cluster.Client().CoreV1().Nodes().Get(ctx, "only", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Spec.Unschedulable = true
	if _, err := cluster.Client().CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitText(t, out, "were unschedulable")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the command ended with %v", err)
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

// stdout is the part of a run's text that the command wrote to stdout.
func stdout(text string) string {
	_, rest, _ := strings.Cut(text, "--- stdout\n")
	body, _, _ := strings.Cut(rest, "--- stderr\n")
	return body
}

// await polls until a condition holds.
func await(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// reader may list resources of the core group, and nothing else.
func reader(name string, resources ...string) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: resources, Verbs: []string{"get", "list", "watch"}}},
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
