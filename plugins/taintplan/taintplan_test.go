package taintplan_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/plugins/taintplan"
	"github.com/stowage-dev/stowage/test/command"
)

// The dumps that cases ask about.
const (
	fleet   = "../../examples/fleet.yaml"
	shapes  = "testdata/dumps/shapes.yaml"
	hostile = "testdata/dumps/hostile.yaml"
)

// plugin is the command under test.
func plugin() command.Plugin {
	return command.Plugin{Name: "taint-plan", New: taintplan.NewCommand}
}

// on makes cases about a dump.
func on(dump string) func(name string, args ...string) command.Case {
	return func(name string, args ...string) command.Case {
		return command.Case{Name: name, Args: append(args, "--snapshot", dump)}
	}
}

// clear is the change of most cases: batch pods bear with it for five minutes.
const clear = "maintenance=true:NoExecute"

func planCases() []command.Case {
	fleet, shapes := on(fleet), on(shapes)
	return []command.Case{
		// What is asked.
		fleet("evictions", "nodes", "t4-01", "a30-01", "a30-02", clear),
		fleet("evictions-pending", "nodes", "t4-01", "t4-02", "t4-03", "t4-04", clear),
		fleet("no-schedule", "nodes", "ecs-01", "cpu-01", "drain:NoSchedule"),
		fleet("prefer-no-schedule", "nodes", "cpu-04", "drain:PreferNoSchedule"),
		fleet("removal", "nodes", "-l", "stowage.example/pool=gpu", "nvidia.com/gpu:NoSchedule-"),
		fleet("modification", "nodes", "virtual-node-1", "virtual-node-2", "virtual-kubelet.io/provider-", "rented:NoExecute"),
		fleet("removal-all", "nodes", "--all", "nvidia.com/gpu:NoSchedule-"),
		fleet("tainted-already", "nodes", "-l", "stowage.example/pool in (gpu, cpu)", "nvidia.com/gpu=present:NoSchedule", "-o", "name"),
		fleet("overwrite", "nodes", "t4-01", "nvidia.com/gpu=absent:NoSchedule", "--overwrite"),
		fleet("nothing-changes", "nodes", "t4-01", "nvidia.com/gpu=present:NoSchedule", "--overwrite"),
		fleet("nothing-changes-json", "nodes", "t4-01", "nvidia.com/gpu=present:NoSchedule", "--overwrite", "-o", "json"),
		fleet("nothing-is-evicted", "nodes", "t4-06", clear),
		fleet("all", "nodes", "--all", "x:PreferNoSchedule"),
		fleet("many-rows", "nodes", "-l", "stowage.example/pool=gpu", clear),
		fleet("twice-the-same-node", "no", "t4-01", "t4-01", clear, "-o", "name"),
		fleet("start-time", "node", "cpu-01", clear, "--start-time", "2m"),
		fleet("scheduler-config", "node", "cpu-01", clear, "--scheduler-config", "testdata/scheduler.yaml", "-o", "name"),
		on("testdata/dumps/awhile.yaml")("freed-for-a-while", "nodes", "a", "gpu-"),
		on("testdata/dumps/lost.yaml")("lost", "nodes", "a", clear),
		shapes("shapes", "nodes", "a", clear, "dedicated=batch:NoSchedule"),
		// Waves.
		fleet("waves", "nodes", "t4-01", "t4-02", "t4-03", "ecs-01", clear, "--waves", "2"),
		fleet("waves-auto", "nodes", "a30-01", "a30-02", clear, "--waves", "auto"),
		fleet("waves-auto-short", "nodes", "-l", "stowage.example/pool in (ecs, cpu)", clear, "--waves", "auto"),
		// How it is printed.
		fleet("timeline", "nodes", "t4-01", "a30-01", "a30-02", clear, "--timeline"),
		fleet("timeline-waves", "nodes", "t4-01", "t4-02", clear, "--timeline", "--waves", "2"),
		fleet("color", "nodes", "t4-01", "a30-01", "a30-02", clear, "--color", "always", "--timeline"),
		fleet("no-headers", "nodes", "t4-01", clear, "--no-headers"),
		fleet("wide", "nodes", "-l", "stowage.example/pool=gpu", clear, "-o", "wide"),
		fleet("name", "nodes", "-l", "stowage.example/pool=ecs", clear, "-o", "name"),
		fleet("json", "nodes", "t4-01", clear, "-o", "json"),
		fleet("yaml", "nodes", "a30-01", clear, "-o", "yaml"),
		fleet("jsonpath", "nodes", "t4-01", clear, "-o", `jsonpath={range .evictions[*]}{.name} {.afterSeconds}{"\n"}{end}`),
		fleet("go-template", "nodes", "t4-01", clear, "-o", `go-template={{range .workloads}}{{.workload}} {{.lowest}}{{"\n"}}{{end}}`),
		fleet("custom-columns", "nodes", "t4-01", "a30-01", "a30-02", clear, "-o", "custom-columns=POD:.name,AFTER:.afterSeconds,TO:.newNode"),
		fleet("sort-by", "nodes", "t4-01", "a30-01", "a30-02", clear, "--sort-by", ".name"),
	}
}

