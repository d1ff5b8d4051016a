package snapshot

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Object is any object of a Snapshot.
type Object interface {
	metav1.Object
	runtime.Object
}

// Kind is one kind of object that Stowage reads.
type Kind struct {
	// GroupVersionKind is the version kept in memory and written.
	schema.GroupVersionKind
	// Resource is the plural name in the API's path ("pods").
	Resource string
	// Namespaced says whether its objects live in namespaces.
	Namespaced bool
	// Older are the versions whose serialised form equals that of Version,
	// newest first.
	Older []string
	// Label, when set, is the key of the label without which an object is not read.
	Label string

	newObject func() Object
	reduce    func(Object) bool
	add       func(*Snapshot, Object)
	list      func(*Snapshot) []Object
	sort      func(*Snapshot)
	withType  func(Object) Object
	holds     func(Object) bool
}

// Kinds returns every kind that Stowage reads, in the order in which Write
// writes them. The slice is new at each call.
func Kinds() []Kind {
	const (
		cluster    = false
		namespaced = true
	)
	return []Kind{
		typed("v1", "Namespace", "namespaces", cluster, func(s *Snapshot) *[]*corev1.Namespace { return &s.Namespaces }, nil),
		typed("v1", "Node", "nodes", cluster, func(s *Snapshot) *[]*corev1.Node { return &s.Nodes }, reduceNode),
		typed("v1", "Pod", "pods", namespaced, func(s *Snapshot) *[]*corev1.Pod { return &s.Pods }, reducePod),

		typed("v1", "PersistentVolume", "persistentvolumes", cluster, func(s *Snapshot) *[]*corev1.PersistentVolume { return &s.PersistentVolumes }, nil),
		typed("v1", "PersistentVolumeClaim", "persistentvolumeclaims", namespaced, func(s *Snapshot) *[]*corev1.PersistentVolumeClaim { return &s.PersistentVolumeClaims }, nil),
		typed("storage.k8s.io/v1", "StorageClass", "storageclasses", cluster, func(s *Snapshot) *[]*storagev1.StorageClass { return &s.StorageClasses }, nil, "v1beta1"),
		typed("storage.k8s.io/v1", "CSINode", "csinodes", cluster, func(s *Snapshot) *[]*storagev1.CSINode { return &s.CSINodes }, nil, "v1beta1"),
		typed("storage.k8s.io/v1", "CSIDriver", "csidrivers", cluster, func(s *Snapshot) *[]*storagev1.CSIDriver { return &s.CSIDrivers }, nil, "v1beta1"),
		typed("storage.k8s.io/v1", "CSIStorageCapacity", "csistoragecapacities", namespaced, func(s *Snapshot) *[]*storagev1.CSIStorageCapacity { return &s.CSIStorageCapacities }, nil, "v1beta1"),
		typed("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", cluster, func(s *Snapshot) *[]*storagev1.VolumeAttachment { return &s.VolumeAttachments }, nil, "v1beta1"),

		typed("resource.k8s.io/v1", "ResourceClaim", "resourceclaims", namespaced, func(s *Snapshot) *[]*resourcev1.ResourceClaim { return &s.ResourceClaims }, reduceClaim, "v1beta2"),
		typed("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates", namespaced, func(s *Snapshot) *[]*resourcev1.ResourceClaimTemplate { return &s.ResourceClaimTemplates }, reduceClaimTemplate, "v1beta2"),
		typed("resource.k8s.io/v1", "ResourceSlice", "resourceslices", cluster, func(s *Snapshot) *[]*resourcev1.ResourceSlice { return &s.ResourceSlices }, nil, "v1beta2"),
		typed("resource.k8s.io/v1", "DeviceClass", "deviceclasses", cluster, func(s *Snapshot) *[]*resourcev1.DeviceClass { return &s.DeviceClasses }, reduceDeviceClass, "v1beta2"),
		typed("resource.k8s.io/v1", "DeviceTaintRule", "devicetaintrules", cluster, func(s *Snapshot) *[]*resourcev1.DeviceTaintRule { return &s.DeviceTaintRules }, nil, "v1beta2"),

		typed("v1", "Service", "services", namespaced, func(s *Snapshot) *[]*corev1.Service { return &s.Services }, reduceService),
		typed("v1", "ReplicationController", "replicationcontrollers", namespaced, func(s *Snapshot) *[]*corev1.ReplicationController { return &s.ReplicationControllers }, reduceWorkload),
		typed("apps/v1", "ReplicaSet", "replicasets", namespaced, func(s *Snapshot) *[]*appsv1.ReplicaSet { return &s.ReplicaSets }, reduceWorkload),
		typed("apps/v1", "StatefulSet", "statefulsets", namespaced, func(s *Snapshot) *[]*appsv1.StatefulSet { return &s.StatefulSets }, reduceWorkload),
		typed("apps/v1", "Deployment", "deployments", namespaced, func(s *Snapshot) *[]*appsv1.Deployment { return &s.Deployments }, reduceWorkload),
		typed("apps/v1", "DaemonSet", "daemonsets", namespaced, func(s *Snapshot) *[]*appsv1.DaemonSet { return &s.DaemonSets }, reduceWorkload),
		typed("batch/v1", "Job", "jobs", namespaced, func(s *Snapshot) *[]*batchv1.Job { return &s.Jobs }, reduceWorkload),
		typed("batch/v1", "CronJob", "cronjobs", namespaced, func(s *Snapshot) *[]*batchv1.CronJob { return &s.CronJobs }, reduceWorkload),

		typed("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", namespaced, func(s *Snapshot) *[]*policyv1.PodDisruptionBudget { return &s.PodDisruptionBudgets }, nil),
		typed("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", cluster, func(s *Snapshot) *[]*schedulingv1.PriorityClass { return &s.PriorityClasses }, nil),
		typed("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", cluster, func(s *Snapshot) *[]*nodev1.RuntimeClass { return &s.RuntimeClasses }, nil, "v1beta1"),
		typed("v1", "ResourceQuota", "resourcequotas", namespaced, func(s *Snapshot) *[]*corev1.ResourceQuota { return &s.ResourceQuotas }, nil),
		typed("v1", "LimitRange", "limitranges", namespaced, func(s *Snapshot) *[]*corev1.LimitRange { return &s.LimitRanges }, nil),
		typed("v1", "Event", "events", namespaced, func(s *Snapshot) *[]*corev1.Event { return &s.Events }, reduceEvent),
		typed("v1", "ConfigMap", "configmaps", namespaced, func(s *Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMaps }, reduceConfigMap),

		typed("stowage.dev/v1alpha1", "BizGroupResourceQuota", "bizgroupresourcequotas", cluster, func(s *Snapshot) *[]*stowagev1alpha1.BizGroupResourceQuota { return &s.BizGroupResourceQuotas }, nil),

		untyped("karpenter.sh/v1", "NodePool", "nodepools"),
		untyped("karpenter.sh/v1", "NodeClaim", "nodeclaims"),
	}
}

