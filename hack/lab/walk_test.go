package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/test/lab"
)

var update = flag.Bool("update", false, "record what the walk shows")

// TestQuotaWalk types what the page says, as it says it, and compares what is shown.
func TestQuotaWalk(t *testing.T) {
	lab.Alone(t)
	const page = "docs/guide/quota-walk.md"
	root := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(root, "bin")+"/", "github.com/stowage-dev/stowage/cmd/kubectl-quota")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Chdir("../..")
	var exports, progress bytes.Buffer
	o := &options{root: root, name: defaultName, fleet: "examples/fleet.yaml", quota: true, out: &exports, progress: &progress}
	l, err := o.start(t.Context()) // not detached, as make lab does: it ends with the test, however that ends
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := walk{T: t, exports: exports.String(), home: root}
	if w.groups, err = groupClient(l); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := w.render(string(want))
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, - is recorded, + is what is shown (go test ./hack/lab -run Walk -update):\n%s", page, diff)
	}
}

// walk is a shell in which the exports of the lab were pasted.
type walk struct {
	*testing.T
	exports, home string
	groups        client.Client
}

// render replaces what follows each command of the console blocks by what it shows.
func (w *walk) render(text string) string {
	w.Helper()
	const fence = "```console\n"
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, fence)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		block, after, _ := strings.Cut(rest, "```\n")
		b.WriteString(fence)
		for line := range strings.Lines(block) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				b.WriteString(line + w.types(command))
			}
		}
		b.WriteString("```\n")
		text = after
	}
}

// types runs a command line, and returns all that it shows.
func (w *walk) types(command string) string {
	w.Helper()
	w.settled()
	cmd := exec.CommandContext(w.Context(), "bash", "-c", w.exports+command)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.home}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && out.Len() == 0 {
		w.Fatalf("%s: %v", command, err)
	}
	return out.String()
}

// settled waits until what was admitted is counted, which takes less time than to read a page.
func (w *walk) settled() {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var list stowagev1alpha1.BizGroupResourceQuotaList
		if err := w.groups.List(w.Context(), &list); err != nil {
			w.Fatal(err)
		}
		under := 0
		for i := range list.Items {
			under += len(list.Items[i].Status.Reservations)
		}
		if under == 0 {
			return
		}
	}
	w.Fatal("what was admitted is not counted within a minute")
}
