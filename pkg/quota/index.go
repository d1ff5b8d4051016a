package quota

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
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
	limits  map[string]map[string]*corev1.LimitRange // by namespace and name
	classes map[string]*nodev1.RuntimeClass
}

// entry is one object and its charges, computed when first asked for.
type entry struct {
	*workload.Workload
	charges map[bool]corev1.ResourceList // by whether surge counts
	amounts corev1.ResourceList          // of a pod
}

// deepest is how many makers of makers are looked for: more are a circle.
const deepest = 8

// NewIndex returns an empty index of workloads of these kinds.
func NewIndex(kinds *workload.Kinds) *Index {
	return &Index{
		kinds:   kinds,
		objects: map[types.UID]*entry{},
		groups:  map[string]map[types.UID]*entry{},
		made:    map[types.UID]map[types.UID]*entry{},
		nodes:   map[string]*corev1.Node{},
		limits:  map[string]map[string]*corev1.LimitRange{},
		classes: map[string]*nodev1.RuntimeClass{},
	}
}

// Put adds w, or replaces the workload of its UID, and returns the one replaced.
func (ix *Index) Put(w *workload.Workload) (old *workload.Workload) {
	old = ix.Remove(w.UID)
	e := &entry{Workload: w, charges: map[bool]corev1.ResourceList{}}
	ix.objects[w.UID] = e
	ix.recountMakers(e)
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
	ix.recountMakers(e)
	delete(ix.objects, uid)
	remove(ix.groups, e.Group, uid)
	if e.Owner != nil {
		remove(ix.made, e.Owner.UID, uid)
	}
	return e.Workload
}

// Made are the objects that the object of that UID made, or would have made if it were
// there, in no order.
func (ix *Index) Made(uid types.UID) []*workload.Workload {
	var made []*workload.Workload
	for _, e := range ix.made[uid] {
		if maker, unseen := ix.maker(e.Workload); maker != nil || unseen {
			made = append(made, e.Workload)
		}
	}
	return made
}

// recountMakers forgets the charges of what made e, itself or through others.
func (ix *Index) recountMakers(e *entry) {
	for range deepest {
		if e, _ = ix.maker(e.Workload); e == nil {
			return
		}
		clear(e.charges)
	}
}

// maker is the object that made w; nil for none. It is the one that w's controller
// reference names, where the two agree in UID, namespace, name and group-kind and
// objects of its kind make such as w: else w was made by nobody. A UID alone says
// nothing, as everybody may know it. A pod makes pods for what made the pod itself (a
// Spark application's driver makes its executors); by itself it makes none. unseen says
// that such an object may be there and was not seen.
func (ix *Index) maker(w *workload.Workload) (maker *entry, unseen bool) {
	if w.Owner == nil || !ix.kinds.Makes(workload.OwnerKind(w.Owner), w.Kind.GroupKind()) {
		return nil, false
	}
	owner := ix.objects[w.Owner.UID]
	if owner == nil {
		return nil, true
	}
	if !owner.IsNamed(w.Namespace, w.Owner) {
		return nil, false
	}
	if podMakesPod(w) {
		if owner.Owner == nil || podMakesPod(owner.Workload) {
			return nil, false
		}
		if above, unseen := ix.maker(owner.Workload); above == nil {
			return nil, unseen
		}
	}
	return owner, false
}

// podMakesPod says whether w is a pod, and another pod its maker by its own word.
func podMakesPod(w *workload.Workload) bool {
	return w.Kind.IsPod() && w.Owner != nil && workload.OwnerKind(w.Owner) == w.Kind.GroupKind()
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

// PutLimitRange adds a LimitRange, or replaces the one of its name.
func (ix *Index) PutLimitRange(limits *corev1.LimitRange) {
	if ix.limits[limits.Namespace] == nil {
		ix.limits[limits.Namespace] = map[string]*corev1.LimitRange{}
	}
	ix.limits[limits.Namespace][limits.Name] = limits
	ix.recount(func(e *entry) bool { return e.Namespace == limits.Namespace })
}

// RemoveLimitRange removes a LimitRange.
func (ix *Index) RemoveLimitRange(namespace, name string) {
	delete(ix.limits[namespace], name)
	ix.recount(func(e *entry) bool { return e.Namespace == namespace })
}

// PutRuntimeClass adds a runtime class, or replaces the one of its name.
func (ix *Index) PutRuntimeClass(class *nodev1.RuntimeClass) {
	ix.classes[class.Name] = class
	ix.recount(func(*entry) bool { return true })
}

// RemoveRuntimeClass removes the runtime class of that name.
func (ix *Index) RemoveRuntimeClass(name string) {
	delete(ix.classes, name)
	ix.recount(func(*entry) bool { return true })
}

// Defaults are what the API server adds to the pods of a namespace's templates. They must
// not be changed, and hold until the index does.
func (ix *Index) Defaults(namespace string) workload.Defaults {
	defaults := workload.Defaults{Classes: ix.classes}
	for _, name := range slices.Sorted(maps.Keys(ix.limits[namespace])) {
		defaults.Limits = append(defaults.Limits, ix.limits[namespace][name])
	}
	return defaults
}

// recount forgets the charges of the workloads with a group that are such.
func (ix *Index) recount(such func(*entry) bool) (found bool) {
	for _, members := range ix.groups {
		for _, e := range members {
			if such(e) {
				clear(e.charges)
				found = true
			}
		}
	}
	return found
}

// recountPerNode forgets the charges of workloads with a pod on each node, and says
// whether there is one.
func (ix *Index) recountPerNode() (found bool) {
	return ix.recount(func(e *entry) bool { return e.PerNode() })
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

// Whole says whether an index needs the whole of an object whose metadata is w: of one
// with a group, and of every pod, as it may be part of a workload that has one.
func Whole(w *workload.Workload) bool { return w.Group != "" || w.Kind.IsPod() }

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
		opts := Options{Surge: surge, Made: ix.parts(e), Defaults: ix.Defaults(e.Namespace)}
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
// pods among w and the objects that made it; nil for none. broken says that some maker
// was not there, so that there may be more. Objects that have made each other, which
// no controller does, are each charged as themselves.
func (ix *Index) Charger(w *workload.Workload) (charger *workload.Workload, broken bool) {
	self := charged(w)
	charger = self
	for range deepest {
		maker, unseen := ix.maker(w)
		if maker == nil {
			return charger, unseen
		}
		forOther := podMakesPod(w)
		w = maker.Workload
		if top := charged(w); top != nil && !forOther {
			charger = top
		}
	}
	return self, false
}

// charged is w, if it has a group and pods.
func charged(w *workload.Workload) *workload.Workload {
	if w.Group == "" || len(w.PodSets) == 0 {
		return nil
	}
	return w
}

func compareWorkloads(a, b *workload.Workload) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind.Kind, b.Kind.Kind), cmp.Compare(a.Name, b.Name))
}
