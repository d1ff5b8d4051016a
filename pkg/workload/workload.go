package workload

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// Workload is one object of a workload kind, as far as quota is concerned.
type Workload struct {
	// Kind is its row of the table.
	Kind *Kind
	// Namespace, Name, UID and ResourceVersion are the object's.
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	// Group names the business group that the workload is tied to; empty for none.
	Group string
	// Models are the hardware models that the workload's labels name.
	Models Models
	// Owner is the controller that made the object; nil for none.
	Owner *metav1.OwnerReference
	// PodSets are the pods that the workload is made of.
	PodSets []PodSet
	// Suspended workloads run no pods for now, Finished ones never again.
	Suspended, Finished bool
	// Older says that new pods may be of an older template than PodSets have.
	Older bool
}

// Models are hardware models by what they are models of; empty for none.
type Models struct {
	CPU, GPU, Memory string
}

// ModelsOf are the models that labels name.
func ModelsOf(labels map[string]string) Models {
	return Models{
		CPU:    labels[stowagev1alpha1.CPUTypeLabel],
		GPU:    labels[stowagev1alpha1.GPUTypeLabel],
		Memory: labels[stowagev1alpha1.MemoryTypeLabel],
	}
}

// Or are m, with those of other where m names none.
func (m Models) Or(other Models) Models {
	return Models{CPU: cmp.Or(m.CPU, other.CPU), GPU: cmp.Or(m.GPU, other.GPU), Memory: cmp.Or(m.Memory, other.Memory)}
}

// PodSet is a number of equal pods.
type PodSet struct {
	// Name tells the sets of one workload apart ("Worker"); empty where there is one.
	Name string
	// Replicas is the number of pods. A PerNode set has none of its own: it runs
	// one pod on each eligible node.
	Replicas int64
	PerNode  bool
	// Pods is the label selector of the set's pods among the workload's, as the kind
	// declares it; empty for all. PodsUnknown says that nothing tells them apart.
	Pods        string
	PodsUnknown bool
	// Surge is how many pods more a rolling update may run at once. That of a
	// PerNode set is a number of nodes, or SurgePercent of them, rounded up.
	Surge        int64
	SurgePercent int64
	// SurgeAt is the surge as the workload says it, of a set with one number of
	// replicas; nil for none. Kept is how many pods an update leaves as they are, of
	// which none surges; nil for none.
	SurgeAt, Kept *intstr.IntOrString
	// Template is the pods' template, and TemplatePath the fields, keys of maps and
	// indexes of lists, that lead to it in the object; none for the object itself.
	Template     *corev1.PodTemplateSpec
	TemplatePath []string
	// IsPod says that the template is a pod itself; Status is what the kubelet says of
	// its resources, nil where it says nothing.
	IsPod  bool
	Status *corev1.PodStatus
	// Elsewhere says that the template is another object's: of it, only the resources
	// are known here.
	Elsewhere bool
}

// SurgeOf is how many pods more a rolling update may run of so many replicas.
func (s *PodSet) SurgeOf(replicas int64) int64 {
	if s.SurgeAt == nil || replicas == 0 {
		return 0
	}
	surge, err := surgeOf(s.SurgeAt, s.Kept, replicas)
	if err != nil { // what cannot be read was refused
		return 0
	}
	return surge
}

// Selects says whether a pod of the workload that has those labels is of the set.
func (s *PodSet) Selects(labels map[string]string) bool {
	if s.PodsUnknown {
		return false
	}
	for selector := range strings.SplitSeq(s.Pods, "||") {
		if s.matches(selector, labels) {
			return true
		}
	}
	return false
}

// matches says whether labels are as one selector of the set says.
func (s *PodSet) matches(selector string, labels map[string]string) bool {
	for label, term := range selectorTerms(selector) {
		value, ok := labels[label]
		if is := ok && term.matches(value, s.Name); is == term.not {
			return false
		}
	}
	return true
}

// Reference names the workload in a ledger.
func (w *Workload) Reference() stowagev1alpha1.ObjectReference {
	return stowagev1alpha1.ObjectReference{
		Resource:  w.Kind.GroupResource().String(),
		Namespace: w.Namespace,
		Name:      w.Name,
		UID:       w.UID,
	}
}

// String is the workload as kubectl writes it: "deployment.apps/web".
func (w *Workload) String() string { return w.Kind.Singular() + "/" + w.Name }

// OwnerKind is the kind that an owner reference names.
func OwnerKind(owner *metav1.OwnerReference) schema.GroupKind {
	return schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
}

// SameOwner says whether both have the same controller, or none.
func (w *Workload) SameOwner(other *Workload) bool {
	if w.Owner == nil || other.Owner == nil {
		return w.Owner == other.Owner
	}
	return w.Owner.UID == other.Owner.UID
}

// IsNamed says whether w is what an owner reference of an object in the namespace
// names, but for its UID.
func (w *Workload) IsNamed(namespace string, ref *metav1.OwnerReference) bool {
	return w.Namespace == namespace && w.Name == ref.Name && w.Kind.GroupKind() == OwnerKind(ref)
}

// PerNode says whether w has a pod on each eligible node, so that what it charges
// depends on the nodes.
func (w *Workload) PerNode() bool {
	return slices.ContainsFunc(w.PodSets, func(set PodSet) bool { return set.PerNode })
}
