package quota_test

import "github.com/stowage-dev/stowage/test/command"

func describeCases() []command.Case {
	return []command.Case{
		onGroups("describe", "describe", "nlp"),
		onGroups("describe-two", "describe", "vision", "ads"),
		onGroups("describe-wide", "describe", "nlp", "-o", "wide"),
		{Name: "describe-hostile", Args: []string{"describe", "a", "--snapshot", "testdata/dumps/hostile.yaml"}},
	}
}

// describeMistakes get one clear line each.
func describeMistakes() []command.Case {
	return []command.Case{
		bad("describe", "describe"),
		bad("describe-group", "describe", "visoin"),
		bad("describe-output", "describe", "nlp", "-o", "json"),
	}
}
