package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/stowage-dev/stowage/test/lab"
)

func TestMain(m *testing.M) {
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func TestUpAndDown(t *testing.T) {
	lab.Alone(t)
	root := t.TempDir()
	kubeconfig := filepath.Join(root, ".lab", "kubeconfig")
	t.Cleanup(func() { // what a failure below leaves
		if err := lab.Remove(filepath.Join(root, ".lab", defaultName)); err != nil {
			t.Error(err)
		}
	})
	out := run(t, root, "up")
	if want := "export KUBECONFIG=" + kubeconfig + "\n"; out != want {
		t.Errorf("up printed %q, want %q", out, want)
	}
	target, err := filepath.EvalSymlinks(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open(filepath.Dir(target))
	if err != nil {
		t.Fatal(err)
	}
	pods, err := l.Client().CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 300 {
		t.Errorf("%d pods, want the example fleet's 300", len(pods.Items))
	}
	if err := execute(t, root, "up"); err == nil || !strings.Contains(err.Error(), "make lab-down LAB_NAME=stowage") {
		t.Errorf("a second up = %v, want an error that says how to end the first", err)
	}

	run(t, root, "down")
	if _, err := os.Lstat(kubeconfig); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after down, %s: %v, want no such file", kubeconfig, err)
	}
	run(t, root, "down") // nothing to do is no failure
}

func TestBadFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"name":     {[]string{"up", "--name", "a/b"}, `--name "a/b"`},
		"fleet":    {[]string{"up", "--fleet", "huge"}, `--fleet "huge": expected example, openb, none, or the path of a dump`},
		"no trace": {[]string{"up", "--fleet", "openb", "--openb-dir", "absent"}, "set OPENB_DIR"},
		"no lab":   {[]string{"load"}, "make lab LAB_NAME=stowage"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := execute(t, t.TempDir(), tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("lab %v = %v, want an error with %q", tc.args, err, tc.want)
			}
		})
	}
}

// run executes the command and returns its standard output.
func run(t *testing.T, root string, args ...string) string {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := newCommand(&out, &progress)
	cmd.SetArgs(append(args, "--root", root))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("lab %v: %v\n%s", args, err, progress.String())
	}
	return out.String()
}

// execute executes the command for its error.
func execute(t *testing.T, root string, args ...string) error {
	t.Helper()
	cmd := newCommand(&bytes.Buffer{}, &bytes.Buffer{})
	cmd.SetArgs(append(args, "--root", root))
	return cmd.ExecuteContext(t.Context())
}