// typed describes a kind with a Go type; field is where a Snapshot keeps its
// objects, and reduce what is kept of one (nil: all but the metadata's bulk).
func typed[T any, P interface {
	*T
	Object
}](apiVersion, kind, resource string, namespaced bool, field func(*Snapshot) *[]P, reduce func(P) bool, older ...string) Kind {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	return Kind{
		GroupVersionKind: gvk,
		Resource:         resource,
		Namespaced:       namespaced,
		Older:            older,
		newObject:        func() Object { return P(new(T)) },
		reduce:           func(o Object) bool { return reduce == nil || reduce(o.(P)) },
		add:              func(s *Snapshot, o Object) { *field(s) = append(*field(s), o.(P)) },
		list: func(s *Snapshot) []Object {
			objects := make([]Object, 0, len(*field(s)))
			for _, o := range *field(s) {
				objects = append(objects, o)
			}
			return objects
		},
		sort:  func(s *Snapshot) { *field(s) = sortUnique(*field(s)) },
		holds: func(o Object) bool { _, ok := o.(P); return ok },
		withType: func(o Object) Object {
			named := *o.(P)
			P(&named).GetObjectKind().SetGroupVersionKind(gvk)
			return P(&named)
		},
	}
}

// untyped describes a cluster-scoped kind without a Go type, kept in Others.
func untyped(apiVersion, kind, resource string) Kind {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	return Kind{
		GroupVersionKind: gvk,
		Resource:         resource,
		newObject:        func() Object { return &unstructured.Unstructured{} },
		reduce:           func(Object) bool { return true },
		add:              func(s *Snapshot, o Object) { s.Others = append(s.Others, o.(*unstructured.Unstructured)) },
		list: func(s *Snapshot) []Object {
			var objects []Object
			for _, o := range s.Others {
				if o.GroupVersionKind() == gvk {
					objects = append(objects, o)
				}
			}
			return objects
		},
		sort:     func(s *Snapshot) { s.Others = sortUnique(s.Others) },
		holds:    func(o Object) bool { return o.GetObjectKind().GroupVersionKind() == gvk },
		withType: func(o Object) Object { return o },
	}
}

// Labelled describes a workload kind that is not in the table, whose objects
// count only where they are tied to a business group. Others keeps them. Where its
// version is not served, the older ones are read, each as what it is.
func Labelled(gvk schema.GroupVersionKind, resource string, older ...string) Kind {
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	k := untyped(apiVersion, kind, resource)
	k.Older = older
	k.holds = func(o Object) bool {
		found := o.GetObjectKind().GroupVersionKind()
		return found.GroupKind() == gvk.GroupKind() && (found.Version == gvk.Version || slices.Contains(older, found.Version))
	}
	k.list = func(s *Snapshot) []Object {
		var objects []Object
		for _, o := range s.Others {
			if k.holds(o) {
				objects = append(objects, o)
			}
		}
		return objects
	}
	k.Namespaced = true
	k.Label = stowagev1alpha1.GroupLabel
	k.reduce = reduceLabelled
	return k
}

// Workload is a workload kind's row in the table or, where it has none, Labelled.
func Workload(gvk schema.GroupVersionKind, resource string, older ...string) Kind {
	if known, ok := Known(gvk.GroupKind()); ok {
		return known
	}
	return Labelled(gvk, resource, older...)
}

