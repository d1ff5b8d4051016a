package quota_test

import "github.com/stowage-dev/stowage/test/command"

// onParts is a case that asks about parts of counted workloads.
func onParts(name string, args ...string) command.Case {
	return command.Case{Name: name, Args: append(args, "--snapshot", "testdata/dumps/parts.yaml")}
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

// checkMistakes get one clear line each.
func checkMistakes() []command.Case {
	return []command.Case{
		bad("check", "check"),
		bad("check-both", "check", "deploy/web", "-f", manifest("deployment")),
		bad("check-no-replicas", "check", "deploy/tokenizer"),
		bad("check-ask-server", "check", "deploy/tokenizer", "--replicas", "1", "--ask-server"),
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
	}
}
