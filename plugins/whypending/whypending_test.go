package whypending_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/whypending"
)

var update = flag.Bool("update", false, "record the golden files")

// fleet is the example fleet, as every case of this package sees it.
const fleet = "../../examples/fleet.yaml"

// run runs the command as its binary would and returns what it wrote, as a
// golden file holds it: the command line, the exit code, stdout and stderr.
func run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	env := cli.Env{
		IOStreams: streams,
		Clock:     testingclock.NewFakeClock(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)),
		LookupEnv: func(string) (string, bool) { return "", false },
		Config:    genericclioptions.NewConfigFlags(true),
	}
	cmd := whypending.NewCommand(env)
	cmd.SetArgs(args)
	code := cli.Report(errOut, cmd.ExecuteContext(t.Context()))
	return fmt.Sprintf("$ kubectl why-pending %s\nexit code %d\n--- stdout\n%s--- stderr\n%s", strings.Join(args, " "), code, out, errOut)
}

// checkGolden compares got with a file under testdata/golden, or records it.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run make update-golden", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, - is recorded, + is what the command writes:\n%s", path, diff)
	}
}

// commandCase is one command line.
type commandCase struct {
	name  string
	args  []string
	stdin string
}

// fleetCases ask about the example fleet.
func fleetCases() []commandCase {
	onFleet := func(name string, args ...string) commandCase {
		return commandCase{name: name, args: append([]string{"--snapshot", fleet}, args...)}
	}
	return []commandCase{
		// Lists.
		onFleet("list", "-n", "nlp"),
		onFleet("list-all-namespaces", "-A"),
		onFleet("list-no-headers", "-n", "nlp", "--no-headers"),
		onFleet("list-wide", "-n", "vision", "-o", "wide"),
		onFleet("list-name", "-A", "-o", "name"),
		onFleet("list-nothing-pending", "-n", "search", "-l", "app=none"),
		onFleet("list-nothing-pending-default"),
		onFleet("list-nothing-pending-anywhere", "-A", "-l", "app=none"),
		onFleet("list-selector", "-A", "-l", "app in (ocr, ranker)"),
		onFleet("list-field-selector", "-A", "--field-selector", "spec.schedulerName=volcano"),
		onFleet("list-sort-by", "-A", "--sort-by", ".pendingSince"),
		onFleet("list-color", "-n", "vision", "--color", "always"),
		onFleet("list-nodes", "-n", "search", "--nodes"),
		onFleet("list-of-a-type", "-n", "vision", "jobs"),
		// Machine formats.
		onFleet("list-json", "-n", "search", "-o", "json"),
		onFleet("list-yaml", "-n", "search", "-o", "yaml"),
		onFleet("list-json-nothing", "-n", "web", "-l", "app=none", "-o", "json"),
		onFleet("list-jsonpath", "-A", "-o", `jsonpath={range .items[*]}{.namespace}/{.name}{"\t"}{.verdict}{"\n"}{end}`),
		onFleet("list-go-template", "-n", "nlp", "-o", `go-template={{range .items}}{{.name}} {{.verdict}}{{"\n"}}{{end}}`),
		onFleet("list-template", "-n", "nlp", "--template", `{{range .items}}{{.name}}{{"\n"}}{{end}}`),
		onFleet("list-custom-columns", "-n", "nlp", "-o", "custom-columns=NAME:.name,PLUGIN:.causes[0].plugin,NODES:.causes[0].nodes"),
		onFleet("list-custom-columns-no-headers", "-n", "nlp", "--no-headers", "-o", "custom-columns=NAME:.name"),
		// One object.
		onFleet("pod-fragmented", "-n", "nlp", "llm-pretrain-0"),
		onFleet("pod-fragmented-nodes", "-n", "nlp", "llm-pretrain-0", "--nodes"),
		onFleet("pod-anti-affinity", "-n", "search", "pod/es-data-4"),
		onFleet("pod-volume-zone", "-n", "data", "pod", "kafka-0"),
		onFleet("pod-unbound-claim", "-n", "data", "postgres-0"),
		onFleet("pod-color", "-n", "search", "es-data-4", "--color=always"),
		onFleet("two-pods", "-n", "nlp", "llm-pretrain-0", "llm-pretrain-1"),
		onFleet("deployment-port", "-n", "infra", "deployment/metrics-relay"),
		onFleet("deployment-mistyped-resource", "-n", "recsys", "deploy/ranker"),
		onFleet("deployment-untolerated", "-n", "nlp", "deploy", "embedder"),
		onFleet("deployment-label", "-n", "vision", "deploy/ocr"),
		onFleet("deployment-gt", "-n", "nlp", "deploy/llama-serve"),
		onFleet("deployment-spread", "-n", "web", "deploy/gateway"),
		onFleet("deployment-sidecar", "-n", "nlp", "deploy/tokenizer"),
		onFleet("deployment-pod-level", "-n", "data", "deploy/spark-driver"),
		onFleet("deployment-preemption", "-n", "online", "deploy/asr"),
		onFleet("deployment-affinity", "-n", "recsys", "deploy/cache-warmer"),
		onFleet("deployment-missing-resourceclaim", "-n", "vision", "deploy/mig-notebook"),
		onFleet("deployment-not-created", "-n", "ads", "deployment/ctr-model"),
		onFleet("deployment-without-pending-pods", "-n", "web", "deploy/api"),
		onFleet("job-too-large", "-n", "recsys", "job/feature-join"),
		onFleet("job-in-use", "-n", "vision", "job/detr-train"),
		onFleet("job-missing-claim", "-n", "data", "job/loader"),
		onFleet("job-cordoned", "-n", "infra", "job/gpu-diagnosis"),
		onFleet("job-gated", "-n", "rl", "job/sweep"),
		onFleet("job-other-scheduler", "-n", "rl", "job/rollout"),
		onFleet("pod-bound", "-n", "search", "es-data-0"),
		// By cause.
		onFleet("all", "--all", "-A"),
		onFleet("all-wide", "--all", "-A", "-o", "wide"),
		onFleet("all-namespace", "--all", "-n", "nlp"),
		onFleet("all-name", "--all", "-n", "nlp", "-o", "name"),
		// Pods that do not exist yet.
		onFleet("file-fits-some", "-f", "testdata/manifests/deployment.yaml"),
		onFleet("file-with-claim", "-f", "testdata/manifests/with-claim.yaml", "-n", "data"),
		onFleet("file-json", "-f", "testdata/manifests/deployment.yaml", "-o", "custom-columns=NAME:.name,FITS:.fitReplicas,OF:.replicas"),
		// Exit codes.
		onFleet("exit-code-no", "-n", "search", "--exit-code", "-o", "name"),
		onFleet("exit-code-yes", "-n", "search", "--exit-code", "-l", "app=none"),
		// A scheduler of one's own.
		onFleet("scheduler-config", "-n", "search", "--scheduler-config", "testdata/scheduler.yaml", "-o", "name"),
		onFleet("scheduler-config-unknown-plugin", "-n", "search", "--scheduler-config", "testdata/scheduler-unknown-plugin.yaml", "es-data-4"),
	}
}