// badCases are mistakes: each gets one clear line, and nothing is planned.
func badCases() []command.Case {
	bad := func(name string, args ...string) command.Case { return on(fleet)("bad-"+name, args...) }
	file := func(name string) command.Case {
		return command.Case{Name: "bad-plan-" + name, Args: []string{"--apply", "testdata/plans/" + name + ".yaml"}}
	}
	return []command.Case{
		// The grammar of kubectl taint.
		bad("nothing"),
		bad("type", "nodse", "t4-01", clear),
		bad("type-pods", "pods", "web-0", clear),
		bad("no-nodes", "nodes", clear),
		bad("no-change", "nodes", "t4-01"),
		bad("order", "nodes", "t4-01", clear, "t4-02"),
		bad("effect", "nodes", "t4-01", "maintenance=true:NoExcute"),
		bad("effect-unlike", "nodes", "t4-01", "maintenance=true:Never"),
		bad("without-effect", "nodes", "t4-01", "maintenance=true"),
		bad("key", "nodes", "t4-01", "main tenance:NoExecute"),
		bad("value", "nodes", "t4-01", "maintenance=a/b:NoExecute"),
		bad("twice", "nodes", "t4-01", "a=1:NoExecute", "a=2:NoExecute"),
		bad("set-and-remove", "nodes", "t4-01", "a=1:NoExecute", "a:NoExecute-"),
		bad("overwrite", "nodes", "t4-01", "nvidia.com/gpu=absent:NoSchedule"),
		bad("removal", "nodes", "t4-01", "nvidia.com/gpus:NoSchedule-"),
		bad("removal-all", "nodes", "--all", "nvidia.com/gpus:NoSchedule-"),
		bad("removal-untainted", "nodes", "cpu-01", "nvidia.com/gpu-"),
		bad("node", "nodes", "t4-1", clear),
		bad("node-unlike", "nodes", "t4-01", "somewhere", clear),
		bad("all-and-selector", "nodes", "--all", "-l", "a=b", clear),
		bad("all-and-name", "nodes", "t4-01", "--all", clear),
		bad("selector-and-name", "nodes", "t4-01", "-l", "a=b", clear),
		bad("selector", "nodes", "-l", "a=(", clear),
		bad("selector-key", "nodes", "-l", "stowage.example/pol=gpu", clear),
		bad("selector-value", "nodes", "-l", "stowage.example/pool=gpus", clear),
		bad("selector-empty", "nodes", "-l", "stowage.example/pool=gpu,stowage.example/pool=cpu", clear),
		// Flags.
		bad("waves", "nodes", "t4-01", clear, "--waves", "some"),
		bad("waves-none", "nodes", "t4-01", clear, "--waves", "0"),
		bad("start-time", "nodes", "t4-01", clear, "--start-time", "0s"),
		bad("output", "nodes", "t4-01", clear, "-o", "jsn"),
		bad("sort-by", "nodes", "t4-01", clear, "--sort-by", ".unknown"),
		bad("timeline", "nodes", "t4-01", clear, "--timeline", "-o", "json"),
		bad("flag", "nodes", "t4-01", clear, "--wave", "2"),
		bad("all-namespaces", "nodes", "t4-01", clear, "-A"),
		bad("scheduler-config", "nodes", "t4-01", clear, "--scheduler-config", "testdata/none.yaml"),
		bad("out", "nodes", "t4-01", clear, "--out", "testdata/none/plan.yaml"),
		bad("out-exists", "nodes", "t4-01", clear, "--out", fleet),
		bad("dry-run", "nodes", "t4-01", clear, "--dry-run=server"),
		bad("timeout", "nodes", "t4-01", clear, "--timeout", "1m"),
		bad("apply", "nodes", "t4-01", clear, "--apply"),
		{Name: "bad-dry-run-value", Args: []string{"nodes", "t4-01", clear, "--apply", "--dry-run=maybe"}},
		{Name: "bad-apply-empty", Args: []string{"--apply="}},
		{Name: "bad-apply-waves", Args: []string{"--apply", "plan.yaml", "--waves", "2"}},
		{Name: "bad-apply-arguments", Args: []string{"--apply=plan.yaml", "nodes", "t4-01"}},
		{Name: "bad-apply-and-rollback", Args: []string{"--apply", "--rollback", "plan.yaml"}},
		{Name: "bad-rollback", Args: []string{"--rollback", "plan.yaml", "--timeout=1m"}},
		{Name: "bad-apply-timeout", Args: []string{"--apply", "plan.yaml", "--timeout=-1s"}},
		{Name: "bad-apply-unsaved", Args: []string{"nodes", "t4-01", clear, "--apply", "--yes"}},
		{Name: "bad-cluster", Args: []string{"nodes", "t4-01", clear, "--server", "https://127.0.0.1:1"}},
		// Plans that are none.
		file("none"),
		file("edited"),
		file("older"),
		file("unsealed"),
		file("other-kind"),
		file("other-version"),
		file("unknown-field"),
		file("no-yaml"),
	}
}

