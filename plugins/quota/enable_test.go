package quota_test

import "github.com/stowage-dev/stowage/test/command"

// enableCases show what it means for a namespace to take part, or no part.
func enableCases() []command.Case {
	return []command.Case{
		onGroups("enable", "enable", "lab", "--dry-run=client"),
		onGroups("enable-again", "enable", "vision", "nlp-prod", "--dry-run=client"),
		onGroups("enable-require", "enable", "lab", "--require", "--dry-run=client"),
		onGroups("disable", "disable", "nlp-prod", "web", "--dry-run=client"),
		onGroups("disable-again", "disable", "lab", "--dry-run=client"),
	}
}

// enableMistakes get one clear line each.
func enableMistakes() []command.Case {
	return []command.Case{
		bad("enable-snapshot", "enable", "nlp-prod"),
		bad("enable-name", "enable", "nlp-prd", "--dry-run=client"),
		{Name: "bad-enable", Args: []string{"enable"}},
		{Name: "bad-enable-system", Args: []string{"enable", "kube-system"}},
		{Name: "bad-disable", Args: []string{"disable"}},
	}
}
