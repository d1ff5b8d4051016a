package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// broken says why a group hangs on no root, which admission allows of none: a parent is
// not there, or its parents lead back to it. Empty for one that does hang on one.
func (s *State) broken(group *quota.Group) string {
	path := []string{group.Name}
	for above := group; above.Spec.ParentBizGroup != ""; {
		name := above.Spec.ParentBizGroup
		if i := slices.Index(path, name); i >= 0 {
			return "its parents are a cycle: " + strings.Join(append(path[i:], name), ", ")
		}
		path = append(path, name)
		if above = s.Groups.Group(name); above == nil {
			return fmt.Sprintf("parent %s is missing", name)
		}
	}
	return ""
}

// Broken says which groups hang on no root by what they name themselves, a line for each
// missing parent and for each cycle; those below them do not either.
func (s *State) Broken() []string {
	const mend = "a group's parent cannot be changed: create another group below one that is there, move what charges this one to it, and delete this one"
	var lines []string
	said := map[string]bool{}
	for _, group := range s.Snapshot.BizGroupResourceQuotas {
		parent := s.Groups.Group(group.Spec.ParentBizGroup)
		why := s.broken(group)
		if why == "" || said[group.Name] || parent != nil && !strings.HasSuffix(why, ", "+group.Name) {
			continue
		}
		for above := parent; above != nil && !said[above.Name]; above = s.Groups.Group(above.Spec.ParentBizGroup) {
			said[above.Name] = true
		}
		lines = append(lines, fmt.Sprintf("group %s: %s: %s", group.Name, why, mend))
	}
	return lines
}
