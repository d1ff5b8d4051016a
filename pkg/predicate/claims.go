package predicate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// Evict takes a pod off its node for good, and with it what it alone held there: its
// device claims are no longer reserved for it, and with nobody left are deallocated,
// or deleted where they were made for it, as the resource claim controller does; its
// volumes are detached, as the attach-detach controller does; it no longer counts in its
// PodDisruptionBudgets. A finished pod holds nothing, which is no error. undo puts all
// back.
func (e *Engine) Evict(pod *corev1.Pod) (undo func(), err error) {
	if snapshot.Finished(pod) {
		return func() {}, nil
	}
	edits := append(e.detached(pod), Edit{Evict: pod})
	back, err := e.Apply(append(edits, e.releasedClaims(pod)...)...)
	if err != nil {
		return nil, err
	}
	recount := e.budgets.leave(pod)
	return func() {
		recount()
		back()
	}, nil
}

// detached are the attachments of the pod's volumes that no other pod on its node
// uses.
func (e *Engine) detached(pod *corev1.Pod) []Edit {
	node, err := e.lister.current.Get(pod.Spec.NodeName)
	if err != nil {
		return nil
	}
	users := node.GetPVCRefCounts()
	var edits []Edit
	for _, volume := range pod.Spec.Volumes {
		name := owner.ClaimName(pod, &volume)
		if name == "" || users[pod.Namespace+"/"+name] > 1 {
			continue
		}
		for _, attachment := range e.objects.attachments(pod.Spec.NodeName, pod.Namespace, name) {
			edits = append(edits, Edit{Delete: attachment})
		}
	}
	return edits
}

// releasedClaims are the pod's device claims without it.
func (e *Engine) releasedClaims(pod *corev1.Pod) []Edit {
	var edits []Edit
	for _, claim := range e.deviceClaims(pod) {
		if metav1.IsControlledBy(claim, pod) {
			edits = append(edits, Edit{Delete: claim})
			continue
		}
		released := claim.DeepCopy()
		released.Status.ReservedFor = slices.DeleteFunc(released.Status.ReservedFor, func(user resourcev1.ResourceClaimConsumerReference) bool { return user.UID == pod.UID })
		if len(released.Status.ReservedFor) == 0 {
			released.Status.Allocation = nil
		}
		edits = append(edits, Edit{Object: released})
	}
	return edits
}

// boundClaims are the pod's device claims as the scheduler leaves them when it binds
// the pod (PreBind of DynamicResources): allocated, and reserved for it. What was
// pending is then part of the claims.
func (r *run) boundClaims() []Edit {
	if r.profile.claims == nil {
		return nil
	}
	tracker := r.profile.claims.ResourceClaims()
	var edits []Edit
	for _, claim := range r.engine.deviceClaims(r.pod) {
		bound := claim.DeepCopy()
		if pending := tracker.GetPendingAllocation(claim.UID); pending != nil {
			bound.Status.Allocation = pending.DeepCopy()
			tracker.MaybeRemoveClaimPendingAllocation(claim.UID, true)
		}
		bound.Status.ReservedFor = append(bound.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: r.pod.Name, UID: r.pod.UID})
		edits = append(edits, Edit{Object: bound})
	}
	return edits
}

// deviceClaims are those of a pod's resource claims that are there.
func (e *Engine) deviceClaims(pod *corev1.Pod) []*resourcev1.ResourceClaim {
	var claims []*resourcev1.ResourceClaim
	for i := range pod.Spec.ResourceClaims {
		name, _, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			continue // Not made yet.
		}
		claims = append(claims, e.objects.deviceClaim(pod.Namespace, *name)...)
	}
	if extended := pod.Status.ExtendedResourceClaimStatus; extended != nil {
		claims = append(claims, e.objects.deviceClaim(pod.Namespace, extended.ResourceClaimName)...)
	}
	return claims
}

// deviceClaim is the claim of that name, or none.
func (o *objects) deviceClaim(namespace, name string) []*resourcev1.ResourceClaim {
	claim, err := o.factory.Resource().V1().ResourceClaims().Lister().ResourceClaims(namespace).Get(name)
	if err != nil {
		return nil
	}
	return []*resourcev1.ResourceClaim{claim}
}

// attachments are those of a claim's volume to a node.
func (o *objects) attachments(node, namespace, claim string) []*storagev1.VolumeAttachment {
	bound, err := o.factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace).Get(claim)
	if err != nil || bound.Spec.VolumeName == "" {
		return nil
	}
	found, err := o.factory.Storage().V1().VolumeAttachments().Informer().GetIndexer().ByIndex(byVolume, bound.Spec.VolumeName)
	if err != nil {
		return nil
	}
	var attachments []*storagev1.VolumeAttachment
	for _, object := range found {
		if attachment := object.(*storagev1.VolumeAttachment); attachment.Spec.NodeName == node {
			attachments = append(attachments, attachment)
		}
	}
	return attachments
}

// byVolume indexes the attachments by the name of their persistent volume.
const byVolume = "persistentVolumeName"

func attachedVolume(object any) ([]string, error) {
	attachment, ok := object.(*storagev1.VolumeAttachment)
	if !ok || attachment.Spec.Source.PersistentVolumeName == nil {
		return nil, nil
	}
	return []string{*attachment.Spec.Source.PersistentVolumeName}, nil
}
