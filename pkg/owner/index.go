package owner

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Ref names an object that makes pods, directly or through others.
type Ref struct{ Kind, Namespace, Name string }

// String is "Kind/name", empty for no object.
func (r Ref) String() string {
	if r.Kind == "" {
		return ""
	}
	return r.Kind + "/" + r.Name
}

// Of names the controller of an object; the zero Ref where nothing has made it.
func Of(object metav1.Object) Ref {
	controller := metav1.GetControllerOfNoCopy(object)
	if controller == nil {
		return Ref{}
	}
	return Ref{controller.Kind, object.GetNamespace(), controller.Name}
}

// Index finds the objects of a snapshot that make pods. It may be used by several
// goroutines at once.
type Index struct {
	snap    *snapshot.Snapshot
	kinds   *workload.Kinds
	objects map[Ref]entry
	// read holds what has been read of objects, by Ref; nil for no workload.
	read sync.Map
}

// entry is an object, and its kind; nil for an object of none of the table.
type entry struct {
	object snapshot.Object
	kind   *workload.Kind
	group  string
}

// NewIndex indexes the workloads of a snapshot, of the kinds of a table, and whatever
// else without a Go type it holds.
func NewIndex(snap *snapshot.Snapshot, kinds *workload.Kinds) *Index {
	x := &Index{snap: snap, kinds: kinds, objects: map[Ref]entry{}}
	for _, object := range snap.Others {
		gvk := object.GroupVersionKind()
		x.add(gvk.Kind, entry{object, kinds.Of(gvk.GroupKind()), gvk.Group})
	}
	for _, kind := range snapshot.Kinds() { // Of equal names, those with a Go type count.
		row := kinds.Of(kind.GroupKind())
		if row == nil || row.Kind == podKind || !kind.Typed() {
			continue
		}
		for _, object := range kind.Objects(snap) {
			x.add(kind.Kind, entry{object, row, kind.Group})
		}
	}
	return x
}

// podKind is the kind whose objects the snapshot finds itself: they are many.
const podKind = "Pod"

func (x *Index) add(kind string, e entry) {
	x.objects[Ref{kind, e.object.GetNamespace(), e.object.GetName()}] = e
}

// Kinds is the table of workload kinds.
func (x *Index) Kinds() *workload.Kinds { return x.kinds }

// Object is the object of that name; nil when the snapshot does not hold it.
func (x *Index) Object(ref Ref) snapshot.Object {
	if ref.Kind == podKind { // A LeaderWorkerSet's leader makes its workers' StatefulSet.
		if pod := x.snap.Pod(ref.Namespace, ref.Name); pod != nil {
			return pod
		}
		return nil
	}
	return x.objects[ref].object
}

// Controller is the object that has made this one; nil when nothing has, or the
// snapshot does not hold it.
func (x *Index) Controller(object metav1.Object) snapshot.Object {
	controller := metav1.GetControllerOfNoCopy(object)
	if controller == nil {
		return nil
	}
	ref := Of(object)
	group := schema.FromAPIVersionAndKind(controller.APIVersion, controller.Kind).Group
	if e, ok := x.objects[ref]; ok && controller.APIVersion != "" && e.group != group {
		return nil // Another's kind of the same name.
	}
	return x.Object(ref)
}

// Workload is the object of that name as its kind reads it; false for one that the
// snapshot does not hold, that makes no pods, or that cannot be read.
func (x *Index) Workload(ref Ref) (*Workload, bool) {
	if read, ok := x.read.Load(ref); ok {
		w, _ := read.(*Workload)
		return w, w != nil
	}
	var w *Workload
	if e, ok := x.objects[ref]; ok && e.kind != nil {
		w, _ = read(x.kinds, e.kind, e.object)
	}
	x.read.Store(ref, w)
	return w, w != nil
}

// Of is the workload that makes a pod itself; false as for Workload.
func (x *Index) Of(pod metav1.Object) (*Workload, bool) {
	if x.Controller(pod) == nil {
		return nil, false
	}
	return x.Workload(Of(pod))
}

// Refs are the names of all objects of the index, by kind, namespace and name.
func (x *Index) Refs() []Ref {
	return slices.SortedFunc(maps.Keys(x.objects), func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// longest bounds chains of owners: longer ones, or loops, do not occur in a real cluster.
const longest = 8

// Top names an object's top owner; the zero Ref when it has none. An owner that the
// snapshot does not hold is a top owner too.
func (x *Index) Top(object metav1.Object) Ref {
	var top Ref
	for range longest {
		ref := Of(object)
		if ref.Kind == "" {
			return top
		}
		top = ref
		next := x.Controller(object)
		if next == nil {
			return top
		}
		object = next
	}
	return top
}

// Owns says whether an object's chain of owners leads to owner.
func (x *Index) Owns(owner Ref, object metav1.Object) bool {
	for range longest {
		ref := Of(object)
		if ref.Kind == "" {
			return false
		}
		if ref == owner {
			return true
		}
		next := x.Controller(object)
		if next == nil {
			return false
		}
		object = next
	}
	return false
}
