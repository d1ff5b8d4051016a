package quota_test

import "github.com/stowage-dev/stowage/test/command"

// setMistakes get one clear line each.
func setMistakes() []command.Case {
	return []command.Case{
		bad("set-snapshot", "set", "nlp", "limits.cpu=1"),
		{Name: "bad-set", Args: []string{"set", "nlp"}},
	}
}
