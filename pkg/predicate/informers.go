package predicate

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
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

func newObjects(snap *snapshot.Snapshot) (*objects, error) {
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
	return o, errors.Join(
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
}

// serve registers a kind's informer with the factory before any plugin asks for
// it, so that the factory's own, which would watch a server, is never made.
func serve[T runtime.Object](o *objects, list []T) error {
	informer, err := newStaticInformer(list)
	if err != nil {
		return err
	}
	var sample T
	kind := reflect.TypeOf(sample)
	o.byType[kind] = informer
	o.factory.InformerFor(reflect.New(kind.Elem()).Interface().(runtime.Object),
		func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return informer })
	return nil
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
