package quota

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// store is one kind's door into the View: what a reflector calls. An object and
// how far its kind was seen go in together.
type store struct {
	view     *View
	resource string
	put      func(obj runtime.Object, live bool, t *touched)
	remove   func(uid types.UID, obj runtime.Object, live bool, t *touched)
}

var (
	_ cache.ReflectorStore         = &store{}
	_ cache.ResourceVersionUpdater = &store{}
)

// workloadStore takes in the objects of one workload kind.
func (v *View) workloadStore(kind *workload.Kind) *store {
	return &store{
		view:     v,
		resource: kind.GroupResource().String(),
		put: func(obj runtime.Object, live bool, t *touched) {
			v.putWorkload(obj, v.read(kind, obj), live, t)
		},
		remove: v.removeWorkload,
	}
}

// groupStore takes in the groups.
func (v *View) groupStore() *store {
	return &store{
		view:     v,
		resource: quota.GroupResource,
		put:      func(obj runtime.Object, _ bool, t *touched) { v.putGroup(obj.(*quota.Group), t) },
		remove:   func(uid types.UID, _ runtime.Object, _ bool, t *touched) { v.removeGroup(uid, t) },
	}
}

// nodeStore takes in the nodes.
func (v *View) nodeStore() *store {
	return v.namedStore("nodes", func(obj runtime.Object) bool {
		node := obj.(*corev1.Node)
		return v.index.PutNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels}, Spec: corev1.NodeSpec{Taints: node.Spec.Taints},
		})
	}, func(name types.NamespacedName) { v.index.RemoveNode(name.Name) })
}

// limitsStore takes in the LimitRanges, classesStore the runtime classes: both add to the
// pods of templates.
func (v *View) limitsStore() *store {
	return v.namedStore("limitranges", func(obj runtime.Object) bool {
		v.index.PutLimitRange(obj.(*corev1.LimitRange))
		return true
	}, func(name types.NamespacedName) { v.index.RemoveLimitRange(name.Namespace, name.Name) })
}

func (v *View) classesStore() *store {
	return v.namedStore("runtimeclasses.node.k8s.io", func(obj runtime.Object) bool {
		v.index.PutRuntimeClass(obj.(*nodev1.RuntimeClass))
		return true
	}, func(name types.NamespacedName) { v.index.RemoveRuntimeClass(name.Name) })
}

// namedStore takes in the objects of a kind on which charges depend, and which the index
// knows by name. One that is made anew has another UID, and the old one's end may be told
// after it. put says whether a charge may be another.
func (v *View) namedStore(resource string, put func(runtime.Object) bool, remove func(types.NamespacedName)) *store {
	named := map[types.NamespacedName]types.UID{}
	return &store{
		view:     v,
		resource: resource,
		put: func(obj runtime.Object, _ bool, t *touched) {
			object := obj.(metav1.Object)
			named[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}] = object.GetUID()
			if put(obj) {
				t.add(v.index.Groups()...)
			}
		},
		remove: func(uid types.UID, _ runtime.Object, _ bool, t *touched) {
			for name, is := range named {
				if is == uid {
					remove(name)
					delete(named, name)
				}
			}
			t.add(v.index.Groups()...)
		},
	}
}

// read reads an object as a workload, by its metadata alone where that is enough. One that
// cannot be read charges what it did when it could be (the webhook refuses such, so it was
// there before), and the log says so.
func (v *View) read(kind *workload.Kind, obj runtime.Object) *workload.Workload {
	object, err := meta.Accessor(obj)
	if err != nil {
		return &workload.Workload{Kind: kind}
	}
	w := kind.Meta(object)
	if !quota.Whole(w) {
		return w
	}
	full, err := kind.Read(obj)
	if err != nil {
		v.log.Error(err, "A workload cannot be read and is charged as before", "resource", kind.GroupResource().String(), "namespace", w.Namespace, "name", w.Name, "group", w.Group)
		if old := v.index.Get(w.UID); old != nil {
			w.PodSets, w.Suspended, w.Finished, w.Older = old.PodSets, old.Suspended, old.Finished, old.Older
		}
		return w
	}
	if kind.IsPod() {
		slim(full.PodSets)
	}
	return full
}

