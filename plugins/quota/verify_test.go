package quota_test

import "github.com/stowage-dev/stowage/test/command"

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

// verifyMistakes get one clear line each.
func verifyMistakes() []command.Case {
	return []command.Case{
		bad("verify-group", "verify", "nlpp"),
	}
}
