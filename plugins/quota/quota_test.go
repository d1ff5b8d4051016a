package quota_test

import (
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
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/plugins/quota"
)

var update = flag.Bool("update", false, "record the golden files")

// groups is the dump that most cases ask about.
const groups = "testdata/groups.yaml"

// run runs the command as its binary would and returns what it wrote, as a
// golden file holds it: the command line, the exit code, stdout and stderr.
func run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	clock := testingclock.NewFakeClock(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC))
	return runAt(t, clock, stdin, args...)
}

// runAt is run with a clock of the caller's.
func runAt(t testing.TB, clock clock.Clock, stdin string, args ...string) string {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	env := cli.Env{
		IOStreams: streams,
		Clock:     clock,
		LookupEnv: func(string) (string, bool) { return "", false },
		Config:    genericclioptions.NewConfigFlags(true),
	}
	cmd := quota.NewCommand(env)
	cmd.SetArgs(args)
	code := cli.Report(errOut, cmd.ExecuteContext(t.Context()))
	return fmt.Sprintf("$ kubectl quota %s\nexit code %d\n--- stdout\n%s--- stderr\n%s", strings.Join(args, " "), code, out, errOut)
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

// onGroups is a case that asks about the groups of the dump.
func onGroups(name string, args ...string) commandCase {
	return commandCase{name: name, args: append(args, "--snapshot", groups)}
}

func manifest(name string) string { return filepath.Join("testdata", "manifests", name+".yaml") }

func treeCases() []commandCase {
	return []commandCase{
		onGroups("tree", "tree"),
		onGroups("tree-name", "tree", "nlp"),
		onGroups("tree-wide", "tree", "-o", "wide"),
		onGroups("tree-color", "tree", "--color", "always"),
		onGroups("tree-no-headers", "tree", "web", "--no-headers"),
		onGroups("tree-resource", "tree", "--resource", "requests.nvidia.com/gpu", "--resource", "pods"),
		onGroups("tree-over", "tree", "--over", "80%"),
		onGroups("tree-over-resource", "tree", "--over", "80", "--resource", "limits.cpu"),
		onGroups("tree-over-none", "tree", "nlp-serve", "--over", "50%"),
		onGroups("tree-sort-by", "tree", "--sort-by", ".name", "--resource", "limits.cpu"),
		onGroups("tree-name-output", "tree", "-o", "name"),
		onGroups("tree-json", "tree", "nlp-serve", "-o", "json"),
		onGroups("tree-yaml", "tree", "nlp", "-o", "yaml", "--resource", "cash/limits.cpu"),
		onGroups("tree-jsonpath", "tree", "-o", `jsonpath={range .items[*]}{.depth} {.name}{"\n"}{end}`),
		onGroups("tree-custom-columns", "tree", "-o", "custom-columns=NAME:.name,KEY:.keys[0].key,LEFT:.keys[0].left"),
		{name: "tree-without-groups", args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml"}},
		{name: "tree-without-groups-name", args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml", "-o", "name"}},
		{name: "tree-of-nothing", args: []string{"tree", "--snapshot", "-"}, stdin: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"},
		{name: "tree-forbidden", args: []string{"tree", "--snapshot", "testdata/dumps/forbidden.yaml"}},
		{name: "tree-hostile", args: []string{"tree", "--snapshot", "testdata/dumps/hostile.yaml"}},
		{name: "tree-cycle", args: []string{"tree", "a", "--snapshot", "testdata/dumps/hostile.yaml", "--resource", "pods"}},
	}
}

func describeCases() []commandCase {
	return []commandCase{
		onGroups("describe", "describe", "nlp"),
		onGroups("describe-two", "describe", "vision", "ads"),
		onGroups("describe-wide", "describe", "nlp", "-o", "wide"),
		{name: "describe-hostile", args: []string{"describe", "a", "--snapshot", "testdata/dumps/hostile.yaml"}},
	}
}

func checkCases() []commandCase {
	return []commandCase{
		onGroups("check-refused", "check", "-f", manifest("deployment")),
		onGroups("check-exit-code", "check", "-f", manifest("deployment"), "--exit-code", "-o", "name"),
		onGroups("check-json", "check", "-f", manifest("deployment"), "-o", "json"),
		onGroups("check-several", "check", "-f", manifest("two")),
		onGroups("check-several-yaml", "check", "-f", manifest("two"), "-o", "yaml"),
		onGroups("check-columns", "check", "-f", manifest("two"), "-o", "custom-columns=OBJECT:.object,ALLOWED:.allowed"),
		onGroups("check-elsewhere", "check", "-f", manifest("elsewhere")),
		onGroups("check-exhausted", "check", "-f", manifest("exhausted")),
		onGroups("check-required", "check", "-f", manifest("ungrouped"), "-n", "web"),
		onGroups("check-cron-job", "check", "-f", manifest("cron-job")),
		onGroups("check-part-scaled", "check", "rs/tokenizer-5d8f", "-n", "nlp-prod", "--replicas", "4"),
		onGroups("check-part", "check", "-f", manifest("replica-set")),
		onGroups("check-move", "check", "-f", manifest("move")),
		onGroups("check-delete-workload", "check", "--op", "delete", "-f", manifest("delete")),
		onGroups("check-scale", "check", "deploy/tokenizer", "-n", "nlp-prod", "--replicas", "12"),
		onGroups("check-scale-down", "check", "rollout/ocr", "-n", "vision", "--replicas", "0"),
		onGroups("check-scale-over", "check", "rollouts.argoproj.io/ocr", "-n", "vision", "--replicas", "200"),
		onGroups("check-group", "check", "-f", manifest("group")),
		onGroups("check-group-tree", "check", "-f", manifest("group-tree")),
		onGroups("check-group-keys", "check", "-f", manifest("leaf")),
		onGroups("check-group-delete", "check", "--op", "delete", "-f", manifest("leaf")),
		onGroups("check-group-delete-parent", "check", "--op", "delete", "-f", manifest("nlp")),
		{name: "check-stdin", args: []string{"check", "-f", "-", "--snapshot", groups}, stdin: pod},
		onGroups("check-own-kind", "check", "-f", manifest("own-kind"), "--workload-kinds", "testdata/kinds.yaml"),
		{name: "check-without-groups", args: []string{"check", "-f", manifest("deployment"), "--snapshot", "testdata/dumps/native.yaml"}},
	}
}

const pod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "vision", "labels": {"biz.group.resource.quota": "vision"}},
 "spec": {"containers": [{"name": "main", "image": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}`

func verifyCases() []commandCase {
	drifted := func(name string, args ...string) commandCase {
		return commandCase{name: name, args: append(args, "--snapshot", "testdata/dumps/drift.yaml")}
	}
	return []commandCase{
		onGroups("verify", "verify", "--exit-code"),
		drifted("verify-drift", "verify"),
		drifted("verify-drift-exit-code", "verify", "b", "--exit-code"),
		drifted("verify-drift-json", "verify", "-o", "json"),
		drifted("verify-drift-name", "verify", "-o", "name"),
	}
}

// badCases are mistakes: each gets one clear line.
func badCases() []commandCase {
	bad := func(name string, args ...string) commandCase { return onGroups("bad-"+name, args...) }
	return []commandCase{
		{name: "bad-command", args: []string{"tre"}},
		bad("group", "tree", "nlpp"),
		bad("groups", "tree", "nlp", "vision"),
		{name: "bad-no-groups", args: []string{"tree", "nlp", "--snapshot", "testdata/dumps/native.yaml"}},
		bad("resource", "tree", "--resource", "limits.cp"),
		bad("over", "tree", "--over", "lots"),
		bad("watch", "tree", "-w"),
		bad("output", "tree", "-o", "jsn"),
		bad("sort-by", "tree", "--sort-by", ".unknown"),
		bad("describe", "describe"),
		bad("describe-group", "describe", "visoin"),
		bad("describe-output", "describe", "nlp", "-o", "json"),
		bad("verify-group", "verify", "nlpp"),
		bad("check", "check"),
		bad("check-both", "check", "deploy/web", "-f", manifest("deployment")),
		bad("check-no-replicas", "check", "deploy/tokenizer"),
		bad("check-negative", "check", "deploy/tokenizer", "--replicas", "-1"),
		bad("check-type", "check", "deploymen/tokenizer", "--replicas", "1"),
		bad("check-name", "check", "deploy/tokeniser", "-n", "nlp-prod", "--replicas", "1"),
		bad("check-form", "check", "tokenizer", "--replicas", "1"),
		bad("check-unscalable", "check", "cronjob/none", "--replicas", "1"),
		bad("check-op", "check", "--op", "creat", "-f", manifest("group")),
		bad("check-op-exists", "check", "--op", "create", "-f", manifest("nlp")),
		bad("check-op-missing", "check", "--op", "delete", "-f", manifest("group")),
		bad("check-file", "check", "-f", manifest("none")),
		bad("check-field", "check", "-f", manifest("unknown-field")),
		bad("check-nothing", "check", "-f", manifest("config-map")),
		bad("check-version", "check", "-f", manifest("old-version")),
		{name: "bad-check-stdin", args: []string{"check", "-f", "-", "--snapshot", "-"}},
		bad("kinds", "tree", "--workload-kinds", "testdata/none.yaml"),
		bad("kinds-file", "tree", "--workload-kinds", manifest("group")),
		bad("create-snapshot", "create", "speech", "--hard", "limits.cpu=1"),
		bad("set-snapshot", "set", "nlp", "limits.cpu=1"),
		{name: "bad-create-name", args: []string{"create", "--hard", "limits.cpu=1"}},
		{name: "bad-create-hard", args: []string{"create", "speech", "--hard", "limits.cpu"}},
		{name: "bad-create-quantity", args: []string{"create", "speech", "--hard", "limits.cpu=ten"}},
		{name: "bad-create-twice", args: []string{"create", "speech", "--hard", "limits.cpu=1,limits.cpu=2"}},
		{name: "bad-create-time-zone", args: []string{"create", "speech", "--hard", "limits.cpu=1", "--time-zone", "UTC"}},
		{name: "bad-create-dry-run", args: []string{"create", "speech", "--hard", "limits.cpu=1", "--dry-run=maybe"}},
		{name: "bad-set", args: []string{"set", "nlp"}},
		{name: "bad-cluster", args: []string{"tree", "--server", "https://127.0.0.1:1"}},
		{name: "bad-dump", args: []string{"tree", "--snapshot", "testdata/dumps/bad-quantity.yaml"}},
	}
}

func helpCases() []commandCase {
	cases := []commandCase{{name: "help", args: []string{"--help"}}, {name: "help-none", args: []string{}}}
	for _, name := range []string{"tree", "describe", "check", "create", "set", "verify"} {
		cases = append(cases, commandCase{name: "help-" + name, args: []string{name, "--help"}})
	}
	return cases
}

func allCases() []commandCase {
	var all []commandCase
	for _, cases := range [][]commandCase{treeCases(), describeCases(), checkCases(), verifyCases(), badCases(), helpCases()} {
		all = append(all, cases...)
	}
	return all
}

func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	os.Exit(m.Run())
}

func TestGolden(t *testing.T) {
	for _, tc := range allCases() {
		t.Run(tc.name, func(t *testing.T) {
			checkGolden(t, tc.name, run(t, tc.stdin, tc.args...))
		})
	}
}

// TestNoStaleGolden finds golden files that no case writes any more.
func TestNoStaleGolden(t *testing.T) {
	known := map[string]bool{}
	for _, tc := range allCases() {
		if known[tc.name] {
			t.Errorf("two cases are named %q", tc.name)
		}
		known[tc.name] = true
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

// TestTablesFit checks the promise of 80 columns.
func TestTablesFit(t *testing.T) {
	for _, cases := range [][]commandCase{treeCases(), describeCases(), checkCases(), verifyCases()} {
		for _, tc := range cases {
			if strings.Contains(strings.Join(tc.args, " "), "-o ") {
				continue // wide and the machine formats are as long as they are
			}
			t.Run(tc.name, func(t *testing.T) {
				for line := range strings.Lines(stdoutOf(run(t, tc.stdin, tc.args...))) {
					if width := print.Width(strings.TrimSuffix(line, "\n")); width > 80 {
						t.Errorf("%d cells: %s", width, line)
					}
				}
			})
		}
	}
}

// stdoutOf takes the data out of what run returns.
func stdoutOf(recorded string) string {
	_, stdout, _ := strings.Cut(recorded, "--- stdout\n")
	stdout, _, _ = strings.Cut(stdout, "--- stderr\n")
	if stdout != "" && !strings.HasSuffix(stdout, "\n") {
		stdout += "\n"
	}
	return stdout
}
