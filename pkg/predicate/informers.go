package predicate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// objects serves every kind but nodes and pods to the plugins, from a snapshot.
type objects struct {
	factory informers.SharedInformerFactory
	byType  map[reflect.Type]*staticInformer
	client  kubernetes.Interface
}

// errReadOnly is what every request of the framework's client gets.
var errReadOnly = errors.New("the engine works on a snapshot and writes nothing")

func refuse(*http.Request) (*http.Response, error) { return nil, errReadOnly }

// roundTripper makes a function an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func newObjects(snap *snapshot.Snapshot, further []snapshot.Kind) (*objects, error) {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "snapshot.invalid", Transport: roundTripper(refuse)})
	if err != nil {
		return nil, err
	}
	o := &objects{
		factory: informers.NewSharedInformerFactory(client, 0),
		byType:  map[reflect.Type]*staticInformer{},
		client:  client,
	}
	// Pods and nodes come from the nodeList; the plugins that also hold their
	// informers read them only while binding, which never happens here.
	err = errors.Join(
		serve(o, []*corev1.Pod(nil)),
		serve(o, []*corev1.Node(nil)),
		serve(o, snap.Namespaces),
		serve(o, snap.PersistentVolumes),
		serve(o, snap.PersistentVolumeClaims),
		serve(o, snap.StorageClasses),
		serve(o, snap.CSINodes),
		serve(o, snap.CSIDrivers),
		serve(o, snap.CSIStorageCapacities),
		serve(o, snap.VolumeAttachments),
		serve(o, snap.ResourceClaims),
		serve(o, snap.ResourceSlices),
		serve(o, snap.DeviceClasses),
		serve(o, snap.DeviceTaintRules),
		serve(o, snap.Services),
		serve(o, snap.ReplicationControllers),
		serve(o, snap.ReplicaSets),
		serve(o, snap.StatefulSets),
		serve(o, snap.PodDisruptionBudgets),
	)
	for _, kind := range further {
		err = errors.Join(err, o.serveFurther(snap, kind))
	}
	return o, err
}

// serve serves the objects of a kind with a Go type.
func serve[T runtime.Object](o *objects, list []T) error {
	informer, err := newStaticInformer(list)
	if err != nil {
		return err
	}
	o.register(reflect.New(reflect.TypeFor[T]().Elem()).Interface().(runtime.Object), informer)
	return nil
}

// serveFurther serves a kind that only plugins that are not in-tree read.
func (o *objects) serveFurther(snap *snapshot.Snapshot, kind snapshot.Kind) error {
	sample := kind.New()
	switch sample.(type) {
	case *corev1.Pod, *corev1.Node:
		return fmt.Errorf("kinds of scheduler plugins: found %s, expected others than Pod and Node, which a plugin reads from its handle's SnapshotSharedLister", kind.Kind)
	}
	if !kind.Typed() {
		return fmt.Errorf("kinds of scheduler plugins: found %s, expected kinds with a Go type, by which informers are told apart", kind.Kind)
	}
	if o.byType[reflect.TypeOf(sample)] != nil {
		return nil
	}
	informer, err := newStaticInformer(kind.Objects(snap))
	if err != nil {
		return err
	}
	o.register(sample, informer)
	return nil
}

// register registers a kind's informer with the factory before any plugin asks for
// it, so that the factory's own, which would watch a server, is never made.
func (o *objects) register(sample runtime.Object, informer *staticInformer) {
	o.byType[reflect.TypeOf(sample)] = informer
	o.factory.InformerFor(sample, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return informer })
}

// unserved is an error that names the kinds that plugins have asked the factory for and
// that are not registered: their listers would stay empty, and the answers be wrong.
func (o *objects) unserved(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // An informer that is started now ends at once, without a request.
	o.factory.StartWithContext(ctx)
	var kinds []string
	for kind, synced := range o.factory.WaitForCacheSyncWithContext(ctx).Synced {
		if !synced {
			kinds = append(kinds, kind.Elem().String())
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	slices.Sort(kinds)
	return fmt.Errorf("plugins read %s: expected kinds that in-tree plugins read, and those in Options.Kinds", strings.Join(kinds, ", "))
}

// edit sets (or, with remove, removes) one object and returns what undoes it.
func (o *objects) edit(object runtime.Object, remove bool) (undo func(), err error) {
	informer, ok := o.byType[reflect.TypeOf(object)]
	if !ok {
		return nil, fmt.Errorf("editing a %T: the scheduler's plugins read no such kind", object)
	}
	old, existed, err := informer.indexer.Get(object)
	if err != nil {
		return nil, err
	}
	if remove {
		err = informer.remove(object)
	} else {
		err = informer.set(object)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		// Putting back what was there cannot fail where taking it out did not.
		if existed {
			_ = informer.set(old.(runtime.Object))
		} else {
			_ = informer.remove(object)
		}
	}, nil
}
