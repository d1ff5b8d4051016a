package quota

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Group is a business group.
type Group = stowagev1alpha1.BizGroupResourceQuota

// Tree is the groups by name and by parent. Groups are shared and must not be
// changed (DeepCopy first). Not safe for concurrent use.
type Tree struct {
	groups   map[string]*Group
	children map[string]map[string]*Group
}

// NewTree returns the tree of groups.
func NewTree(groups []*Group) *Tree {
	t := &Tree{groups: make(map[string]*Group, len(groups)), children: map[string]map[string]*Group{}}
	for _, group := range groups {
		t.Put(group)
	}
	return t
}

// Put adds the group, or replaces the one of its name.
func (t *Tree) Put(group *Group) {
	t.Remove(group.Name)
	t.groups[group.Name] = group
	siblings := t.children[group.Spec.ParentBizGroup]
	if siblings == nil {
		siblings = map[string]*Group{}
		t.children[group.Spec.ParentBizGroup] = siblings
	}
	siblings[group.Name] = group
}

// Remove removes the group of that name, if there is one.
func (t *Tree) Remove(name string) {
	if group := t.groups[name]; group != nil {
		delete(t.groups, name)
		delete(t.children[group.Spec.ParentBizGroup], name)
	}
}

// Group returns the group of that name, or nil.
func (t *Tree) Group(name string) *Group { return t.groups[name] }

// Names are all groups' names, sorted.
func (t *Tree) Names() []string { return slices.Sorted(maps.Keys(t.groups)) }

// Allowing are the names, sorted, of the groups that workloads of the namespace may be
// tied to by spec.allow; those that limit nothing, or are being deleted, are none to name.
func (t *Tree) Allowing(namespace string) []string {
	var names []string
	for name, group := range t.groups {
		if len(group.Spec.Hard) > 0 && !closed(group) && Allows(group, namespace) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Children are the groups whose parent is the named group, by name.
func (t *Tree) Children(name string) []*Group {
	children := t.children[name]
	sorted := make([]*Group, 0, len(children))
	for _, child := range slices.Sorted(maps.Keys(children)) {
		sorted = append(sorted, children[child])
	}
	return sorted
}

// Roots are the groups without a parent, and those whose parent is not there, by name.
func (t *Tree) Roots() []*Group {
	var roots []*Group
	for _, name := range t.Names() {
		if group := t.groups[name]; t.groups[group.Spec.ParentBizGroup] == nil {
			roots = append(roots, group)
		}
	}
	return roots
}

// ChildrenHard is the sum of the children's hard, by canonical key.
func (t *Tree) ChildrenHard(name string) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, child := range t.children[name] {
		add(sum, CanonicalList(child.Spec.Hard))
	}
	return sum
}

// Left is what the group has left of a key of its hard: hard - used, below zero
// when it is overcommitted.
func Left(group *Group, key corev1.ResourceName) resource.Quantity {
	return minus(group.Spec.Hard[key], group.Status.Used[key])
}

// spelled is key as the group's hard has it: "cpu" for "requests.cpu".
func spelled(group *Group, key corev1.ResourceName) (corev1.ResourceName, bool) {
	for own := range group.Spec.Hard {
		if Canonical(own) == Canonical(key) {
			return own, true
		}
	}
	return "", false
}
