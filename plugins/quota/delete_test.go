package quota_test

import "github.com/stowage-dev/stowage/test/command"

// deleteMistakes get one clear line each.
func deleteMistakes() []command.Case {
	return []command.Case{
		bad("delete-snapshot", "delete", "nlp"),
		{Name: "bad-delete", Args: []string{"delete"}},
		{Name: "bad-delete-two", Args: []string{"delete", "nlp", "vision"}},
	}
}
