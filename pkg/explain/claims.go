package explain

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/stowage-dev/stowage/pkg/owner"
)

// bindsWhenPlaced says whether a claim waits for its pod, and not the pod for it.
func (w *world) bindsWhenPlaced(claim *corev1.PersistentVolumeClaim) bool {
	for _, class := range w.snap.StorageClasses {
		if class.Name == className(claim) {
			return class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
		}
	}
	return false
}

// resourceClaimPoints say how the pod's resource claims stand.
func (w *world) resourceClaimPoints(pod *corev1.Pod) []point {
	points := make([]point, len(pod.Spec.ResourceClaims))
	for i, reference := range pod.Spec.ResourceClaims {
		name := resourceClaimName(pod, reference)
		points[i] = point{
			subject: "ResourceClaim/" + pod.Namespace + "/" + cmp.Or(name, pod.Name+"-"+reference.Name),
			text:    w.resourceClaimText(pod.Namespace, name, reference),
		}
	}
	return points
}

func (w *world) resourceClaimText(namespace, name string, reference corev1.PodResourceClaim) string {
	if name == "" && reference.ResourceClaimTemplateName == nil {
		return fmt.Sprintf("the claim %s names neither a claim nor a template", reference.Name)
	}
	if name == "" {
		return fmt.Sprintf("the claim %s has not been made from its template %s", reference.Name, *reference.ResourceClaimTemplateName)
	}
	claim := w.resourceClaim(namespace, name)
	switch {
	case claim == nil:
		return fmt.Sprintf("resource claim %s does not exist", name)
	case claim.Status.Allocation == nil:
		return fmt.Sprintf("resource claim %s is not allocated (%s)", name, requestText(claim))
	default:
		return fmt.Sprintf("resource claim %s is allocated", name)
	}
}

func resourceClaimName(pod *corev1.Pod, reference corev1.PodResourceClaim) string {
	if reference.ResourceClaimName != nil {
		return *reference.ResourceClaimName
	}
	for _, status := range pod.Status.ResourceClaimStatuses {
		if status.Name == reference.Name && status.ResourceClaimName != nil {
			return *status.ResourceClaimName
		}
	}
	return ""
}

func (w *world) resourceClaim(namespace, name string) *resourcev1.ResourceClaim {
	for _, claim := range w.snap.ResourceClaims {
		if claim.Namespace == namespace && claim.Name == name {
			return claim
		}
	}
	return nil
}

func requestText(claim *resourcev1.ResourceClaim) string {
	var parts []string
	for _, request := range claim.Spec.Devices.Requests {
		if request.Exactly != nil {
			parts = append(parts, fmt.Sprintf("%d of class %s", max(request.Exactly.Count, 1), request.Exactly.DeviceClassName))
		}
	}
	return strings.Join(parts, ", ")
}

// claimNames are the pod's persistent volume claims, ephemeral ones by the name
// that the ephemeral volume controller gives them.
func claimNames(pod *corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		if name := owner.ClaimName(pod, &volume); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) claimState(namespace, name string) string {
	claim, ok := w.claims[namespace+"/"+name]
	switch {
	case !ok:
		return "does not exist"
	case claim.DeletionTimestamp != nil:
		return "is being deleted"
	case claim.Spec.VolumeName == "":
		return "is not bound (storage class " + className(claim) + ")"
	}
	volume, ok := w.volumes[claim.Spec.VolumeName]
	if !ok {
		return fmt.Sprintf("is bound to volume %s, which does not exist", claim.Spec.VolumeName)
	}
	where := volumePlace(volume)
	if where == "" {
		return "is bound to volume " + volume.Name
	}
	return fmt.Sprintf("is bound to volume %s, which is in %s", volume.Name, where)
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return "none"
	}
	return *claim.Spec.StorageClassName
}

// volumePlace says where a volume can be reached from, empty = anywhere.
func volumePlace(volume *corev1.PersistentVolume) string {
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone} {
		if zone, ok := volume.Labels[key]; ok {
			return "zone " + zone
		}
	}
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	var terms []string
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		var requirements []requirement
		for _, expression := range term.MatchExpressions {
			requirements = append(requirements, requirement{NodeSelectorRequirement: expression})
		}
		terms = append(terms, describeRequirements(requirements))
	}
	return strings.Join(terms, " or ")
}
