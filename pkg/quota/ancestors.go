package quota

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// Ancestors are the groups above a group that the tree has, its parent first, each once.
func (t *Tree) Ancestors(group *Group) []*Group {
	var above []*Group
	for {
		parent := t.groups[group.Spec.ParentBizGroup]
		if parent == nil || slices.Contains(above, parent) { // a cycle, which only a broken store can have
			return above
		}
		above, group = append(above, parent), parent
	}
}

// Overcommitted are the keys of the group, hours apart, of which more is used than it
// may, sorted.
func Overcommitted(group *Group) []corev1.ResourceName {
	var keys []corev1.ResourceName
	for key, hard := range group.Spec.Hard {
		if used := group.Status.Used[key]; used.Cmp(hard) > 0 && !IsCash(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// overgrown are the keys of which the group is over its hard, and which grow. What hours
// its own pods overran are no reason to stop those below it.
func overgrown(group *Group, growth corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(Overcommitted(group), func(key corev1.ResourceName) bool {
		_, grows := growth[Canonical(key)]
		return !grows
	})
}

// checkAncestors refuses growth below groups that are over their hard of what grows.
func (t *Tree) checkAncestors(check *report.QuotaCheck, group *Group, growth corev1.ResourceList) {
	if len(growth) == 0 {
		return
	}
	for _, ancestor := range t.Ancestors(group) {
		for _, key := range overgrown(ancestor, growth) {
			needs, left := growth[Canonical(key)], Left(ancestor, key)
			check.Exceeded = append(check.Exceeded, report.QuotaExceeded{
				Group: ancestor.Name, Key: string(key), Needs: needs, Left: left, Short: minus(needs, left), Hard: ancestor.Spec.Hard[key],
			})
			refuse(check, "%s", stopped(ancestor, key))
		}
	}
}

// stopped says that a group is over its hard of a key, and what follows.
func stopped(group *Group, key corev1.ResourceName) string {
	amounts := Amounts(key, group.Status.Used[key], group.Spec.Hard[key])
	return fmt.Sprintf("group %s: %s: %s of %s used: nothing below it grows until it fits", group.Name, key, amounts[0], amounts[1])
}

// idle is what a group has left of a key in any spelling; nil for none, or where it is
// not known.
func idle(group *Group, key corev1.ResourceName) *report.QuotaIdle {
	if closed(group) || !Counted(group) {
		return nil
	}
	own, ok := spelled(group, key)
	if !ok {
		return nil
	}
	left := Left(group, own)
	if left.Sign() <= 0 {
		return nil
	}
	return &report.QuotaIdle{Group: group.Name, Left: left}
}

// idlest is the sibling of group that has most of key left, if any has some. Roots
// are no siblings: nothing can be moved between them.
func (t *Tree) idlest(group *Group, key corev1.ResourceName) *report.QuotaIdle {
	if group.Spec.ParentBizGroup == "" {
		return nil
	}
	var most *report.QuotaIdle
	for _, sibling := range t.children[group.Spec.ParentBizGroup] {
		found := idle(sibling, key)
		if found == nil || sibling.Name == group.Name {
			continue
		}
		if most == nil || found.Left.Cmp(most.Left) > 0 || found.Left.Cmp(most.Left) == 0 && found.Group < most.Group {
			most = found
		}
	}
	return most
}

// remedies say where what is short of a key could come from: out of the parent, by one
// change of the group, or else of a sibling too, where both have enough.
func remedies(exceeded report.QuotaExceeded) string {
	key, text := corev1.ResourceName(exceeded.Key), ""
	var free resource.Quantity
	if parent := exceeded.Parent; parent != nil {
		free = parent.Left.DeepCopy()
		text = fmt.Sprintf("; parent %s has %s left", parent.Group, Amount(key, free))
	}
	if free.Cmp(exceeded.Short) >= 0 || exceeded.Idle == nil {
		return text
	}
	if free.Add(exceeded.Idle.Left); free.Cmp(exceeded.Short) >= 0 {
		text += fmt.Sprintf("; sibling %s has %s idle", exceeded.Idle.Group, Amount(key, exceeded.Idle.Left))
	}
	return text
}
