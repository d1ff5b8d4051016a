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

// Broken says in a line each which groups hang on no root by what they name themselves;
// those below them do not either.
func (s *State) Broken() []string {
	var lines []string
	for _, group := range s.Snapshot.BizGroupResourceQuotas {
		parent := s.Groups.Group(group.Spec.ParentBizGroup)
		why := s.broken(group)
		if why == "" || parent != nil && !strings.Contains(why, group.Name) {
			continue
		}
		lines = append(lines, fmt.Sprintf("group %s: %s: name one that is there in spec.parentBizGroup of a new group, and move what charges it", group.Name, why))
	}
	return lines
}
