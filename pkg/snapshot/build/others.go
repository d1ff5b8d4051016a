package build

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Namespace is an active namespace with the label that the API server adds and
// these ("team=a,tier=1").
func Namespace(name, labels string) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: meta("", name), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}}
	n.Labels = Labels(labels)
	n.Labels[corev1.LabelMetadataName] = name
	return n
}

// Deployment has replicas of the pod that template builds.
func Deployment(namespace, name string, replicas int32, template *PodBuilder) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: meta(namespace, name),
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: selectorOf(template), Template: templateOf(template)},
	}
}

// ReplicaSet has replicas of the pod that template builds, and is owned by the
// deployment when that is not empty.
func ReplicaSet(namespace, name, deployment string, replicas int32, template *PodBuilder) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{
		ObjectMeta: meta(namespace, name),
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selectorOf(template), Template: templateOf(template)},
	}
	if deployment != "" {
		rs.OwnerReferences = []metav1.OwnerReference{owner("apps/v1", "Deployment", namespace, deployment)}
	}
	return rs
}

// StatefulSet has replicas of the pod that template builds.
func StatefulSet(namespace, name string, replicas int32, template *PodBuilder) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: meta(namespace, name),
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selectorOf(template), Template: templateOf(template)},
	}
}

// DaemonSet runs the pod that template builds on every node.
func DaemonSet(namespace, name string, template *PodBuilder) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: meta(namespace, name),
		Spec:       appsv1.DaemonSetSpec{Selector: selectorOf(template), Template: templateOf(template)},
	}
}

// Job runs completions of the pod that template builds, parallelism at a time.
func Job(namespace, name string, parallelism, completions int32, template *PodBuilder) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: meta(namespace, name),
		Spec:       batchv1.JobSpec{Parallelism: &parallelism, Completions: &completions, Template: templateOf(template)},
	}
}

func templateOf(b *PodBuilder) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: b.pod.Labels, Annotations: b.pod.Annotations}, Spec: b.pod.Spec}
}

func selectorOf(b *PodBuilder) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: b.pod.Labels}
}

// Service sends port 80 to the pods with these labels.
func Service(namespace, name, labels string) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(namespace, name), Spec: corev1.ServiceSpec{
		Selector: Labels(labels),
		Ports:    []corev1.ServicePort{{Port: 80}},
	}}
}

// StorageClass is a class of this provisioner.
func StorageClass(name, provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: meta("", name), Provisioner: provisioner, VolumeBindingMode: &mode}
}

// PVC claims size ("10Gi") of a class; a volume's name binds it.
func PVC(namespace, name, class, size, volume string) *corev1.PersistentVolumeClaim {
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: meta(namespace, name),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:        corev1.VolumeResourceRequirements{Requests: Resources("storage=" + size)},
			StorageClassName: &class,
			VolumeName:       volume,
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	if volume != "" {
		pvc.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
		pvc.Status.Phase = corev1.ClaimBound
	}
	return pvc
}

// PV is a CSI volume of this size, reachable from the nodes of a zone (all when
// empty).
func PV(name, class, size, driver, zone string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{
		ObjectMeta: meta("", name),
		Spec: corev1.PersistentVolumeSpec{
			Capacity:         Resources("storage=" + size),
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: class,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name},
			},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeAvailable},
	}
	if zone != "" {
		pv.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}},
		}}}}
	}
	return pv
}

// CSINode says how many volumes of a driver the node of that name takes.
func CSINode(node, driver string, limit int32) *storagev1.CSINode {
	return &storagev1.CSINode{ObjectMeta: meta("", node), Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{
		Name: driver, NodeID: node, Allocatable: &storagev1.VolumeNodeResources{Count: &limit},
	}}}}
}

// DeviceClass is a class of all devices of a driver.
func DeviceClass(name, driver string) *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{ObjectMeta: meta("", name), Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{
		CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "` + driver + `"`},
	}}}}
}

// ResourceSlice publishes a node's devices of a driver.
func ResourceSlice(node, driver string, devices ...string) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{ObjectMeta: meta("", node+"-"+driver), Spec: resourcev1.ResourceSliceSpec{
		Driver:   driver,
		NodeName: &node,
		Pool:     resourcev1.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
	}}
	for _, device := range devices {
		s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{Name: device})
	}
	return s
}

// ResourceClaim asks for count devices of a class.
func ResourceClaim(namespace, name, class string, count int64) *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: meta(namespace, name), Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
		Requests: []resourcev1.DeviceRequest{{Name: "devices", Exactly: &resourcev1.ExactDeviceRequest{
			DeviceClassName: class, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: count,
		}}},
	}}}
}

// PDB keeps minAvailable ("2", "50%") of the pods with these labels; allowed is
// the number of disruptions its status allows.
func PDB(namespace, name, minAvailable, labels string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: meta(namespace, name),
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.Parse(minAvailable)), Selector: selector(labels)},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

// PriorityClass is a class of this value.
func PriorityClass(name string, value int32) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: meta("", name), Value: value}
}

// ResourceQuota has hard limits and a use ("requests.cpu=4,pods=10").
func ResourceQuota(namespace, name, hard, used string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: meta(namespace, name),
		Spec:       corev1.ResourceQuotaSpec{Hard: Resources(hard)},
		Status:     corev1.ResourceQuotaStatus{Hard: Resources(hard), Used: Resources(used)},
	}
}

// LimitRange limits one kind of object ("Container", "Pod") to max, with these
// default requests.
func LimitRange(namespace, name string, limited corev1.LimitType, maximum, defaults string) *corev1.LimitRange {
	return &corev1.LimitRange{ObjectMeta: meta(namespace, name), Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: limited, Max: Resources(maximum), DefaultRequest: Resources(defaults),
	}}}}
}

// Event is an event about an object of the same namespace.
func Event(namespace, name, kind, object, reason, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     meta(namespace, name),
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: object},
		Reason:         reason,
		Message:        message,
		Type:           corev1.EventTypeWarning,
		LastTimestamp:  Epoch,
		Count:          1,
	}
}