// badCases are mistakes: each gets one clear line, and never a verdict.
func badCases() []commandCase {
	onFleet := func(name string, args ...string) commandCase {
		return commandCase{name: "bad-" + name, args: append([]string{"--snapshot", fleet}, args...)}
	}
	dump := func(name, file string) commandCase {
		return commandCase{name: "bad-dump-" + name, args: []string{"--snapshot", "testdata/dumps/" + file}}
	}
	return []commandCase{
		onFleet("pod", "-n", "nlp", "llm-pretran-0"),
		onFleet("pod-namespace", "llm-pretrain-0"),
		onFleet("type", "-n", "nlp", "deploymen/embedder"),
		onFleet("type-namespace", "nlp/llm-pretrain-0"),
		onFleet("output", "-o", "jsn"),
		onFleet("color", "--color", "sometimes"),
		onFleet("flag", "--al"),
		onFleet("selector", "-l", "a=("),
		onFleet("field-selector", "--field-selector", "status.phas=Pending"),
		onFleet("sort-by", "-n", "nlp", "--sort-by", ".unknown"),
		onFleet("custom-columns", "-n", "nlp", "-o", "custom-columns=NAME"),
		onFleet("name-and-all-namespaces", "-A", "llm-pretrain-0"),
		onFleet("name-and-selector", "-l", "a=b", "llm-pretrain-0"),
		onFleet("name-and-all", "--all", "llm-pretrain-0"),
		onFleet("name-and-file", "-f", "testdata/manifests/deployment.yaml", "llm-pretrain-0"),
		onFleet("watch", "--watch"),
		onFleet("file-none", "-f", "testdata/manifests/none.yaml"),
		onFleet("file-unknown-field", "-f", "testdata/manifests/unknown-field.yaml"),
		onFleet("file-without-pods", "-f", "testdata/manifests/service.yaml"),
		onFleet("file-old-version", "-f", "testdata/manifests/old-version.yaml"),
		onFleet("scheduler-config-none", "--scheduler-config", "testdata/none.yaml"),
		onFleet("scheduler-config-kind", "-n", "nlp", "--scheduler-config", "testdata/manifests/deployment.yaml"),
		dump("none", "none.yaml"),
		dump("empty", "empty.yaml"),
		dump("truncated", "truncated.yaml"),
		dump("truncated-gzip", "truncated.yaml.gz"),
		dump("no-nodes", "no-nodes.yaml"),
		dump("not-kubernetes", "not-kubernetes.yaml"),
		dump("bad-quantity", "bad-quantity.yaml"),
		{name: "bad-cluster", args: []string{"--server", "https://127.0.0.1:1"}},
		{name: "bad-context", args: []string{"--context", "prod"}},
		{name: "bad-both-stdin", args: []string{"--snapshot", "-", "-f", "-"}},
		{name: "bad-snapshot-arguments", args: []string{"snapshot", "now"}},
	}
}

