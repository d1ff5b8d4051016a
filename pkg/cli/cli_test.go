package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// text is an error's message, empty for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseTargets(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want []string
		err  string
	}{
		{args: nil},
		{args: []string{"web-0", "web-1"}, want: []string{"pods/web-0", "pods/web-1"}},
		{args: []string{"pod", "web-0"}, want: []string{"pods/web-0"}},
		{args: []string{"po/web-0", "deploy/web"}, want: []string{"pods/web-0", "deployments.apps/web"}},
		{args: []string{"StatefulSets.apps", "db"}, want: []string{"statefulsets.apps/db"}},
		{args: []string{"jobs.v1.batch/a"}, want: []string{"jobs.batch/a"}},
		{args: []string{"cj"}, want: []string{"cronjobs.batch/"}},
		{args: []string{"ro/web", "rollouts.v1alpha1.argoproj.io/web", "pytorchjob/a", "lws/b", "jobsets.jobset.x-k8s.io/c"},
			want: []string{"rollouts.argoproj.io/web", "rollouts.argoproj.io/web", "pytorchjobs.kubeflow.org/a", "leaderworkersets.leaderworkerset.x-k8s.io/b", "jobsets.jobset.x-k8s.io/c"}},
		{args: []string{"deploymnet/web"}, err: `"deploymnet/web": unknown resource type "deploymnet", expected one of cloneset, cronjob, daemonset, deployment, jaxjob, job, jobset, leaderworkerset, mpijob, notebook, paddlejob, pod, pytorchjob, raycluster, rayjob, rayservice, replicaset, replicationcontroller, rollout, sparkapplication, statefulset, tfjob, trainjob, xgboostjob; did you mean "deployment"?`},
		{args: []string{"/x"}, err: `arguments in resource/name form must have a single resource and name, not "/x"`},
		{args: []string{"q/x"}, err: `"q/x": unknown resource type "q", expected one of cloneset, cronjob, daemonset, deployment, jaxjob, job, jobset, leaderworkerset, mpijob, notebook, paddlejob, pod, pytorchjob, raycluster, rayjob, rayservice, replicaset, replicationcontroller, rollout, sparkapplication, statefulset, tfjob, trainjob, xgboostjob`},
		{args: []string{"pod/"}, err: `arguments in resource/name form must have a single resource and name, not "pod/"`},
		{args: []string{"pod/a/b"}, err: `arguments in resource/name form must have a single resource and name, not "pod/a/b"`},
		{args: []string{"pod", "pod/a"}, err: `there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'pod/NAME' instead of 'pod NAME' or 'NAME')`},
	} {
		t.Run(fmt.Sprint(tc.args), func(t *testing.T) {
			targets, err := cli.ParseTargets(workload.Default(), tc.args)
			var got []string
			for _, target := range targets {
				got = append(got, target.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFind(t *testing.T) {
	snap := build.Snapshot(
		build.Pod("nlp", "bert-train-0").Obj(),
		build.Pod("nlp", "bert-train-1").Obj(),
		build.Pod("web", "gateway").Obj(),
	)
	snap.Missing = []snapshot.Missing{{Resource: "jobs.batch", Reason: "forbidden"}}
	for _, tc := range []struct {
		namespace, arg string
		want           []string
		err            string
	}{
		{namespace: "nlp", arg: "pod/bert-train-0", want: []string{"bert-train-0"}},
		{namespace: "", arg: "pod/gateway", want: []string{"gateway"}},
		{namespace: "nlp", arg: "pods", want: []string{"bert-train-0", "bert-train-1"}},
		{namespace: "ads", arg: "pods"},
		{namespace: "nlp", arg: "pod/bert-trian-0", err: `pods "bert-trian-0" not found in namespace "nlp"; did you mean "bert-train-0"?`},
		{namespace: "nlp", arg: "pod/gateway", err: `pods "gateway" not found in namespace "nlp"; there is one in namespace "web"`},
		{namespace: "nlp", arg: "pod/unlike-all", err: `pods "unlike-all" not found in namespace "nlp"`},
		{namespace: "nlp", arg: "job/sweep", err: `jobs.batch "sweep": jobs.batch could not be listed (forbidden)`},
	} {
		t.Run(tc.namespace+" "+tc.arg, func(t *testing.T) {
			targets, err := cli.ParseTargets(workload.Default(), []string{tc.arg})
			if err != nil {
				t.Fatal(err)
			}
			objects, err := cli.Find(snap, tc.namespace, targets[0])
			var got []string
			for _, object := range objects {
				got = append(got, object.GetName())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPodMatcher(t *testing.T) {
	pod := build.Pod("nlp", "bert").Label("app", "bert").Obj()
	for _, tc := range []struct {
		labels, fields string
		want           bool
		err            string
	}{
		{want: true},
		{labels: "app=bert", fields: "status.phase=Pending,metadata.namespace!=web", want: true},
		{labels: "app in (a, b)"},
		{fields: "spec.schedulerName=volcano"},
		{labels: "app=(", err: "--selector \"app=(\": unable to parse requirement: found '(', expected: identifier"},
		{fields: "status.phas=Pending", err: `--field-selector "status.phas=Pending": expected one of metadata.name, metadata.namespace, spec.hostNetwork, spec.nodeName, spec.restartPolicy, spec.schedulerName, status.nominatedNodeName, status.phase; did you mean "status.phase"?`},
	} {
		t.Run(tc.labels+" "+tc.fields, func(t *testing.T) {
			matches, err := (&cli.SelectFlags{LabelSelector: tc.labels, FieldSelector: tc.fields}).PodMatcher()
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Fatal(diff)
			}
			if err == nil && matches(pod) != tc.want {
				t.Errorf("matches: %t, want %t", !tc.want, tc.want)
			}
		})
	}
}

func TestSortBy(t *testing.T) {
	type item struct {
		Name  string            `json:"name"`
		Size  string            `json:"size,omitempty"`
		Count int64             `json:"count"`
		Tags  map[string]string `json:"tags,omitempty"`
	}
	items := []item{
		{Name: "b", Size: "10Gi", Count: 10},
		{Name: "c", Size: "9Gi", Count: 9},
		{Name: "a", Count: 9, Tags: map[string]string{"a": "b"}},
	}
	for _, tc := range []struct {
		path string
		want []string
		err  string
	}{
		{path: "", want: []string{"b", "c", "a"}},
		{path: ".name", want: []string{"a", "b", "c"}},
		{path: "{.size}", want: []string{"a", "c", "b"}},
		{path: "count", want: []string{"c", "a", "b"}},
		{path: ".unknown", want: []string{"b", "c", "a"}, err: `--sort-by ".unknown": couldn't find any field with that path in the report's items`},
		{path: ".tags", want: []string{"b", "c", "a"}, err: `--sort-by ".tags": expected one value an item, found a map`},
		{path: "{.name", want: []string{"b", "c", "a"}, err: `--sort-by "{.name": unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'`},
	} {
		t.Run(tc.path, func(t *testing.T) {
			sorted := append([]item(nil), items...)
			err := cli.SortBy(sorted, tc.path)
			var got []string
			for _, item := range sorted {
				got = append(got, item.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	refused := &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/api", Err: fmt.Errorf("dial: %w (connection refused)", syscall.ECONNREFUSED)}
	command := &cobra.Command{Use: "why-pending"}
	for _, tc := range []struct {
		name, want string
		err        error
		code       int
	}{
		{name: "done", code: cli.ExitOK},
		{name: "no", err: fmt.Errorf("wrapped: %w", cli.ErrNo), code: cli.ExitNo},
		{name: "plain", err: errors.New("fleet.yaml: no nodes"), want: "error: fleet.yaml: no nodes\n", code: cli.ExitError},
		{name: "usage", err: cli.UsageErrorf(command, "unknown flag: --%s", "foo"), want: "error: unknown flag: --foo\nSee 'why-pending --help' for usage.\n", code: cli.ExitError},
		{name: "no cluster", err: fmt.Errorf("load: %w", refused), want: "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n", code: cli.ExitError},
		{name: "forbidden", err: fmt.Errorf("load: %w", apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no right"))), want: "Error from server (Forbidden): pods is forbidden: no right\n", code: cli.ExitError},
		{name: "escaped", err: errors.New("a\x1b[2Jb"), want: "error: a^[[2Jb\n", code: cli.ExitError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := cli.Report(&out, tc.err); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestColorMode(t *testing.T) {
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	for _, tc := range []struct {
		value   string
		colours bool
		err     string
	}{
		{value: "auto"}, // a test's stdout is no terminal
		{value: "never"},
		{value: "always", colours: true},
		{value: "allways", err: `expected one of auto, always, never; did you mean "always"?`},
	} {
		mode := cli.ColorAuto
		if diff := cmp.Diff(tc.err, text(mode.Set(tc.value))); diff != "" {
			t.Error(diff)
		}
		theme := mode.Theme(cli.Env{IOStreams: streams, LookupEnv: func(string) (string, bool) { return "", false }})
		if got := theme.Bad("x") != "x"; got != tc.colours {
			t.Errorf("--color %s: colours %t, want %t", tc.value, got, tc.colours)
		}
	}
}

func TestSkewNotes(t *testing.T) {
	for version, want := range map[string][]string{
		"":                    nil,
		"v1.37.4-custom.1":    nil,
		"v1.34.2":             {"the server is version 1.34, and the scheduler's plugins in this client are of 1.37: verdicts may differ where these do"},
		"v1.30.0+k3s1-r1.2.3": {"the server is version 1.30, and the scheduler's plugins in this client are of 1.37: verdicts may differ where these do"},
	} {
		if diff := cmp.Diff(want, cli.SkewNotes(&snapshot.Snapshot{ServerVersion: version})); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

func TestMissingNotes(t *testing.T) {
	snap := &snapshot.Snapshot{Missing: []snapshot.Missing{
		{Resource: "nodepools.karpenter.sh", Reason: snapshot.NotServed}, // no objects, and no gap
		{Resource: "persistentvolumeclaims", Reason: snapshot.Forbidden, Detail: "outside namespace nlp"},
	}}
	want := []string{"persistentvolumeclaims could not be listed (forbidden outside namespace nlp): verdicts on pods with volumes are unknown"}
	if diff := cmp.Diff(want, cli.MissingNotes(snap)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefusesWhatSaysNothing(t *testing.T) {
	env := cli.Env{Config: genericclioptions.NewConfigFlags(false)}
	pod := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(pod, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	blind := filepath.Join(t.TempDir(), "blind.yaml")
	file, err := os.Create(blind)
	if err != nil {
		t.Fatal(err)
	}
	snap := build.Snapshot(&corev1.Pod{ObjectMeta: build.Pod("a", "b").Obj().ObjectMeta})
	snap.ServerVersion, snap.Missing = "v1.37.1", []snapshot.Missing{{Resource: "nodes", Reason: "forbidden"}}
	if err := errors.Join(snapshot.Write(file, snap, snapshot.Format{}), file.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pod:   pod + ": holds no nodes, and without them nothing can be said; dump them too: kubectl get nodes,pods,... -A -o yaml, or kubectl why-pending snapshot",
		blind: "nodes cannot be listed in all namespaces (forbidden): nothing can be said without them; ask for the right to list nodes",
	} {
		source := cli.SourceFlags{Path: path}
		_, err := source.Load(t.Context(), env, nil)
		if diff := cmp.Diff(want, text(err)); diff != "" {
			t.Error(diff)
		}
	}
}
