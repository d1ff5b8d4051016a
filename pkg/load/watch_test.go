package load

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	storagev1beta1 "k8s.io/api/storage/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// row is the kind of that name, of the table.
func row(t *testing.T, group, kind string) snapshot.Kind {
	t.Helper()
	found, ok := snapshot.Known(schema.GroupKind{Group: group, Kind: kind})
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	return found
}

// newStream is a stream that has given out a snapshot of these objects.
func newStream(wake []string, objects ...snapshot.Object) *Stream {
	l := &loader{opts: Options{Now: build.Epoch.UTC}}
	return &Stream{
		opts: WatchOptions{Wake: wake}, loader: l, last: build.Snapshot(objects...), changed: make(chan struct{}, 1),
		changes: map[string]*changes{}, missing: map[string]snapshot.Missing{}, notes: map[string]string{},
	}
}

func names[T metav1.Object](objects []T) []string {
	list := []string{}
	for _, o := range objects {
		list = append(list, o.GetNamespace()+"/"+o.GetName())
	}
	return list
}

// TestChanges applies what happens to pods to a snapshot that others hold.
func TestChanges(t *testing.T) {
	pods := row(t, "", "Pod")
	before := build.Pod("a", "p2").Obj()
	for name, tc := range map[string]struct {
		change func(*Stream)
		want   []string
	}{
		"nothing": {func(*Stream) {}, []string{"a/p1", "a/p2", "b/p1"}},
		"created": {func(s *Stream) { s.change(pods, build.Pod("a", "p3").Obj(), false) }, []string{"a/p1", "a/p2", "a/p3", "b/p1"}},
		"deleted": {func(s *Stream) { s.change(pods, build.Pod("a", "p1").Obj(), true) }, []string{"a/p2", "b/p1"}},
		"created and deleted": {func(s *Stream) {
			s.change(pods, build.Pod("a", "p3").Obj(), false)
			s.change(pods, build.Pod("a", "p3").Obj(), true)
		}, []string{"a/p1", "a/p2", "b/p1"}},
		"deleted and created": {func(s *Stream) {
			s.change(pods, build.Pod("a", "p1").Obj(), true)
			s.change(pods, build.Pod("a", "p1").Obj(), false)
		}, []string{"a/p1", "a/p2", "b/p1"}},
		"of another kind": {func(s *Stream) { s.change(row(t, "", "Node"), build.Node("p1").Obj(), false) }, []string{"a/p1", "a/p2", "b/p1"}},
		"listed anew": {func(s *Stream) {
			s.changes["pods"] = &changes{all: true, objects: map[types.NamespacedName]snapshot.Object{{Namespace: "c", Name: "p"}: build.Pod("c", "p").Obj()}}
			s.change(pods, build.Pod("c", "q").Obj(), false)
		}, []string{"c/p", "c/q"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(nil, build.Pod("a", "p1").Obj(), before, build.Pod("b", "p1").Obj())
			held := s.last
			tc.change(s)
			next := s.take()
			if diff := cmp.Diff(tc.want, names(next.Pods)); diff != "" {
				t.Errorf("pods differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"a/p1", "a/p2", "b/p1"}, names(held.Pods)); diff != "" {
				t.Errorf("a snapshot that was given out has changed (-want +got):\n%s", diff)
			}
			if len(s.changes) > 0 {
				t.Errorf("%d kinds have changed since, want none", len(s.changes))
			}
		})
	}
}

// TestChangesShareObjects holds an object that has not changed once, and replaces one
// that has.
func TestChangesShareObjects(t *testing.T) {
	s := newStream(nil, build.Pod("a", "p1").Obj(), build.Pod("a", "p2").Obj())
	held := s.last
	s.change(row(t, "", "Pod"), build.Pod("a", "p2").Label("app", "b").Obj(), false)
	next := s.take()
	if next.Pods[0] != held.Pods[0] || next.Pods[1].Labels["app"] != "b" || held.Pods[1].Labels["app"] != "" {
		t.Errorf("the unchanged pod is shared: %t; labels of the changed one %v, before %v", next.Pods[0] == held.Pods[0], next.Pods[1].Labels, held.Pods[1].Labels)
	}
}

// TestChangesAreReduced reduces as a load does: an event that explains nothing is none.
func TestChangesAreReduced(t *testing.T) {
	s := newStream(nil)
	s.change(row(t, "", "Event"), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, Reason: "Pulled"}, false)
	pod := build.Pod("a", "p").Obj()
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	s.change(row(t, "", "Pod"), pod, false)
	if next := s.take(); len(next.Events) > 0 || len(next.Pods) != 1 || next.Pods[0].ManagedFields != nil {
		t.Errorf("Events %v, Pods %v; want no event, and a pod without managed fields", next.Events, next.Pods)
	}
}

// TestWake lets only the kinds make a snapshot that were asked for.
func TestWake(t *testing.T) {
	for _, tc := range []struct {
		wake []string
		want bool
	}{{nil, true}, {[]string{"nodes"}, false}, {[]string{"nodes", "pods"}, true}} {
		s := newStream(tc.wake)
		s.change(row(t, "", "Pod"), build.Pod("a", "p").Obj(), false)
		if got := len(s.changed) == 1; got != tc.want {
			t.Errorf("Wake %v: a change of a pod wakes: %t, want %t", tc.wake, got, tc.want)
		}
	}
}

// TestTyped gives the objects of a watch the types of a snapshot.
func TestTyped(t *testing.T) {
	group := build.BizGroup("nlp", "").Hard("limits.cpu=10").Obj()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(group)
	if err != nil {
		t.Fatal(err)
	}
	pool := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "pool"}}}
	for name, tc := range map[string]struct {
		kind         snapshot.Kind
		object, want runtime.Object
	}{
		"as it is":         {row(t, "", "Pod"), build.Pod("a", "p").Obj(), build.Pod("a", "p").Obj()},
		"an older version": {row(t, "storage.k8s.io", "CSIDriver"), &storagev1beta1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "d"}}},
		"a custom kind":    {row(t, stowagev1alpha1.GroupName, "BizGroupResourceQuota"), &unstructured.Unstructured{Object: content}, group},
		"without a type":   {row(t, "karpenter.sh", "NodePool"), pool, pool},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := typed(tc.kind, tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, runtime.Object(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := typed(row(t, "", "Pod"), &metav1.Status{}); err == nil {
		t.Error("a status passes for a pod")
	}
}
