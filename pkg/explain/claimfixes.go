package explain

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// claimRemedies answers what the pod's claims keep it from: a claim that is not
// there is created, a claim that waits for a volume gets one.
func (s *search) claimRemedies(ctx context.Context, verdict *predicate.Verdict) ([]verified, error) {
	var atoms []atom
	for _, name := range claimNames(s.pod) {
		claim, ok := s.world.claims[s.pod.Namespace+"/"+name]
		switch {
		case !ok && rejects(verdict, predicate.VolumeBinding):
			if a, ok := s.world.createClaim(s.pod, name); ok {
				atoms = append(atoms, a)
			}
		case ok && claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil && rejects(verdict, predicate.VolumeBinding) && !s.world.bindsWhenPlaced(claim):
			atoms = append(atoms, bindClaim(claim))
		}
	}
	return s.together(ctx, atoms)
}

func rejects(verdict *predicate.Verdict, plugin string) bool {
	for _, rejection := range verdict.Rejections {
		if rejection.Plugin == plugin {
			return true
		}
	}
	return false
}

// create is an atom that creates objects.
func create(kind report.RemedyKind, key, text string, objects ...runtime.Object) atom {
	a := atom{kind: kind, key: key, disturbance: disturbClaim, text: text}
	var names, commands []string
	for _, object := range objects {
		accessor := object.(metav1.Object)
		name := object.GetObjectKind().GroupVersionKind().Kind
		if accessor.GetNamespace() != "" {
			name += "/" + accessor.GetNamespace()
		}
		name += "/" + accessor.GetName()
		names = append(names, name)
		document := toJSON(object)
		a.edits = append(a.edits, predicate.Edit{Object: object})
		a.changes = append(a.changes, report.Change{Object: name, Op: report.OpCreate, Value: document})
		commands = append(commands, "echo "+shellQuote(document)+" | kubectl create -f -")
	}
	a.what, a.command = strings.Join(names, ","), strings.Join(commands, " && ")
	return a
}

// createClaim makes the missing claim of the default storage class, or of the only
// one, where that class binds when the pod is placed: a claim that first waits
// for a volume would not help by itself.
func (w *world) createClaim(pod *corev1.Pod, name string) (atom, bool) {
	class := owner.DefaultClass(w.snap)
	if class == nil || class.VolumeBindingMode == nil || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer {
		return atom{}, false
	}
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: &class.Name,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: oneGibi}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	return create(report.RemedyCreateClaim, "create claim "+name,
		fmt.Sprintf("create the claim %s/%s (storage class %s; choose its size)", pod.Namespace, name, class.Name), claim), true
}

// bindClaim provides a volume for a claim that waits for one. What kind of volume
// is the administrator's to say; the one shown is reachable from every node.
func bindClaim(claim *corev1.PersistentVolumeClaim) atom {
	name := "pv-for-" + claim.Namespace + "-" + claim.Name
	volume := &corev1.PersistentVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               claim.Spec.Resources.Requests,
			AccessModes:            claim.Spec.AccessModes,
			VolumeMode:             claim.Spec.VolumeMode,
			StorageClassName:       className(claim),
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/mnt/" + name}},
		},
	}
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		volume.Spec.StorageClassName = ""
	}
	bound := claim.DeepCopy()
	bound.Spec.VolumeName = name
	bound.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	bound.Status.Phase = corev1.ClaimBound
	a := create(report.RemedyBindClaim, "bind claim "+claim.Name,
		fmt.Sprintf("provide a volume for the claim %s/%s (storage class %s)", claim.Namespace, claim.Name, className(claim)), volume)
	// The volume controller binds the two; the what-if has to do it.
	a.edits = append(a.edits, predicate.Edit{Object: bound})
	return a
}

// gatedByClaim are the remedies for a pod that waits, unqueued, for a resource
// claim: the scheduler leaves neither condition nor event on it.
func (s *search) gatedByClaim(ctx context.Context) ([]verified, error) {
	var atoms []atom
	for _, reference := range s.pod.Spec.ResourceClaims {
		name := resourceClaimName(s.pod, reference)
		if name == "" || s.world.resourceClaim(s.pod.Namespace, name) != nil || len(s.world.snap.DeviceClasses) != 1 {
			continue // With several classes there is no telling which one is meant.
		}
		claim := &resourcev1.ResourceClaim{
			TypeMeta:   typeMeta(resourcev1.SchemeGroupVersion, "ResourceClaim"),
			ObjectMeta: metav1.ObjectMeta{Namespace: s.pod.Namespace, Name: name},
			Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
				Name: "device",
				Exactly: &resourcev1.ExactDeviceRequest{
					DeviceClassName: s.world.snap.DeviceClasses[0].Name, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1,
				},
			}}}},
		}
		atoms = append(atoms, create(report.RemedyCreateClaim, "create resource claim "+name,
			fmt.Sprintf("create the resource claim %s/%s (one device of class %s)", s.pod.Namespace, name, s.world.snap.DeviceClasses[0].Name), claim))
	}
	return s.together(ctx, atoms)
}

func typeMeta(version schema.GroupVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version.String(), Kind: kind}
}

// oneGibi is the size shown for a claim whose size is the user's to choose.
var oneGibi = resource.MustParse("1Gi")
