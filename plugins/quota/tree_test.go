package quota_test

import "github.com/stowage-dev/stowage/test/command"

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

// treeMistakes get one clear line each.
func treeMistakes() []command.Case {
	return []command.Case{
		bad("group", "tree", "nlpp"),
		bad("groups", "tree", "nlp", "vision"),
		bad("resource", "tree", "--resource", "limits.cp"),
		bad("over", "tree", "--over", "lots"),
		bad("watch", "tree", "-w"),
	}
}