// slim leaves of the template of a pod what says what it charges, as the view holds all
// pods.
func slim(pod []workload.PodSet) {
	for i := range pod {
		spec := &pod[i].Template.Spec
		pod[i].Template = &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: pod[i].Template.Labels},
			Spec: corev1.PodSpec{
				Containers:     slimContainers(spec.Containers),
				InitContainers: slimContainers(spec.InitContainers),
				Overhead:       spec.Overhead,
				Resources:      spec.Resources,
			},
		}
	}
}

func slimContainers(containers []corev1.Container) []corev1.Container {
	if len(containers) == 0 {
		return nil
	}
	out := make([]corev1.Container, len(containers))
	for i, container := range containers {
		out[i] = corev1.Container{Name: container.Name, Resources: container.Resources, RestartPolicy: container.RestartPolicy}
	}
	return out
}

// Add implements cache.ReflectorStore.
func (s *store) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *store) Update(obj any) error {
	object, identity, err := accept(obj)
	if err != nil {
		return err
	}
	s.update(func(p *progress, t *touched) {
		live := p.listed && quota.Newer(identity.GetResourceVersion(), p.head)
		p.saw(identity.GetResourceVersion())
		p.uids.Insert(identity.GetUID())
		s.put(object, live, t)
	})
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *store) Delete(obj any) error {
	object, identity, err := accept(obj)
	if err != nil {
		return err
	}
	s.update(func(p *progress, t *touched) {
		live := p.listed && quota.Newer(identity.GetResourceVersion(), p.head)
		p.saw(identity.GetResourceVersion())
		p.uids.Delete(identity.GetUID())
		s.remove(identity.GetUID(), object, live, t)
	})
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *store) Replace(list []any, version string) error {
	s.update(func(p *progress, t *touched) {
		gone := p.uids
		p.uids = sets.New[types.UID]()
		for _, obj := range list {
			object, identity, err := accept(obj)
			if err != nil {
				continue // a list of one kind holds nothing else
			}
			gone.Delete(identity.GetUID())
			p.uids.Insert(identity.GetUID())
			p.saw(identity.GetResourceVersion())
			s.put(object, false, t)
		}
		for uid := range gone {
			s.remove(uid, nil, true, t)
		}
		p.advance(version)
		if !p.listed {
			p.listed = true
			t.add(s.view.tree.Names()...)
		}
	})
	return nil
}

// update runs do unless the kind was dropped meanwhile.
func (s *store) update(do func(*progress, *touched)) {
	s.view.update(func(t *touched) {
		if p := s.view.progress[s.resource]; p != nil {
			do(p, t)
		}
	})
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (s *store) Resync() error { return nil }

// UpdateResourceVersion implements cache.ResourceVersionUpdater: nothing of the kind
// has changed up to that version but what has come in.
func (s *store) UpdateResourceVersion(version string) {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	if p := s.view.progress[s.resource]; p != nil {
		p.advance(version)
	}
}

// saw notes the version of something seen.
func (p *progress) saw(version string) {
	p.advance(version)
	if quota.Newer(version, p.latest) {
		p.latest = version
	}
}

// advance notes that nothing up to version is missing.
func (p *progress) advance(version string) {
	p.news = time.Now()
	if quota.Newer(version, p.version) {
		p.version = version
	}
}

func accept(obj any) (runtime.Object, metav1.Object, error) {
	object, ok := obj.(runtime.Object)
	if !ok {
		return nil, nil, fmt.Errorf("%T is no API object", obj)
	}
	identity, err := meta.Accessor(object)
	return object, identity, err
}
