package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BizGroupResourceQuota is a business group's quota. Its name is the group's
// and the value of the label biz.group.resource.quota on the group's workloads.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=bizrq,categories=stowage
// +kubebuilder:selectablefield:JSONPath=`.spec.parentBizGroup`
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parentBizGroup`
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.used.limits\.cpu`,description="Used limits.cpu, in cores"
// +kubebuilder:printcolumn:name="CPUHard",type=string,JSONPath=`.spec.hard.limits\.cpu`,description="Hard limits.cpu, in cores"
// +kubebuilder:printcolumn:name="GPU",type=string,JSONPath=`.status.used.requests\.nvidia\.com/gpu`,description="Used requests.nvidia.com/gpu"
// +kubebuilder:printcolumn:name="GPUHard",type=string,JSONPath=`.spec.hard.requests\.nvidia\.com/gpu`,description="Hard requests.nvidia.com/gpu"
// +kubebuilder:printcolumn:name="Overcommitted",type=string,JSONPath=`.status.conditions[?(@.type=="Overcommitted")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name: at most 63 characters, as workloads carry it in a label"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parentBizGroup) || self.spec.parentBizGroup != self.metadata.name",message="spec.parentBizGroup: a group cannot be its own parent"
type BizGroupResourceQuota struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec BizGroupResourceQuotaSpec `json:"spec"`
	// +optional
	Status BizGroupResourceQuotaStatus `json:"status,omitempty,omitzero"`
}

// BizGroupResourceQuotaList is a list of groups.
//
// +kubebuilder:object:root=true
type BizGroupResourceQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BizGroupResourceQuota `json:"items"`
}

// BizGroupResourceQuotaSpec is what a group may use, and who may use it.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.parentBizGroup) ? self.parentBizGroup : "") == (has(oldSelf.parentBizGroup) ? oldSelf.parentBizGroup : "")`,message="spec.parentBizGroup: never changes; create a new group under the other parent and move the workloads"
type BizGroupResourceQuotaSpec struct {
	// ParentBizGroup names the parent group; empty for a root.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ParentBizGroup string `json:"parentBizGroup,omitempty"`

	// Hard is the most that the group and its children may use, by key: a compute
	// key of ResourceQuota ("limits.cpu", "requests.nvidia.com/gpu", "pods"), that
	// key with a hardware model ("limits.cpu.A4"), or "cash/" and either, in the
	// resource's unit x hours. Without any, the group is a folder: it limits nothing, and
	// holds other groups.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	Hard corev1.ResourceList `json:"hard,omitempty"`

	// Refill starts the group's own used cash again at 0.
	// +optional
	Refill *Refill `json:"refill,omitempty"`

	// Allow says whose workloads may charge the group, beside requesters with the
	// RBAC verb "use" on it.
	// +optional
	Allow *Allow `json:"allow,omitempty"`

	// Surge "count" also charges the pods that a rolling update may add (maxSurge).
	// +optional
	// +kubebuilder:validation:Enum=count;ignore
	Surge SurgePolicy `json:"surge,omitempty"`

	// HPA says what becomes of a HorizontalPodAutoscaler whose maxReplicas cannot
	// fit: it is admitted with a warning ("warn", the default) or refused ("deny").
	// +optional
	// +kubebuilder:validation:Enum=warn;deny
	HPA HPAPolicy `json:"hpa,omitempty"`
}

