package quota

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// Index holds a cluster's workloads and what they charge, by group. Objects
// without a group are held by their metadata alone: they lead from a pod to the
// workload that it is part of. Not safe for concurrent use.
type Index struct {
	kinds   *workload.Kinds
	objects map[types.UID]*entry
	groups  map[string]map[types.UID]*entry
	made    map[types.UID]map[types.UID]*entry // by their controller
	nodes   map[string]*corev1.Node
}

// entry is one object and its charges, computed when first asked for.
type entry struct {
	*workload.Workload
	charges map[bool]corev1.ResourceList // by whether surge counts
}

// NewIndex returns an empty index of workloads of these kinds.
func NewIndex(kinds *workload.Kinds) *Index {
	return &Index{
		kinds:   kinds,
		objects: map[types.UID]*entry{},
		groups:  map[string]map[types.UID]*entry{},
		made:    map[types.UID]map[types.UID]*entry{},
		nodes:   map[string]*corev1.Node{},
	}
}

// Put adds w, or replaces the workload of its UID, and returns the one replaced.
func (ix *Index) Put(w *workload.Workload) (old *workload.Workload) {
	old = ix.Remove(w.UID)
	e := &entry{Workload: w, charges: map[bool]corev1.ResourceList{}}
	ix.objects[w.UID] = e
	if w.Owner != nil {
		insert(ix.made, w.Owner.UID, e)
	}
	if w.Group != "" {
		insert(ix.groups, w.Group, e)
	}
	return old
}

func insert[K comparable](sets map[K]map[types.UID]*entry, key K, e *entry) {
	if sets[key] == nil {
		sets[key] = map[types.UID]*entry{}
	}
	sets[key][e.UID] = e
}

func remove[K comparable](sets map[K]map[types.UID]*entry, key K, uid types.UID) {
	delete(sets[key], uid)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}

// Remove removes the workload of that UID and returns it, if it is there.
func (ix *Index) Remove(uid types.UID) *workload.Workload {
	e := ix.objects[uid]
	if e == nil {
		return nil
	}
	delete(ix.objects, uid)
	remove(ix.groups, e.Group, uid)
	if e.Owner != nil {
		remove(ix.made, e.Owner.UID, uid)
	}
	return e.Workload
}

// Made are the objects whose controller has that UID, in no order.
func (ix *Index) Made(uid types.UID) []*workload.Workload {
	var made []*workload.Workload
	for _, e := range ix.made[uid] {
		made = append(made, e.Workload)
	}
	return made
}

// Get returns the workload of that UID, or nil.
func (ix *Index) Get(uid types.UID) *workload.Workload {
	if e := ix.objects[uid]; e != nil {
		return e.Workload
	}
	return nil
}

// PutNode adds a node, or replaces the one of its name, and says whether that may
// change a charge: what a pod on each node is charged depends on labels and taints.
func (ix *Index) PutNode(node *corev1.Node) (changed bool) {
	old := ix.nodes[node.Name]
	ix.nodes[node.Name] = node
	if old != nil && maps.Equal(old.Labels, node.Labels) && slices.EqualFunc(old.Spec.Taints, node.Spec.Taints, sameTaint) {
		return false
	}
	return ix.recountPerNode()
}

func sameTaint(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }

// RemoveNode removes the node of that name.
func (ix *Index) RemoveNode(name string) {
	delete(ix.nodes, name)
	ix.recountPerNode()
}

// recountPerNode forgets the charges of workloads with a pod on each node, and says
// whether there is one.
func (ix *Index) recountPerNode() (found bool) {
	for _, members := range ix.groups {
		for _, e := range members {
			if e.PerNode() {
				clear(e.charges)
				found = true
			}
		}
	}
	return found
}

// Nodes are the nodes, by name.
func (ix *Index) Nodes() []*corev1.Node {
	nodes := make([]*corev1.Node, 0, len(ix.nodes))
	for _, name := range slices.Sorted(maps.Keys(ix.nodes)) {
		nodes = append(nodes, ix.nodes[name])
	}
	return nodes
}

// Groups are the names of the groups that some object is tied to, sorted.
func (ix *Index) Groups() []string { return slices.Sorted(maps.Keys(ix.groups)) }

// Charged is a counted workload and what it charges its group.
type Charged struct {
	*workload.Workload
	Charge corev1.ResourceList
}

// Workloads are the group's counted workloads, by namespace, kind and name.
func (ix *Index) Workloads(group *Group) []Charged {
	var charged []Charged
	for _, e := range ix.groups[group.Name] {
		if ix.counted(e) {
			charged = append(charged, Charged{Workload: e.Workload, Charge: ix.charge(e, group)})
		}
	}
	slices.SortFunc(charged, func(a, b Charged) int { return compareWorkloads(a.Workload, b.Workload) })
	return charged
}

// SelfUsed is what the group's counted workloads charge, by canonical key.
func (ix *Index) SelfUsed(group *Group) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, e := range ix.groups[group.Name] {
		if ix.counted(e) {
			add(sum, ix.charge(e, group))
		}
	}
	return sum
}

// Len is the number of workloads that charge the group something.
func (ix *Index) Len(group *Group) int {
	n := 0
	for _, e := range ix.groups[group.Name] {
		if ix.counted(e) && len(ix.charge(e, group)) > 0 {
			n++
		}
	}
	return n
}

func (ix *Index) charge(e *entry, group *Group) corev1.ResourceList {
	surge := countsSurge(group)
	charge, ok := e.charges[surge]
	if !ok {
		opts := Options{Surge: surge}
		if e.PerNode() {
			opts.Nodes = ix.Nodes()
		}
		charge = Charge(e.Workload, opts)
		e.charges[surge] = charge
	}
	return charge
}

// counted says whether the object charges its group itself: it has pods, and no
// counted workload made it.
func (ix *Index) counted(e *entry) bool {
	charger, _ := ix.Charger(e.Workload)
	return charger != nil && charger.UID == e.UID
}

// Counted says whether the object of that UID charges its group itself.
func (ix *Index) Counted(uid types.UID) bool {
	e := ix.objects[uid]
	return e != nil && ix.counted(e)
}

// Charger is the workload that w is charged as: the topmost one with a group and
// pods among w and the objects that made it; nil for none. Only an object whose
// kind makes w's kind has made it: an owner reference to anything else excuses
// nothing. broken says that some maker was not there, so that there may be more.
func (ix *Index) Charger(w *workload.Workload) (charger *workload.Workload, broken bool) {
	const deepest = 8 // more owners of owners are a cycle
	for range deepest {
		if w.Group != "" && len(w.PodSets) > 0 {
			charger = w
		}
		if w.Owner == nil {
			break
		}
		owner := ix.objects[w.Owner.UID]
		if owner == nil {
			return charger, ix.kinds.Makes(workload.OwnerKind(w.Owner), w.Kind.GroupKind())
		}
		if !ix.kinds.Makes(owner.Kind.GroupKind(), w.Kind.GroupKind()) {
			break
		}
		w = owner.Workload
	}
	return charger, false
}

func compareWorkloads(a, b *workload.Workload) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind.Kind, b.Kind.Kind), cmp.Compare(a.Name, b.Name))
}
