package owner

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/storage/ephemeral"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// ClaimName is the name of a volume's persistent volume claim; empty when it has none.
func ClaimName(pod *corev1.Pod, volume *corev1.Volume) string {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName
	case volume.Ephemeral != nil:
		return ephemeral.VolumeClaimName(pod, volume)
	}
	return ""
}

// ReplicaClaims are the claims that controllers would make for a replica of a workload,
// those of a StatefulSet's templates with them. The names of resource claims made from
// templates are noted in the pod's status.
func (m *Maker) ReplicaClaims(w *Workload, pod *corev1.Pod) []snapshot.Object {
	return m.allClaims(claimTemplates(w.Object), pod)
}

// claimTemplates are a StatefulSet's.
func claimTemplates(object snapshot.Object) []corev1.PersistentVolumeClaim {
	if set, ok := object.(*appsv1.StatefulSet); ok {
		return set.Spec.VolumeClaimTemplates
	}
	return nil
}

// allClaims are those of a set's templates, and of the pod alone.
func (m *Maker) allClaims(templates []corev1.PersistentVolumeClaim, pod *corev1.Pod) []snapshot.Object {
	var claims []snapshot.Object
	for i := range templates {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: statefulClaim(&templates[i], pod)}, Spec: templates[i].Spec}
		claims = append(claims, m.admitClaim(claim))
	}
	return append(claims, m.Claims(pod)...)
}

// Claims are the claims that controllers would make for a pod alone, of its ephemeral
// volumes and claim templates; the names of the latter are noted in its status.
func (m *Maker) Claims(pod *corev1.Pod) []snapshot.Object {
	var claims []snapshot.Object
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if volume.Ephemeral == nil || volume.Ephemeral.VolumeClaimTemplate == nil {
			continue
		}
		claims = append(claims, m.admitClaim(&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: ClaimName(pod, volume), OwnerReferences: ownedBy(pod)},
			Spec:       volume.Ephemeral.VolumeClaimTemplate.Spec,
		}))
	}
	for _, reference := range pod.Spec.ResourceClaims {
		if claim := m.claimFromTemplate(pod, reference); claim != nil {
			claims = append(claims, claim)
		}
	}
	return claims
}

func ownedBy(pod *corev1.Pod) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: podKind, Name: pod.Name, UID: pod.UID, Controller: new(true)}}
}

// admitClaim gives a claim the default storage class, as admission does.
func (m *Maker) admitClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim.Status.Phase = corev1.ClaimPending
	if class := DefaultClass(m.snap); claim.Spec.StorageClassName == nil && class != nil {
		claim.Spec.StorageClassName = &class.Name
	}
	return claim
}

// DefaultClass is the storage class marked default, or the only one; nil for neither.
func DefaultClass(snap *snapshot.Snapshot) *storagev1.StorageClass {
	for _, class := range snap.StorageClasses {
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			return class
		}
	}
	if len(snap.StorageClasses) == 1 {
		return snap.StorageClasses[0]
	}
	return nil
}

// claimFromTemplate makes the resource claim of a pod's template reference, and
// notes its name in the pod's status, as the resource claim controller does.
func (m *Maker) claimFromTemplate(pod *corev1.Pod, reference corev1.PodResourceClaim) *resourcev1.ResourceClaim {
	if reference.ResourceClaimTemplateName == nil {
		return nil
	}
	for _, template := range m.snap.ResourceClaimTemplates {
		if template.Namespace != pod.Namespace || template.Name != *reference.ResourceClaimTemplateName {
			continue
		}
		name := pod.Name + "-" + reference.Name
		pod.Status.ResourceClaimStatuses = append(pod.Status.ResourceClaimStatuses, corev1.PodResourceClaimStatus{Name: reference.Name, ResourceClaimName: &name})
		return &resourcev1.ResourceClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name, UID: types.UID("what-if/" + name), OwnerReferences: ownedBy(pod)},
			Spec:       *template.Spec.Spec.DeepCopy(),
		}
	}
	return nil
}
