package quota

import (
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// groups are the groups as last seen, by watch or by own write. Groups in it are
// shared and must not be changed. Safe for concurrent use.
type groups struct {
	mu   sync.RWMutex
	tree *quota.Tree
}

func newGroups() *groups { return &groups{tree: quota.NewTree(nil)} }

// get returns the group of that name, or nil.
func (g *groups) get(name string) *quota.Group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.tree.Group(name)
}

// newerThan says whether a later state of the group is known than that one.
func (g *groups) newerThan(group *quota.Group) bool {
	known := g.get(group.Name)
	return known != nil && later(known, group)
}

// put takes in a group's state, unless a later one is known.
func (g *groups) put(group *quota.Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.tree.Group(group.Name); known == nil || !later(known, group) {
		g.tree.Put(group)
	}
}

// remove takes in that a group is gone, group being its last state.
func (g *groups) remove(group *quota.Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.tree.Group(group.Name); known != nil && !later(known, group) {
		g.tree.Remove(group.Name)
	}
}

// allowing are the names of the groups that allow the namespace.
func (g *groups) allowing(namespace string) []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.tree.Allowing(namespace)
}

// above are the group's ancestors, its parent first.
func (g *groups) above(group *quota.Group) []*quota.Group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.tree.Ancestors(group)
}

// around returns a tree with what a refusal of the named group's may tell of: its
// ancestors and siblings or, where group is nil, all groups that there are. group takes the place
// of what is known under that name.
func (g *groups) around(name string, group *quota.Group) *quota.Tree {
	g.mu.RLock()
	defer g.mu.RUnlock()
	tree := quota.NewTree(nil)
	if group == nil {
		for _, other := range g.tree.Names() {
			tree.Put(g.tree.Group(other))
		}
		tree.Remove(name)
		return tree
	}
	for _, other := range append(g.tree.Ancestors(group), g.tree.Children(group.Spec.ParentBizGroup)...) {
		tree.Put(other)
	}
	tree.Put(group)
	return tree
}

// later says whether a is a later version than b. Versions that cannot be compared
// are not.
func later(a, b *quota.Group) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// handler feeds g from an informer.
func (g *groups) handler() toolscache.ResourceEventHandler {
	put := func(obj any) {
		if group, ok := obj.(*quota.Group); ok {
			g.put(group)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, obj any) { put(obj) },
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if group, ok := obj.(*quota.Group); ok {
				g.remove(group)
			}
		},
	}
}