func otherCases() []command.Case {
	return []command.Case{
		{Name: "help", Args: []string{"--help"}},
		{Name: "rollback-older", Args: []string{"--rollback", "testdata/plans/older.yaml", "--dry-run=client"}},
		on(hostile)("hostile-strings", "nodes", "only", clear),
		on("testdata/dumps/forbidden.yaml")("forbidden", "nodes", "only", clear),
		on("testdata/dumps/forbidden.yaml")("forbidden-json", "nodes", "only", clear, "-o", "jsonpath={.unknown}"),
	}
}

func TestMain(m *testing.M) { command.Main(m) }

func TestGolden(t *testing.T) {
	plugin().Golden(t, slices.Concat(planCases(), badCases(), otherCases())...)
}

// TestNamed checks what the help calls the command.
func TestNamed(t *testing.T) { plugin().Named(t) }

// TestTablesFit checks the promise of 80 columns.
func TestTablesFit(t *testing.T) {
	plugin().Fits(t, func(string) bool { return false }, planCases()...)
}

// TestGuide checks what the guide shows.
func TestGuide(t *testing.T) { plugin().Guide(t, "docs/guide/taint-plan.md") }

// TestOut checks that --out saves what -o yaml prints, which --apply can read.
func TestOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.yaml")
	args := []string{"nodes", "t4-01", clear, "--waves", "auto", "--snapshot", fleet}
	if result := plugin().Run(t, "", append(args, "--out", path)...); result.Code != cli.ExitNo {
		t.Fatal(result)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plugin().Run(t, "", append(args, "-o", "yaml")...).Stdout, string(text)); diff != "" {
		t.Errorf("- is printed, + is saved:\n%s", diff)
	}
	if _, err := saved.Read(path, strings.NewReader(string(text))); err != nil {
		t.Error(err)
	}
	if again := plugin().Run(t, "", append(args, "--out", path)...); again.Code != cli.ExitError || !strings.Contains(again.Stderr, " exists") {
		t.Errorf("a plan is overwritten: %s", again)
	}
}

// TestCompletion completes from a dump as it would from a cluster.
func TestCompletion(t *testing.T) {
	completes(t, fleet, map[string]string{
		"":                                      "nodes\n:4\n",
		"nodes\tt4-0":                           "t4-01\nt4-02\nt4-03\nt4-04\nt4-05\nt4-06\n:4\n",
		"nodes\tt4-01\tt4-01":                   ":4\n",
		"nodes\tt4-01\tnvid":                    "nvidia.com/gpu:NoSchedule-\n:4\n",
		"nodes\tcpu-01\tnvid":                   ":4\n",
		"nodes\tcpu-01\ta=b:No":                 "a=b:NoExecute\na=b:NoSchedule\n:4\n",
		"nodes\tcpu-01\ta:NoExecute\tt4":        ":4\n",
		"nodes\t-l\tstowage.example/pool\tv":    "virtual-kubelet.io/provider:NoSchedule-\n:4\n",
		"nodes\tcpu-01\ta:NoExecute\t--waves\t": "auto\n:4\n",
		"--apply\tplan":                         "yaml\nyml\njson\n:8\n",
	})
	completes(t, hostile, map[string]string{"nodes\t": "only\n:4\n", "nodes\tonly\ta:NoExecute\t": ":4\n"})
}

// completes checks what command lines, whose words are divided by tabs, complete to.
func completes(t *testing.T, dump string, lines map[string]string) {
	t.Helper()
	for line, want := range lines {
		args := slices.Concat([]string{"__complete", "--snapshot", dump}, strings.Split(line, "\t"))
		if got := plugin().Run(t, "", args...).Stdout; got != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
	}
}
