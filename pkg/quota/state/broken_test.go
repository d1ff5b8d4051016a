package state_test

import (
	"slices"
	"testing"
)

// TestBroken names the groups that hang on no root, by what they name themselves.
func TestBroken(t *testing.T) {
	s := newState(
		counted("root", "", "pods=1", "").Obj(), counted("child", "root", "pods=1", "").Obj(),
		counted("orphan", "gone-2023", "pods=1", "").Obj(), counted("below", "orphan", "pods=1", "").Obj(),
		counted("a", "b", "pods=1", "").Obj(), counted("b", "a", "pods=1", "").Obj(), counted("under", "a", "pods=1", "").Obj(), counted("are", "b", "pods=1", "").Obj(),
	)
	tree, err := s.Tree("")
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, item := range tree.Items {
		why[item.Name] = item.Broken
	}
	equal(t, "broken", map[string]string{
		"root": "", "child": "", "orphan": "parent gone-2023 is missing", "below": "parent gone-2023 is missing",
		"a": "its parents are a cycle: a, b, a", "b": "its parents are a cycle: b, a, b", "under": "its parents are a cycle: a, b, a", "are": "its parents are a cycle: b, a, b",
	}, why)
	const mend = ": a group's parent cannot be changed: create another group below one that is there, move what charges this one to it, and delete this one"
	equal(t, "a line each", []string{"group a: its parents are a cycle: a, b, a" + mend, "group orphan: parent gone-2023 is missing" + mend}, slices.Sorted(slices.Values(s.Broken())))
}
