package agree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/test/lab"
)

// requests bounds the API requests under way at once.
const requests = 8

// world is the control plane's content as a case defines it.
type world struct {
	lab     *lab.Lab
	config  *rest.Config
	kinds   []string // the resources that snapshots are loaded of
	dynamic dynamic.Interface
	typed   kubernetes.Interface
	pods    *podWatch
	// kubeconfig and bin are for commands: the test's own user, the lab's kubectl.
	kubeconfig, bin string
	// slept counts the commands after which the scheduler did not look at the
	// pending pod again, where a copy of it was bound at once.
	slept int

	// defined are the case's objects, live what the API server made of them, both
	// by key.
	defined map[string]snapshot.Object
	live    map[string]snapshot.Object
}

// served is how the API serves a kind.
type served struct {
	schema.GroupVersionKind
	name       string
	namespaced bool
}

// runtimeClasses carry a pod's overhead; no snapshot holds them, as a pod does.
var runtimeClasses = served{nodev1.SchemeGroupVersion.WithKind("RuntimeClass"), "runtimeclasses", false}

// kindOf says how the API serves an object's kind.
func kindOf(o snapshot.Object) (served, error) {
	if _, ok := o.(*nodev1.RuntimeClass); ok {
		return runtimeClasses, nil
	}
	for _, k := range snapshot.Kinds() {
		if reflect.TypeOf(k.New()) == reflect.TypeOf(o) {
			return served{k.GroupVersionKind, k.Resource, k.Namespaced}, nil
		}
	}
	return served{}, fmt.Errorf("%T %s: a case cannot hold this kind", o, o.GetName())
}

// keyOf is Kind/name or Kind/namespace/name, as in a remedy's changes.
func keyOf(o snapshot.Object) string {
	kind, err := kindOf(o)
	if err != nil {
		return fmt.Sprintf("%T/%s", o, o.GetName())
	}
	if kind.namespaced {
		return kind.Kind + "/" + o.GetNamespace() + "/" + o.GetName()
	}
	return kind.Kind + "/" + o.GetName()
}

// resources is the client for a kind's objects in a namespace.
func (w *world) resources(kind served, namespace string) dynamic.ResourceInterface {
	resources := w.dynamic.Resource(kind.GroupVersion().WithResource(kind.name))
	if kind.namespaced {
		return resources.Namespace(namespace)
	}
	return resources
}

// stages orders creation: a volume names its claim's UID, a pod's priority comes
// from its class, a device claim's reservations name pods' UIDs.
func stage(o snapshot.Object) int {
	switch o.(type) {
	case *corev1.Namespace:
		return 0
	case *corev1.PersistentVolume, *corev1.Pod:
		return 2
	case *resourcev1.ResourceClaim:
		return 3
	}
	return 1
}

const stages = 4

// build makes the cluster hold exactly these objects, besides the shared ones.
func (w *world) build(ctx context.Context, objects []snapshot.Object) error {
	if err := w.clear(ctx); err != nil {
		return err
	}
	return w.add(ctx, objects)
}

