package quota_test

import "github.com/stowage-dev/stowage/test/command"

// createMistakes get one clear line each.
func createMistakes() []command.Case {
	return []command.Case{
		bad("create-snapshot", "create", "speech", "--hard", "limits.cpu=1"),
		{Name: "bad-create-name", Args: []string{"create", "--hard", "limits.cpu=1"}},
		{Name: "bad-create-hard", Args: []string{"create", "speech", "--hard", "limits.cpu"}},
		{Name: "bad-create-quantity", Args: []string{"create", "speech", "--hard", "limits.cpu=ten"}},
		{Name: "bad-create-twice", Args: []string{"create", "speech", "--hard", "limits.cpu=1,limits.cpu=2"}},
		{Name: "bad-create-time-zone", Args: []string{"create", "speech", "--hard", "limits.cpu=1", "--time-zone", "UTC"}},
		{Name: "bad-create-dry-run", Args: []string{"create", "speech", "--hard", "limits.cpu=1", "--dry-run=maybe"}},
	}
}
