package whypending_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/plugins/whypending"
	"github.com/stowage-dev/stowage/test/command"
)

// fleet is the example fleet, as every case of this package sees it.
const fleet = "../../examples/fleet.yaml"

// plugin is the command under test.
func plugin() command.Plugin {
	return command.Plugin{Name: "why-pending", New: whypending.NewCommand}
}

// fleetCases ask about the example fleet.
func fleetCases() []command.Case {
	onFleet := func(name string, args ...string) command.Case {
		return command.Case{Name: name, Args: append([]string{"--snapshot", fleet}, args...)}
	}
	return []command.Case{
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
		onFleet("file-rollout", "-f", "testdata/manifests/rollout.yaml"),
		onFleet("file-pytorchjob", "-f", "testdata/manifests/pytorchjob.yaml"),
		onFleet("file-pytorchjob-json", "-f", "testdata/manifests/pytorchjob.yaml", "-o", "jsonpath={.items[0].podSets}"),
		onFleet("file-cronjob", "-f", "testdata/manifests/cronjob.yaml"),
		onFleet("file-leaderworkerset", "-f", "testdata/manifests/leaderworkerset.yaml"),
		onFleet("file-trainjob", "-f", "testdata/manifests/trainjob.yaml"),
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
func badCases() []command.Case {
	onFleet := func(name string, args ...string) command.Case {
		return command.Case{Name: "bad-" + name, Args: append([]string{"--snapshot", fleet}, args...)}
	}
	dump := func(name, file string) command.Case {
		return command.Case{Name: "bad-dump-" + name, Args: []string{"--snapshot", "testdata/dumps/" + file}}
	}
	return []command.Case{
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
		{Name: "bad-cluster", Args: []string{"--server", "https://127.0.0.1:1"}},
		{Name: "bad-context", Args: []string{"--context", "prod"}},
		{Name: "bad-both-stdin", Args: []string{"--snapshot", "-", "-f", "-"}},
		{Name: "bad-snapshot-arguments", Args: []string{"snapshot", "now"}},
	}
}

// otherCases need neither the fleet nor an error.
func otherCases() []command.Case {
	return []command.Case{
		{Name: "help", Args: []string{"--help"}},
		{Name: "help-snapshot", Args: []string{"snapshot", "--help"}},
		{Name: "forbidden-kind", Args: []string{"--snapshot", "testdata/dumps/forbidden.yaml"}},
		{Name: "version-skew", Args: []string{"--snapshot", "testdata/dumps/old-server.yaml"}},
		{Name: "hostile-strings", Args: []string{"--snapshot", "testdata/dumps/hostile.yaml", "hostile"}},
		{Name: "wide-names", Args: []string{"--snapshot", "testdata/dumps/long-names.yaml"}},
		{Name: "dump-folder", Args: []string{"--snapshot", "testdata/dumps/folder"}},
		{Name: "file-from-stdin", Args: []string{"--snapshot", "testdata/dumps/folder", "-f", "-"}, Stdin: manifest},
		{Name: "snapshot-from-stdin", Args: []string{"--snapshot", "-"}, Stdin: tinyCluster},
		{Name: "snapshot-redacted", Args: []string{"snapshot", "--snapshot", "testdata/dumps/folder", "--redact", "--gzip=false"}},
		{Name: "rollout", Args: []string{"--snapshot", "testdata/dumps/custom.yaml", "-n", "nlp", "rollout/web"}},
		{Name: "rollouts", Args: []string{"--snapshot", "testdata/dumps/custom.yaml", "-A", "ro"}},
		{Name: "rollout-unheld", Args: []string{"--snapshot", "testdata/dumps/custom.yaml", "-n", "nlp", "rollout/other"}},
		{Name: "pytorchjob-without-pending-pods", Args: []string{"--snapshot", "testdata/dumps/custom.yaml", "-n", "nlp", "pytorchjob/train"}},
		{Name: "no-nodes-in-a-cluster", Args: []string{"--snapshot", "testdata/dumps/zero-nodes.yaml", "web"}},
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

func TestMain(m *testing.M) { command.Main(m) }

func TestGolden(t *testing.T) {
	plugin().Golden(t, slices.Concat(fleetCases(), badCases(), otherCases())...)
}

// TestNamed checks what the help calls the command.
func TestNamed(t *testing.T) { plugin().Named(t) }

// TestTablesFit checks the promise of 80 columns on every recorded table and block.
func TestTablesFit(t *testing.T) { plugin().Fits(t, isCommand, fleetCases()...) }

// isCommand says whether a line is one to copy, which is never wrapped.
func isCommand(line string) bool {
	words := strings.TrimLeft(line, " \x1b[36m")
	return strings.HasPrefix(words, "kubectl ") || strings.HasPrefix(words, "echo ")
}

// TestGuide checks what the guide shows.
func TestGuide(t *testing.T) { plugin().Guide(t, "docs/guide/why-pending.md") }

// TestSnapshotRoundTrip checks that a dump of a dump gives the same answers.
func TestSnapshotRoundTrip(t *testing.T) {
	written := plugin().Run(t, "", "snapshot", "--snapshot", fleet, "--gzip=false").Stdout
	copied := filepath.Join(t.TempDir(), "copy.yaml")
	if err := os.WriteFile(copied, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := func(path string) string {
		return plugin().Run(t, "", "--snapshot", path, "-n", "nlp", "-o", "json").Stdout
	}
	if diff := cmp.Diff(answer(fleet), answer(copied)); diff != "" {
		t.Error(diff)
	}
}

func TestVersion(t *testing.T) {
	out := plugin().Run(t, "", "version").String()
	for _, want := range []string{"exit code 0\n", "Client Version: ", "Scheduler Version: v1.37"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
}
