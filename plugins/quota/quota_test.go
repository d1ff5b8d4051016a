package quota_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stowage-dev/stowage/plugins/quota"
	"github.com/stowage-dev/stowage/test/command"
)

// groups is the dump that most cases ask about.
const groups = "testdata/groups.yaml"

// plugin is the command under test.
func plugin() command.Plugin { return command.Plugin{Name: "quota", New: quota.NewCommand} }

// onGroups is a case that asks about the groups of the dump.
func onGroups(name string, args ...string) command.Case {
	return command.Case{Name: name, Args: append(args, "--snapshot", groups)}
}

// onParts is a case that asks about parts of counted workloads.
func onParts(name string, args ...string) command.Case {
	return command.Case{Name: name, Args: append(args, "--snapshot", "testdata/dumps/parts.yaml")}
}

func manifest(name string) string { return filepath.Join("testdata", "manifests", name+".yaml") }

func treeCases() []command.Case {
	return []command.Case{
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
		{Name: "tree-without-groups", Args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml"}},
		{Name: "tree-without-groups-name", Args: []string{"tree", "--snapshot", "testdata/dumps/native.yaml", "-o", "name"}},
		{Name: "tree-of-nothing", Args: []string{"tree", "--snapshot", "-"}, Stdin: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"},
		{Name: "tree-forbidden", Args: []string{"tree", "--snapshot", "testdata/dumps/forbidden.yaml"}},
		{Name: "tree-hostile", Args: []string{"tree", "--snapshot", "testdata/dumps/hostile.yaml"}},
		{Name: "tree-cycle", Args: []string{"tree", "a", "--snapshot", "testdata/dumps/hostile.yaml", "--resource", "pods"}},
	}
}

func describeCases() []command.Case {
	return []command.Case{
		onGroups("describe", "describe", "nlp"),
		onGroups("describe-two", "describe", "vision", "ads"),
		onGroups("describe-wide", "describe", "nlp", "-o", "wide"),
		{Name: "describe-hostile", Args: []string{"describe", "a", "--snapshot", "testdata/dumps/hostile.yaml"}},
	}
}

func checkCases() []command.Case {
	return []command.Case{
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
		{Name: "check-stdin", Args: []string{"check", "-f", "-", "--snapshot", groups}, Stdin: pod},
		onGroups("check-own-kind", "check", "-f", manifest("own-kind"), "--workload-kinds", "testdata/kinds.yaml"),
		onParts("check-cron-job-template", "check", "-f", manifest("cron-job-template")),
		onParts("check-part-unlabelled", "check", "-f", manifest("part-unlabelled")),
		onParts("check-part-former", "check", "-f", manifest("part-former")),
		{Name: "check-without-groups", Args: []string{"check", "-f", manifest("deployment"), "--snapshot", "testdata/dumps/native.yaml"}},
	}
}

const pod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "vision", "labels": {"biz.group.resource.quota": "vision"}},
 "spec": {"containers": [{"name": "main", "image": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}}`

func verifyCases() []command.Case {
	drifted := func(name string, args ...string) command.Case {
		return command.Case{Name: name, Args: append(args, "--snapshot", "testdata/dumps/drift.yaml")}
	}
	return []command.Case{
		onGroups("verify", "verify", "--exit-code"),
		drifted("verify-drift", "verify"),
		drifted("verify-drift-exit-code", "verify", "b", "--exit-code"),
		drifted("verify-drift-json", "verify", "-o", "json"),
		drifted("verify-drift-name", "verify", "-o", "name"),
	}
}

// badCases are mistakes: each gets one clear line.
func badCases() []command.Case {
	bad := func(name string, args ...string) command.Case { return onGroups("bad-"+name, args...) }
	return []command.Case{
		{Name: "bad-command", Args: []string{"tre"}},
		bad("group", "tree", "nlpp"),
		bad("groups", "tree", "nlp", "vision"),
		{Name: "bad-no-groups", Args: []string{"tree", "nlp", "--snapshot", "testdata/dumps/native.yaml"}},
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
		{Name: "bad-check-stdin", Args: []string{"check", "-f", "-", "--snapshot", "-"}},
		bad("kinds", "tree", "--workload-kinds", "testdata/none.yaml"),
		bad("kinds-file", "tree", "--workload-kinds", manifest("group")),
		bad("create-snapshot", "create", "speech", "--hard", "limits.cpu=1"),
		bad("set-snapshot", "set", "nlp", "limits.cpu=1"),
		{Name: "bad-create-name", Args: []string{"create", "--hard", "limits.cpu=1"}},
		{Name: "bad-create-hard", Args: []string{"create", "speech", "--hard", "limits.cpu"}},
		{Name: "bad-create-quantity", Args: []string{"create", "speech", "--hard", "limits.cpu=ten"}},
		{Name: "bad-create-twice", Args: []string{"create", "speech", "--hard", "limits.cpu=1,limits.cpu=2"}},
		{Name: "bad-create-time-zone", Args: []string{"create", "speech", "--hard", "limits.cpu=1", "--time-zone", "UTC"}},
		{Name: "bad-create-dry-run", Args: []string{"create", "speech", "--hard", "limits.cpu=1", "--dry-run=maybe"}},
		{Name: "bad-set", Args: []string{"set", "nlp"}},
		{Name: "bad-cluster", Args: []string{"tree", "--server", "https://127.0.0.1:1"}},
		{Name: "bad-dump", Args: []string{"tree", "--snapshot", "testdata/dumps/bad-quantity.yaml"}},
	}
}

func helpCases() []command.Case {
	cases := []command.Case{{Name: "help", Args: []string{"--help"}}, {Name: "help-none", Args: []string{}}}
	for _, name := range []string{"tree", "describe", "check", "create", "set", "verify"} {
		cases = append(cases, command.Case{Name: "help-" + name, Args: []string{name, "--help"}})
	}
	return cases
}

func TestMain(m *testing.M) { command.Main(m) }

func TestGolden(t *testing.T) {
	plugin().Golden(t, slices.Concat(treeCases(), describeCases(), checkCases(), verifyCases(), badCases(), helpCases())...)
}

// TestTablesFit checks the promise of 80 columns.
func TestTablesFit(t *testing.T) {
	none := func(string) bool { return false }
	plugin().Fits(t, none, slices.Concat(treeCases(), describeCases(), checkCases(), verifyCases())...)
}

// TestGuide checks what the guide shows.
func TestGuide(t *testing.T) { plugin().Guide(t, "docs/guide/quota.md") }
