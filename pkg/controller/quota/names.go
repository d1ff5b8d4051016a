package quota

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// names finds objects by what they are called. Of a name that was given anew, the later
// object is found.
type names map[named]types.UID

// named is what an object is called.
type named struct {
	kind            schema.GroupKind
	namespace, name string
}

func nameOf(w *workload.Workload) named { return named{w.Kind.GroupKind(), w.Namespace, w.Name} }

func (n names) put(w *workload.Workload) { n[nameOf(w)] = w.UID }

func (n names) remove(w *workload.Workload) {
	if n[nameOf(w)] == w.UID {
		delete(n, nameOf(w))
	}
}

// Named returns the object of that kind, namespace and name as Lookup does, or nil.
func (v *View) Named(kind *workload.Kind, namespace, name string) *workload.Workload {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.index.Get(v.names[named{kind.GroupKind(), namespace, name}])
}
