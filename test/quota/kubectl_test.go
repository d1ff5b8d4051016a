package quota_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kubectl runs the real one in the test's namespace.
func (w *world) kubectl(stdin string, args ...string) (stdout, stderr string, err error) {
	w.t.Helper()
	binary, err := cluster.Binary("kubectl")
	if err != nil {
		w.t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), binary, append([]string{"--kubeconfig", cluster.Kubeconfig(), "-n", w.ns}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Env = append(os.Environ(), "KUBECACHEDIR="+filepath.Join(cluster.Dir(), "kubectl-cache"), "KUBE_EDITOR="+w.editor())
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// editor is a program that edits 3 replicas into 4.
func (w *world) editor() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "editor")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sed -i 's/replicas: 3/replicas: 4/' \"$1\"\n"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// does runs kubectl, which must succeed.
func (w *world) does(stdin string, args ...string) string {
	w.t.Helper()
	out, errOut, err := w.kubectl(stdin, args...)
	if err != nil {
		w.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, errOut)
	}
	return out
}

// says runs kubectl, which must fail with a text on stderr.
func (w *world) says(want, stdin string, args ...string) {
	w.t.Helper()
	_, errOut, err := w.kubectl(stdin, args...)
	if err == nil || !strings.Contains(errOut, want) {
		w.t.Fatalf("kubectl %s: %v, and\n%swant\n%s", strings.Join(args, " "), err, errOut, want)
	}
}

// manifest is a user's file.
func (w *world) manifest(group string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {biz.group.resource.quota: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: example.com/app:v1
        resources: {limits: {cpu: "2"}}
`, group, replicas)
}

func TestKubectl(t *testing.T) {
	w := newWorld(t)
	ai, nlp, vision := w.name("ai"), w.name("nlp"), w.name("vision")
	for _, name := range []string{ai, nlp, vision} {
		w.deleteAfter(name)
	}
	bizrq := func(name, parent, cores string) string {
		return fmt.Sprintf("---\napiVersion: stowage.dev/v1alpha1\nkind: BizGroupResourceQuota\nmetadata: {name: %s}\n"+
			"spec: {parentBizGroup: %q, hard: {limits.cpu: %q}}\n", name, parent, cores)
	}
	// Groups and workloads in one file, from the root down.
	w.does(bizrq(ai, "", "28")+bizrq(nlp, ai, "8")+bizrq(vision, ai, "20")+"---"+w.manifest(nlp, 3), "apply", "-f", "-")
	w.used(nlp, hard{"limits.cpu": "6"})
	if out := w.does("", "get", "bizrq", nlp); !strings.Contains(out, ai) || !strings.Contains(out, "6") {
		t.Errorf("kubectl get bizrq:\n%s", out)
	}

	short := func(needs, left, missing string) string {
		return fmt.Sprintf("denied the request: group %s: limits.cpu: needs %s, %s of 8 left (short %s); largest that fits: 4 replicas; sibling %s has 20 idle",
			nlp, needs, left, missing, vision)
	}
	apply := "Error from server (Forbidden): error when applying patch"
	w.says(short("4", "2", "2"), w.manifest(nlp, 5), "apply", "-f", "-")
	w.says(apply, w.manifest(nlp, 5), "apply", "-f", "-")
	w.says(short("4", "2", "2"), "", "scale", "deployment/web", "--replicas=5")
	w.says(`error when creating "STDIN"`, strings.ReplaceAll(w.manifest(nlp, 5), "name: web", "name: web2"), "apply", "-f", "-")

	w.does("", "edit", "deployment/web") // 3 -> 4 replicas
	w.used(nlp, hard{"limits.cpu": "8"})
	w.does("", "label", "deployment/web", "team=nlp")
	w.does("", "annotate", "deployment/web", "note=full")
	w.does("", "rollout", "restart", "deployment/web")
	w.does("", "rollout", "status", "deployment/web", "--timeout="+patience.String())
	w.does("", "set", "image", "deployment/web", "main=example.com/app:v2")
	w.does("", "rollout", "status", "deployment/web", "--timeout="+patience.String())
	w.does("", "rollout", "undo", "deployment/web")
	w.does("", "rollout", "status", "deployment/web", "--timeout="+patience.String())
	w.used(nlp, hard{"limits.cpu": "8"})

	w.does("", "scale", "deployment/web", "--replicas=1")
	w.used(nlp, hard{"limits.cpu": "2"})
	w.does("", "autoscale", "deployment/web", "--min=1", "--max=4", "--cpu=50%")
	w.says(ai, "", "delete", "bizrq", ai)
	w.says(nlp, "", "delete", "bizrq", nlp)
	w.does("", "delete", "deployment/web", "--timeout="+(time.Minute).String())
	w.used(nlp, hard{"limits.cpu": "0"})
	w.does("", "delete", "bizrq", nlp, vision)
	w.does("", "delete", "bizrq", ai)
}

// What one edit would take beyond the quota, kubectl edit shows the user in the file.
func TestKubectlEditRefused(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "6"})
	w.does(w.manifest(nlp, 3), "apply", "-f", "-")
	w.says("group "+nlp+": limits.cpu: needs 2, 0 of 6 left (short 2); largest that fits: 3 replicas", "", "edit", "deployment/web")
	w.does("", "delete", "deployment/web")
	w.used(nlp, hard{"limits.cpu": "0"})
}
