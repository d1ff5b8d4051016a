package snapshot

import (
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

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Snapshot is one cluster at one instant: what the kube-scheduler's plugins
// read, plus what explains a pending pod. Every list is sorted by namespace and
// name; objects are shared and must not be changed (DeepCopy first).
type Snapshot struct {
	// Source names where it came from, for messages: a file, a context, "stdin".
	Source string
	// ServerVersion is the API server's version ("v1.37.1"); empty when unknown.
	ServerVersion string
	// TakenAt is when it was taken; zero when unknown (then the newest timestamp
	// of its objects serves, see Now).
	TakenAt metav1.Time

	Nodes      []*corev1.Node
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace

	PersistentVolumes      []*corev1.PersistentVolume
	PersistentVolumeClaims []*corev1.PersistentVolumeClaim
	StorageClasses         []*storagev1.StorageClass
	CSINodes               []*storagev1.CSINode
	CSIDrivers             []*storagev1.CSIDriver
	CSIStorageCapacities   []*storagev1.CSIStorageCapacity
	VolumeAttachments      []*storagev1.VolumeAttachment

	ResourceClaims         []*resourcev1.ResourceClaim
	ResourceClaimTemplates []*resourcev1.ResourceClaimTemplate
	ResourceSlices         []*resourcev1.ResourceSlice
	DeviceClasses          []*resourcev1.DeviceClass
	DeviceTaintRules       []*resourcev1.DeviceTaintRule

	Services               []*corev1.Service
	ReplicationControllers []*corev1.ReplicationController
	ReplicaSets            []*appsv1.ReplicaSet
	StatefulSets           []*appsv1.StatefulSet
	Deployments            []*appsv1.Deployment
	DaemonSets             []*appsv1.DaemonSet
	Jobs                   []*batchv1.Job
	CronJobs               []*batchv1.CronJob

	PodDisruptionBudgets []*policyv1.PodDisruptionBudget
	PriorityClasses      []*schedulingv1.PriorityClass
	RuntimeClasses       []*nodev1.RuntimeClass
	ResourceQuotas       []*corev1.ResourceQuota
	LimitRanges          []*corev1.LimitRange
	Events               []*corev1.Event
	ConfigMaps           []*corev1.ConfigMap

	BizGroupResourceQuotas []*stowagev1alpha1.BizGroupResourceQuota

	// Others are objects of kinds that Stowage reads without their Go types:
	// Karpenter's NodePool and NodeClaim, and whatever else is tied to a business
	// group by its label (a Rollout, a TFJob).
	Others []*unstructured.Unstructured

	// Ignored counts the objects that Stowage does not read, by "Kind.group"; with
	// "/version" where it reads another version of that kind.
	Ignored map[string]int
	// Missing names the kinds that could not be listed and why, by resource.
	Missing []Missing
}

// With returns s with further objects, which it takes: each reduced, and in the place
// of the one of its name. s stays as it is.
func (s *Snapshot) With(objects ...Object) (*Snapshot, error) {
	if len(objects) == 0 {
		return s, nil
	}
	with := &Snapshot{Source: s.Source, ServerVersion: s.ServerVersion, TakenAt: s.TakenAt, Ignored: s.Ignored, Missing: slices.Clone(s.Missing)}
	for _, k := range s.kinds() {
		for _, o := range k.Objects(s) {
			k.Append(with, o)
		}
	}
	for _, o := range objects {
		if err := with.Add(o); err != nil {
			return nil, err
		}
	}
	with.Sort()
	return with, nil
}