// Refill is when the used cash starts again at 0.
type Refill struct {
	// Schedule is in Cron format ("0 0 * * 1": each Monday), as a CronJob's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Schedule string `json:"schedule"`
	// TimeZone is an IANA name ("Asia/Shanghai"); empty for UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// Allow says whose workloads may charge a group.
type Allow struct {
	// Namespaces are shell patterns ("nlp-*") of the namespaces whose workloads
	// may charge the group.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`
}

// SurgePolicy says whether the pods of a rolling update's surge are charged.
type SurgePolicy string

// The surge policies; empty is SurgeIgnore.
const (
	SurgeCount  SurgePolicy = "count"
	SurgeIgnore SurgePolicy = "ignore"
)

// HPAPolicy says what becomes of an autoscaler that the group has no room for.
type HPAPolicy string

// The policies for autoscalers; empty is HPAWarn.
const (
	HPAWarn HPAPolicy = "warn"
	HPADeny HPAPolicy = "deny"
)

// BizGroupResourceQuotaStatus is the group's ledger. Used is always
// SelfUsed + the children's hard + the amounts of the reservations.
type BizGroupResourceQuotaStatus struct {
	// ObservedGeneration is the generation whose hard the status counts.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Hard is spec.hard as counted.
	// +optional
	Hard corev1.ResourceList `json:"hard,omitempty"`
	// Used is what counts against Hard, for each of its keys.
	// +optional
	Used corev1.ResourceList `json:"used,omitempty"`
	// SelfUsed is what the group's own workloads use, without its children; of a
	// "cash/" key, the hours used since the last refill.
	// +optional
	SelfUsed corev1.ResourceList `json:"selfUsed,omitempty"`
	// Workloads is how many workloads are counted in SelfUsed.
	// +optional
	Workloads int32 `json:"workloads,omitempty"`
	// Reservations are charges admitted and not yet counted in SelfUsed or in the
	// children's hard.
	// +optional
	// +listType=atomic
	Reservations []Reservation `json:"reservations,omitempty"`
	// LastReconcileTime is until when hours are charged.
	// +optional
	LastReconcileTime *metav1.MicroTime `json:"lastReconcileTime,omitempty"`
	// Observed is how far each kind of object was seen when SelfUsed was counted.
	// A controller that has seen less must not count.
	// +optional
	// +listType=atomic
	Observed []ObservedVersion `json:"observed,omitempty"`
	// History holds the last 12 refill periods, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=12
	History []Period `json:"history,omitempty"`
	// Conditions are Overcommitted and CashExhausted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// The conditions of a group.
const (
	// ConditionOvercommitted is True while some key's used is above its hard.
	ConditionOvercommitted = "Overcommitted"
	// ConditionCashExhausted is True while some cash key's used is at or above its
	// hard: nothing new is admitted, what runs stays.
	ConditionCashExhausted = "CashExhausted"
)

// Reservation is a charge admitted for one object. It ends when the object is
// seen at that size, or after its expiry when the object never got there.
type Reservation struct {
	// UID is the admission request's.
	// +required
	UID types.UID `json:"uid"`
	// Requester is a digest of the name of who asked; empty where that is not known.
	// +optional
	Requester string `json:"requester,omitempty"`
	// Object is what was admitted. Its UID is empty for a creation that was asked for
	// several times: at most one of the objects comes to be.
	// +required
	Object ObjectReference `json:"object"`
	// BaseResourceVersion is the version of the object that the request changes;
	// empty for a creation.
	// +optional
	BaseResourceVersion string `json:"baseResourceVersion,omitempty"`
	// Amounts is by how much the request lets the object grow, by the keys of Hard
	// and what its cash keys are hours of. The API server does not validate them:
	// it takes most of the time of a write to match each quantity, and only the
	// component writes the status.
	// +required
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XPreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Amounts corev1.ResourceList `json:"amounts"`
	// Expiry is when the request can no longer be under way.
	// +required
	Expiry metav1.MicroTime `json:"expiry"`
}

// ObjectReference names one object.
type ObjectReference struct {
	// Resource is the plural name with its group ("deployments.apps").
	// +required
	Resource string `json:"resource"`
	// Namespace is empty for a cluster-scoped object.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// +required
	Name string `json:"name"`
	// +required
	UID types.UID `json:"uid"`
}

// ObservedVersion is how far one kind was seen.
type ObservedVersion struct {
	// Resource is the plural name with its group ("deployments.apps").
	// +required
	Resource string `json:"resource"`
	// +required
	ResourceVersion string `json:"resourceVersion"`
}

// Period is one refill period that has ended.
type Period struct {
	// Start and End bound the period.
	// +optional
	Start metav1.Time `json:"start,omitempty,omitzero"`
	// +required
	End metav1.Time `json:"end"`
	// Used is what the group's own workloads used in it, by cash key.
	// +optional
	Used corev1.ResourceList `json:"used,omitempty"`
}