// kinds are those of the table, and those of the other objects in s.
func (s *Snapshot) kinds() []Kind {
	known := kindsByGroupKind()
	kinds := Kinds()
	for _, o := range s.Others {
		gvk := o.GroupVersionKind()
		if _, ok := known[gvk.GroupKind()]; ok {
			continue
		}
		if kinds[len(kinds)-1].GroupVersionKind != gvk { // Others is sorted
			kinds = append(kinds, Labelled(gvk, ""))
		}
	}
	return kinds
}

// GroupResource is the plural name with its group ("resourceclaims.resource.k8s.io").
func (k Kind) GroupResource() string {
	return schema.GroupResource{Group: k.Group, Resource: k.Resource}.String()
}

// Typed says whether the kind has a Go type.
func (k Kind) Typed() bool {
	_, untyped := k.newObject().(*unstructured.Unstructured)
	return !untyped
}

// Protobuf says whether the kind has a protobuf form, as all but custom resources do.
func (k Kind) Protobuf() bool {
	_, ok := k.newObject().(interface{ Unmarshal(data []byte) error })
	return ok
}

// New returns an empty object of the kind.
func (k Kind) New() Object { return k.newObject() }

// Objects returns the kind's objects in s, in their order.
func (k Kind) Objects(s *Snapshot) []Object { return k.list(s) }

// Append appends o, which is reduced, to s. Sort after the last one.
func (k Kind) Append(s *Snapshot, o Object) { k.add(s, o) }

// Add reduces o and appends it to s, unless nothing would read it. The caller
// gives o away.
func (k Kind) Add(s *Snapshot, o Object) {
	if k.Reduce(o) {
		k.add(s, o)
	}
}

// Add reduces o and appends it to the list of its kind, which its Go type names
// (its apiVersion and kind, for an unstructured one). Sort afterwards.
func (s *Snapshot) Add(o Object) error {
	if k, ok := KindOf(o); ok {
		k.Add(s, o)
		return nil
	}
	if u, ok := o.(*unstructured.Unstructured); ok && u.GetLabels()[stowagev1alpha1.GroupLabel] != "" {
		Labelled(u.GroupVersionKind(), "").Add(s, u)
		return nil
	}
	return fmt.Errorf("%T %s: not a kind that a snapshot holds", o, o.GetName())
}

// KindOf finds the kind of the table that an object is of, by its Go type (its
// apiVersion and kind, for an unstructured one).
func KindOf(o Object) (Kind, bool) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.holds(o) })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// kindOf finds the kind that reads apiVersion and kind.
func kindOf(kinds map[schema.GroupKind]Kind, apiVersion, kind string) (Kind, bool) {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	k, ok := kinds[gvk.GroupKind()]
	return k, ok && (k.Version == gvk.Version || slices.Contains(k.Older, gvk.Version))
}

// Known is the kind of that name in the table; false where the table has none.
func Known(name schema.GroupKind) (Kind, bool) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.GroupKind() == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// kindsByGroupKind is the table of kinds as a map.
func kindsByGroupKind() map[schema.GroupKind]Kind {
	byGroupKind := map[schema.GroupKind]Kind{}
	for _, k := range Kinds() {
		byGroupKind[k.GroupKind()] = k
	}
	return byGroupKind
}

// Sort puts every list in the order of namespace and name and keeps, of several
// objects with the same name, the one added last.
func (s *Snapshot) Sort() {
	for _, k := range Kinds() {
		k.sort(s) // with Karpenter's kinds, all of Others
	}
	identify(s.Pods)
	slices.SortFunc(s.Missing, func(a, b Missing) int { return cmp.Compare(a.Resource, b.Resource) })
}

// identify gives pods without a UID, or with that of another (a dump made by
// hand), one of their own: the scheduler's code tells pods apart by it.
func identify(pods []*corev1.Pod) {
	seen := make(map[types.UID]bool, len(pods))
	for i, pod := range pods {
		if pod.UID == "" || seen[pod.UID] {
			pod = pod.DeepCopy()
			pod.UID = types.UID("unnamed/" + pod.Namespace + "/" + pod.Name)
			pods[i] = pod
		}
		seen[pod.UID] = true
	}
}

// sortUnique sorts by type (empty for typed objects), namespace and name; the
// last of equal ones stays.
func sortUnique[P Object](objects []P) []P {
	slices.SortStableFunc(objects, compare[P])
	kept := objects[:0]
	for i, o := range objects {
		if i+1 < len(objects) && compare(o, objects[i+1]) == 0 {
			continue
		}
		kept = append(kept, o)
	}
	clear(objects[len(kept):])
	return kept
}

func compare[P Object](a, b P) int {
	typeA, typeB := a.GetObjectKind().GroupVersionKind(), b.GetObjectKind().GroupVersionKind()
	return cmp.Or(
		cmp.Compare(typeA.Kind, typeB.Kind),
		cmp.Compare(typeA.Group, typeB.Group),
		cmp.Compare(typeA.Version, typeB.Version),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	)
}
