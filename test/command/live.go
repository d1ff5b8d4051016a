package command

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/test/lab"
)

// Live is a plugin's test on a real control plane.
type Live struct {
	*testing.T
	Plugin  Plugin
	Cluster *lab.Lab
}

// Start starts a control plane, which ends with the test.
func (p Plugin) Start(t *testing.T) Live {
	t.Helper()
	return Live{T: t, Plugin: p, Cluster: lab.New(t, lab.Options{})}
}

// Sub runs a part of the test.
func (l Live) Sub(name string, test func(Live)) {
	l.Run(name, func(t *testing.T) { test(Live{T: t, Plugin: l.Plugin, Cluster: l.Cluster}) })
}

// Config is the flag that leads to the cluster.
func (l Live) Config() string { return "--kubeconfig=" + l.Cluster.Kubeconfig() }

// Do runs the command on the cluster.
func (l Live) Do(args ...string) Result {
	l.Helper()
	return l.Plugin.RunAt(l, clock.RealClock{}, "", append(args, l.Config())...)
}

// Expect runs the command on the cluster and looks for texts in what it writes.
func (l Live) Expect(args []string, code int, texts ...string) {
	l.Helper()
	result := l.Do(args...)
	if result.Code != code {
		l.Errorf("want exit code %d:\n%s", code, result)
	}
	for _, text := range texts {
		if !strings.Contains(result.String(), text) {
			l.Errorf("%q is not in:\n%s", text, result)
		}
	}
}

// Completes checks what command lines, whose words are divided by tabs, complete to:
// the names, and cobra's directive.
func (l Live) Completes(want map[string]string) {
	l.Helper()
	for line, names := range want {
		got := l.Plugin.Run(l, "", append([]string{"__complete", l.Config()}, strings.Split(line, "\t")...)...).Stdout
		if !strings.HasSuffix("\n"+got, "\n"+names) {
			l.Errorf("%q completes to %q, want %q", line, got, names)
		}
	}
}

// Background runs the command until stop, as Ctrl-C would. What it writes to stdout
// comes from out; stop returns what it wrote to stderr, and its error.
func (l Live) Background(args ...string) (out io.Reader, stop func() (stderr string, err error)) {
	ctx, cancel := context.WithCancel(l.Context())
	out, writer := io.Pipe()
	var errOut bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: writer, ErrOut: &errOut}
	cmd := l.Plugin.New(Env(streams, clock.RealClock{}))
	cmd.SetArgs(append(args, l.Config()))
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	return out, func() (string, error) {
		cancel()
		err := <-done
		return errOut.String(), err
	}
}

// AwaitText reads until a text has come by.
func (l Live) AwaitText(r io.Reader, text string) {
	l.Helper()
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := r.Read(buffer)
		if err != nil {
			l.Fatalf("%v, before %q, after:\n%s", err, text, seen.String())
		}
		seen.Write(buffer[:n])
	}
}

// Create creates objects.
func (l Live) Create(objects ...runtime.Object) {
	l.Helper()
	if err := l.Cluster.CreateAll(l.Context(), objects...); err != nil {
		l.Fatal(err)
	}
}

// Node reads a node.
func (l Live) Node(name string) *corev1.Node {
	l.Helper()
	node, err := l.Cluster.Client().CoreV1().Nodes().Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return node
}

// AwaitNodes waits until the nodes have lost the taints that new nodes have.
func (l Live) AwaitNodes() {
	l.Helper()
	l.Await("the nodes to lose their taints", func(ctx context.Context) (bool, error) {
		nodes, err := l.Cluster.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for i := range nodes.Items {
			if len(nodes.Items[i].Spec.Taints) > 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

// Await polls until a condition holds.
func (l Live) Await(what string, condition wait.ConditionWithContextFunc) {
	l.Helper()
	if err := wait.PollUntilContextTimeout(l.Context(), 100*time.Millisecond, time.Minute, true, condition); err != nil {
		l.Fatalf("waiting for %s: %v", what, err)
	}
}

// ClusterRole lets the user of its name do some verbs with resources of API groups.
func ClusterRole(name string, groups, resources []string, verbs ...string) []runtime.Object {
	return []runtime.Object{
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules:      []rbacv1.PolicyRule{{APIGroups: groups, Resources: resources, Verbs: verbs}},
		},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
		},
	}
}