// add creates objects and keeps them as defined.
func (w *world) add(ctx context.Context, objects []snapshot.Object) error {
	for _, o := range objects {
		w.defined[keyOf(o)] = o
	}
	for s := range stages {
		batch := slices.DeleteFunc(slices.Clone(objects), func(o snapshot.Object) bool { return stage(o) != s })
		made := make([]snapshot.Object, len(batch))
		err := parallel(ctx, len(batch), func(ctx context.Context, i int) (err error) {
			made[i], err = w.create(ctx, w.linked(batch[i]))
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range made {
			w.live[keyOf(o)] = o
		}
	}
	return nil
}

// linked returns a copy of a defined object with the UIDs of the live objects
// that it refers to.
func (w *world) linked(o snapshot.Object) snapshot.Object {
	o = o.DeepCopyObject().(snapshot.Object)
	uid := func(kind, namespace, name string) types.UID {
		if live, ok := w.live[kind+"/"+namespace+"/"+name]; ok {
			return live.GetUID()
		}
		return "00000000-0000-0000-0000-000000000000"
	}
	switch o := o.(type) {
	case *corev1.Pod:
		unmerge(&o.Spec)
	case *corev1.PersistentVolume:
		if ref := o.Spec.ClaimRef; ref != nil {
			ref.UID = uid("PersistentVolumeClaim", ref.Namespace, ref.Name)
			ref.ResourceVersion = ""
		}
	case *resourcev1.ResourceClaim:
		for i := range o.Status.ReservedFor {
			user := &o.Status.ReservedFor[i]
			user.UID = uid("Pod", o.Namespace, user.Name)
		}
	}
	return o
}

// shared kinds are made once and stay: another object of the same name is the same.
func shared(kind string) bool {
	switch kind {
	case "Namespace", "PriorityClass", "RuntimeClass", "StorageClass", "CSIDriver", "DeviceClass", "Service":
		return true
	}
	return false
}

// create makes one object with its status and returns it as the API server has it.
func (w *world) create(ctx context.Context, o snapshot.Object) (snapshot.Object, error) {
	kind, err := kindOf(o)
	if err != nil {
		return nil, err
	}
	wanted, err := toUnstructured(o, kind)
	if err != nil {
		return nil, err
	}
	terminating := o.GetDeletionTimestamp() != nil
	unown(wanted)
	resources := w.resources(kind, o.GetNamespace())
	made, err := resources.Create(ctx, wanted, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) && shared(kind.Kind) {
		made, err = resources.Get(ctx, o.GetName(), metav1.GetOptions{})
	} else if err == nil && hasStatus(kind.Kind, wanted) {
		made.Object["status"] = wanted.Object["status"]
		made, err = resources.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", keyOf(o), err)
	}
	if terminating {
		if made, err = w.terminate(ctx, resources, made); err != nil {
			return nil, fmt.Errorf("terminating %s: %w", keyOf(o), err)
		}
	}
	return fromUnstructured(made, o)
}

// terminate deletes a pod with a grace period that nobody ends.
func (w *world) terminate(ctx context.Context, resources dynamic.ResourceInterface, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	const hours = int64(24 * 3600)
	if err := resources.Delete(ctx, o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: new(hours)}); err != nil {
		return nil, err
	}
	return resources.Get(ctx, o.GetName(), metav1.GetOptions{})
}

// unown removes what the API server gives. An allocated claim's finalizer is the
// scheduler's, which cannot reserve the claim without it.
func unown(o *unstructured.Unstructured) {
	if o.GetKind() != "ResourceClaim" {
		o.SetFinalizers(nil)
	}
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
}

// hasStatus says whether an object has a status that creation drops.
func hasStatus(kind string, o *unstructured.Unstructured) bool {
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	switch kind {
	case "Pod":
		phase := status["phase"]
		delete(status, "qosClass")
		return len(status) > 1 || phase != nil && phase != string(corev1.PodPending)
	case "PersistentVolume", "PersistentVolumeClaim", "PodDisruptionBudget":
		return len(status) > 0
	case "ResourceClaim":
		return status["allocation"] != nil
	}
	return false
}

// clear deletes every object of the case. Nodes go last: a node that is deleted
// under its pods lives on in the scheduler's cache until they are gone.
func (w *world) clear(ctx context.Context) error {
	var nodes, rest []snapshot.Object
	for _, key := range slices.Sorted(maps.Keys(w.live)) {
		o := w.live[key]
		if kind, err := kindOf(o); err == nil && shared(kind.Kind) {
			continue
		}
		if _, ok := o.(*corev1.Node); ok {
			nodes = append(nodes, o)
		} else {
			rest = append(rest, o)
		}
	}
	err := errors.Join(w.remove(ctx, rest...), w.remove(ctx, nodes...))
	w.defined, w.live = map[string]snapshot.Object{}, map[string]snapshot.Object{}
	return err
}

// remove deletes objects at once.
func (w *world) remove(ctx context.Context, objects ...snapshot.Object) error {
	return parallel(ctx, len(objects), func(ctx context.Context, i int) error { return w.removeOne(ctx, objects[i]) })
}

func (w *world) removeOne(ctx context.Context, o snapshot.Object) error {
	kind, err := kindOf(o)
	if err != nil {
		return err
	}
	resources := w.resources(kind, o.GetNamespace())
	if isDeviceClaim(o) { // No controller runs that takes the finalizer off.
		_, err := resources.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	err = resources.Delete(ctx, o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", keyOf(o), err)
	}
	return nil
}

// restore puts the objects of these keys back as they were defined, and removes
// those that the case does not define.
func (w *world) restore(ctx context.Context, keys []string) error {
	var again []snapshot.Object
	for _, key := range keys {
		live, ok := w.live[key]
		if ok {
			if err := w.removeOne(ctx, live); err != nil {
				return err
			}
			delete(w.live, key)
		}
		if o, ok := w.defined[key]; ok {
			again = append(again, o)
		}
	}
	return w.add(ctx, again)
}

// heal puts back the claims and volumes that scheduling a pod has changed.
func (w *world) heal(ctx context.Context) error {
	now, err := w.list(ctx, "PersistentVolume", "PersistentVolumeClaim", "ResourceClaim")
	if err != nil {
		return err
	}
	found, dirty := map[string]bool{}, map[string]bool{}
	for _, o := range now {
		key := keyOf(o)
		found[key] = true
		if live, ok := w.live[key]; !ok || live.GetResourceVersion() != o.GetResourceVersion() {
			w.live[key], dirty[key] = o, true
		}
	}
	volumes := false
	for key, o := range w.live {
		if (isVolume(o) || isDeviceClaim(o)) && !found[key] {
			dirty[key] = true
		}
		volumes = volumes || dirty[key] && isVolume(o)
	}
	for key, o := range w.live { // Volumes and claims refer to each other by UID.
		if volumes && isVolume(o) {
			dirty[key] = true
		}
	}
	return w.restore(ctx, slices.Sorted(maps.Keys(dirty)))
}

func isVolume(o snapshot.Object) bool {
	switch o.(type) {
	case *corev1.PersistentVolume, *corev1.PersistentVolumeClaim:
		return true
	}
	return false
}

func isDeviceClaim(o snapshot.Object) bool {
	_, ok := o.(*resourcev1.ResourceClaim)
	return ok
}

// list returns the objects of these kinds.
func (w *world) list(ctx context.Context, names ...string) ([]snapshot.Object, error) {
	var kinds []snapshot.Kind
	for _, k := range snapshot.Kinds() {
		if k.Typed() && slices.Contains(names, k.Kind) {
			kinds = append(kinds, k)
		}
	}
	lists := make([][]snapshot.Object, len(kinds))
	err := parallel(ctx, len(kinds), func(ctx context.Context, i int) error {
		k := kinds[i]
		list, err := w.dynamic.Resource(k.GroupVersion().WithResource(k.Resource)).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing %s: %w", k.GroupResource(), err)
		}
		for j := range list.Items {
			o, err := fromUnstructured(&list.Items[j], k.New())
			if err != nil {
				return err
			}
			lists[i] = append(lists[i], o)
		}
		return nil
	})
	return slices.Concat(lists...), err
}

// snapshot loads the cluster as the commands do.
func (w *world) snapshot(ctx context.Context) (*snapshot.Snapshot, error) {
	return load.Live(ctx, w.config, load.Options{Source: "lab", Kinds: w.kinds})
}

// loadedKinds are all but events, which say what the scheduler has done.
func loadedKinds() []string {
	var names []string
	for _, k := range snapshot.Kinds() {
		if k.Typed() && k.Kind != "Event" {
			names = append(names, k.Resource)
		}
	}
	return names
}

// settled lists the cluster once the scheduler has had the time to see it too: it
// watches each kind apart.
func (w *world) settled(ctx context.Context) (*snapshot.Snapshot, error) {
	time.Sleep(settle)
	return w.snapshot(ctx)
}

// cordonOthers cordons every node but one.
func (w *world) cordonOthers(ctx context.Context, node string) (undo func(context.Context) error, err error) {
	var keys []string
	for key, o := range w.live {
		if n, ok := o.(*corev1.Node); ok && n.Name != node && !n.Spec.Unschedulable {
			keys = append(keys, key)
		}
	}
	set := func(ctx context.Context, unschedulable bool) error {
		patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
		return parallel(ctx, len(keys), func(ctx context.Context, i int) error {
			_, err := w.typed.CoreV1().Nodes().Patch(ctx, w.live[keys[i]].GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		})
	}
	return func(ctx context.Context) error { return set(ctx, false) }, set(ctx, true)
}

// parallel calls work for 0..n-1, several at a time, and returns the first error.
func parallel(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for i := range n {
		group.Go(func() error { return work(ctx, i) })
	}
	return group.Wait()
}

func toUnstructured(o snapshot.Object, kind served) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("%T %s: %w", o, o.GetName(), err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(kind.GroupVersionKind)
	return u, nil
}

// fromUnstructured converts to a new object of like's type.
func fromUnstructured(u *unstructured.Unstructured, like snapshot.Object) (snapshot.Object, error) {
	data, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	o := reflect.New(reflect.TypeOf(like).Elem()).Interface().(snapshot.Object)
	return o, json.Unmarshal(data, o)
}