// otherCases need neither the fleet nor an error.
func otherCases() []commandCase {
	return []commandCase{
		{name: "help", args: []string{"--help"}},
		{name: "help-snapshot", args: []string{"snapshot", "--help"}},
		{name: "forbidden-kind", args: []string{"--snapshot", "testdata/dumps/forbidden.yaml"}},
		{name: "version-skew", args: []string{"--snapshot", "testdata/dumps/old-server.yaml"}},
		{name: "hostile-strings", args: []string{"--snapshot", "testdata/dumps/hostile.yaml", "hostile"}},
		{name: "wide-names", args: []string{"--snapshot", "testdata/dumps/long-names.yaml"}},
		{name: "dump-folder", args: []string{"--snapshot", "testdata/dumps/folder"}},
		{name: "file-from-stdin", args: []string{"--snapshot", "testdata/dumps/folder", "-f", "-"}, stdin: manifest},
		{name: "snapshot-from-stdin", args: []string{"--snapshot", "-"}, stdin: tinyCluster},
		{name: "snapshot-redacted", args: []string{"snapshot", "--snapshot", "testdata/dumps/folder", "--redact", "--gzip=false"}},
		{name: "no-nodes-in-a-cluster", args: []string{"--snapshot", "testdata/dumps/zero-nodes.yaml", "web"}},
	}
}

const manifest = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "from-stdin"},
 "spec": {"containers": [{"name": "main", "image": "a", "resources": {"requests": {"cpu": "1"}}}]}}`

const tinyCluster = `apiVersion: v1
kind: Node
metadata: {name: only}
status: {allocatable: {cpu: "1", memory: 1Gi, pods: "10"}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {schedulerName: default-scheduler, containers: [{name: main, resources: {requests: {cpu: "2"}}}]}
status: {phase: Pending}
`

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func TestGolden(t *testing.T) {
	for _, cases := range [][]commandCase{fleetCases(), badCases(), otherCases()} {
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				checkGolden(t, tc.name, run(t, tc.stdin, tc.args...))
			})
		}
	}
}

// TestNoStaleGolden finds golden files that no case writes any more.
func TestNoStaleGolden(t *testing.T) {
	known := map[string]bool{}
	for _, cases := range [][]commandCase{fleetCases(), badCases(), otherCases()} {
		for _, tc := range cases {
			if known[tc.name] {
				t.Errorf("two cases are named %q", tc.name)
			}
			known[tc.name] = true
		}
	}
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[strings.TrimSuffix(filepath.Base(file), ".txt")] {
			t.Errorf("%s: no case of that name", file)
		}
	}
}

// TestTablesFit checks the promise of 80 columns on every recorded table and block.
func TestTablesFit(t *testing.T) {
	for _, tc := range fleetCases() {
		if strings.Contains(strings.Join(tc.args, " "), "-o") {
			continue // wide and the machine formats are as long as they are
		}
		t.Run(tc.name, func(t *testing.T) {
			out := run(t, tc.stdin, tc.args...)
			body := out[strings.Index(out, "--- stdout"):strings.Index(out, "--- stderr")]
			for line := range strings.Lines(body) {
				if width := visibleWidth(line); width > 80 && !isCommand(line) {
					t.Errorf("%d cells: %s", width, line)
				}
			}
		})
	}
}

// TestSnapshotRoundTrip checks that a dump of a dump gives the same answers.
func TestSnapshotRoundTrip(t *testing.T) {
	written := run(t, "", "snapshot", "--snapshot", fleet, "--gzip=false")
	_, rest, _ := strings.Cut(written, "--- stdout\n")
	body, _, _ := strings.Cut(rest, "--- stderr\n")
	copied := filepath.Join(t.TempDir(), "copy.yaml")
	if err := os.WriteFile(copied, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := func(path string) string {
		_, answer, _ := strings.Cut(run(t, "", "--snapshot", path, "-n", "nlp", "-o", "json"), "\n")
		return answer
	}
	if diff := cmp.Diff(answer(fleet), answer(copied)); diff != "" {
		t.Error(diff)
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	out.WriteString(run(t, "", "version"))
	for _, want := range []string{"exit code 0\n", "Client Version: ", "Scheduler Version: v1.37"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}
