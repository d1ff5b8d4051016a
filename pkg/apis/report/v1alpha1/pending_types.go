package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PendingReport says, for each pod or workload asked about, why it has no node
// and what smallest changes would give it one. `kubectl why-pending -o json`
// prints it.
//
// +kubebuilder:object:root=true
type PendingReport struct {
	metav1.TypeMeta `json:",inline"`

	// Items holds one entry a pod (or a workload without pods), in the order of
	// namespace and name.
	Items []PendingItem `json:"items"`
	// Groups holds the pods grouped by cause, largest first. Only `--all` fills it.
	Groups []PendingGroup `json:"groups,omitempty"`
	// Unknown names what could not be seen (a forbidden kind, an API the server
	// lacks) and what is therefore uncertain.
	Unknown []string `json:"unknown,omitempty"`
}

// Verdict is the answer for one pod.
type Verdict string

const (
	// VerdictSchedulable means that at least one node passes every filter now.
	VerdictSchedulable Verdict = "Schedulable"
	// VerdictUnschedulable means that no node passes every filter.
	VerdictUnschedulable Verdict = "Unschedulable"
	// VerdictGated means that a PreEnqueue plugin keeps the pod out of the queue.
	VerdictGated Verdict = "Gated"
	// VerdictNotCreated means that the workload's pods cannot be created.
	VerdictNotCreated Verdict = "NotCreated"
	// VerdictUnknown means that something outside the default plugins decides:
	// another scheduler, an extender, an out-of-tree plugin.
	VerdictUnknown Verdict = "Unknown"
)

// Agreement compares our message with the pod's PodScheduled condition.
type Agreement string

const (
	// AgreesTrue means that both messages are equal.
	AgreesTrue Agreement = "true"
	// AgreesFalse means that they differ; Disagreement says why.
	AgreesFalse Agreement = "false"
	// AgreesUnknown means that there is nothing to compare with.
	AgreesUnknown Agreement = "unknown"
)

// Confidence says how sure a verdict is.
type Confidence string

const (
	// ConfidenceExact means that the cluster's own scheduler configuration was given.
	ConfidenceExact Confidence = "exact"
	// ConfidenceProfileAssumed means that the default profile was assumed.
	ConfidenceProfileAssumed Confidence = "profile-assumed"
	// ConfidenceUnknownPlugin means that a plugin or extender that we do not
	// have takes part: what fits here may still be refused there.
	ConfidenceUnknownPlugin Confidence = "unknown-plugin"
)

// PendingItem is the answer for one pod, or for a workload whose pods do not exist.
type PendingItem struct {
	// Kind is empty for a pod, else the workload's kind.
	Kind      string    `json:"kind,omitempty"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
	// Workload is the top owner, as Kind/name; empty for a bare pod.
	Workload string `json:"workload,omitempty"`
	// Replicas is how many pods the item stands for (1 for a pod) and FitReplicas
	// how many of them fit one after another (`-f` only).
	Replicas    int32  `json:"replicas,omitempty"`
	FitReplicas *int32 `json:"fitReplicas,omitempty"`
	// PodSets are the sets of a workload with pods of several kinds, in the order in
	// which they are placed (`-f` only). The item explains the first of them that does
	// not fit whole.
	PodSets []PodSetFit `json:"podSets,omitempty"`

	Verdict Verdict `json:"verdict"`
	// Message is the scheduler's own text, "0/5 nodes are available: ...".
	Message string `json:"message"`
	// ClusterMessage is the message of the pod's PodScheduled condition.
	ClusterMessage string     `json:"clusterMessage"`
	Agrees         Agreement  `json:"agrees"`
	Disagreement   string     `json:"disagreement,omitempty"`
	Confidence     Confidence `json:"confidence"`
	// SchedulerName is the pod's spec.schedulerName when it is not the default one.
	SchedulerName string `json:"schedulerName,omitempty"`
	// PendingSince is the pod's creation time.
	PendingSince *metav1.Time `json:"pendingSince,omitempty"`

	// Nodes holds one verdict a node, by name.
	Nodes []NodeVerdict `json:"nodes"`
	// Causes are the ranked reasons; the first is what to look at first.
	Causes []Cause `json:"causes"`
	// Remedies are verified changes, the least disturbing first.
	Remedies []Remedy `json:"remedies"`
	// RemedyNote says why there is no remedy ("no change of two helps").
	RemedyNote string `json:"remedyNote,omitempty"`
	// Preemption is nil where no preemption was looked at.
	Preemption *Preemption `json:"preemption,omitempty"`
	// Autoscaler holds what cluster-autoscaler or Karpenter said of the pod.
	Autoscaler []AutoscalerNote `json:"autoscaler,omitempty"`
	// Gates are the scheduling gates that hold the pod.
	Gates []Gate `json:"gates,omitempty"`
}

// PodSetFit says how many pods of a set fit.
type PodSetFit struct {
	Name        string `json:"name"`
	Replicas    int32  `json:"replicas"`
	FitReplicas int32  `json:"fitReplicas"`
}

// NodeVerdict is one node's answer.
type NodeVerdict struct {
	Name string `json:"name"`
	Fits bool   `json:"fits"`
	// Failures holds every filter plugin that rejects the pod here, in the
	// profile's order. Empty when Fits.
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is one plugin's rejection on one node.
type Failure struct {
	Plugin string `json:"plugin"`
	// Code is Unschedulable (preemption may help) or
	// UnschedulableAndUnresolvable (it cannot).
	Code string `json:"code"`
	// Reasons are the scheduler's own strings.
	Reasons []string `json:"reasons"`
	// Detail says what the reason leaves out: the taint, the amount, the pod.
	Detail *Detail `json:"detail,omitempty"`
}

// Detail names the exact things behind a failure. Only the fields of the
// failing plugin are set.
type Detail struct {
	// Taints that the pod does not tolerate.
	Taints []corev1.Taint `json:"taints,omitempty"`
	// Resources that are short.
	Resources []Shortage `json:"resources,omitempty"`
	// Labels that a selector or an affinity term asks for and what the node has.
	Labels []LabelMismatch `json:"labels,omitempty"`
	// Pods that conflict: by port, by anti-affinity, by volume.
	Pods []PodReference `json:"pods,omitempty"`
	// Ports that are taken.
	Ports []HostPort `json:"ports,omitempty"`
	// Claims (persistent volume claims or resource claims) in the way.
	Claims []ClaimProblem `json:"claims,omitempty"`
	// Spread is the violated topology spread constraint.
	Spread []SpreadViolation `json:"spread,omitempty"`
	// Term is the (anti-)affinity term that is not met, as compact text.
	Term string `json:"term,omitempty"`
	// Note is a sentence for what has no field of its own.
	Note string `json:"note,omitempty"`
}

// Shortage is one resource that a node does not have enough of. Amounts are
// canonical quantities ("1500m", "12Gi").
type Shortage struct {
	Resource  string `json:"resource"`
	Requested string `json:"requested"`
	Free      string `json:"free"`
	Capacity  string `json:"capacity"`
	// Missing is Requested - Free.
	Missing string `json:"missing"`
}

// LabelMismatch is one requirement of a selector that a node's labels do not meet.
type LabelMismatch struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
	// Has is the node's value; nil when the node lacks the label.
	Has *string `json:"has,omitempty"`
	// Field is true for matchFields (metadata.name) and false for labels.
	Field bool `json:"field,omitempty"`
}

// PodReference names a pod and, where it matters, its priority and node.
type PodReference struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Priority  *int32 `json:"priority,omitempty"`
	Node      string `json:"node,omitempty"`
}

// HostPort is one port of a node.
type HostPort struct {
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
	HostIP   string `json:"hostIP,omitempty"`
}

// ClaimProblem names a claim and what is wrong with it.
type ClaimProblem struct {
	// Kind is PersistentVolumeClaim or ResourceClaim.
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

// SpreadViolation is a topology spread constraint that a node would violate.
type SpreadViolation struct {
	TopologyKey string `json:"topologyKey"`
	MaxSkew     int32  `json:"maxSkew"`
	// Domain is the node's value of TopologyKey, empty when it lacks the label.
	Domain string `json:"domain,omitempty"`
	// Matching is how many matching pods the domain holds, Minimum the global minimum.
	Matching int32 `json:"matching"`
	Minimum  int32 `json:"minimum"`
}

// Cause is one reason, over all nodes.
type Cause struct {
	// Reason is the scheduler's string ("Insufficient cpu").
	Reason string `json:"reason"`
	Plugin string `json:"plugin"`
	// Nodes is how many nodes fail for this reason; 0 for a cause of the pod itself.
	Nodes int `json:"nodes"`
	// Detail is a sentence that names the taint, label, amount, pod or claim.
	Detail string `json:"detail"`
	// Subject is the one thing that the cause is about: the taint
	// ("gpu=t4:NoSchedule"), the label asked for ("disk=ssd"), the resource ("cpu"),
	// the domain of a spread ("zone=a"), the claim ("PersistentVolumeClaim/ns/name"),
	// the gate, the scheduler. Of several it is the one that Detail names first. Causes
	// of equal Plugin, Reason, Shortage and Subject are the same cause. Empty where the
	// reason says all.
	Subject string `json:"subject,omitempty"`
	// Text is what is said of Subject alone ("disk=ssd: no node has this label"); it
	// continues Reason after a colon.
	Text string `json:"text,omitempty"`
	// Shortage tells resource shortages apart; empty for other causes.
	Shortage ShortageClass `json:"shortage,omitempty"`
}

// ShortageClass says in what way a resource is short.
type ShortageClass string

const (
	// ShortageNotOffered means that no node has the resource: a mistyped name, or a
	// device that no plugin advertises.
	ShortageNotOffered ShortageClass = "NotOffered"
	// ShortageTooLarge means that the request is larger than any node.
	ShortageTooLarge ShortageClass = "LargerThanAnyNode"
	// ShortageNotOnOneNode means that there is enough in sum, but not on one node.
	ShortageNotOnOneNode ShortageClass = "NotOnOneNode"
	// ShortageInUse means that other pods hold it.
	ShortageInUse ShortageClass = "InUse"
	// ShortageNeverTogether means that each resource is free on some node, but
	// never all on one.
	ShortageNeverTogether ShortageClass = "NeverTogether"
)

// Remedy is a smallest change after which, verified, the pod fits.
type Remedy struct {
	// ID names the change: its kind and what it is done to
	// ("AddToleration:gpu=t4:NoSchedule"), of a pair both, joined by "+". The same
	// change has the same ID on every pod and in every run.
	ID string `json:"id"`
	// Kind is one of the RemedyKind constants.
	Kind RemedyKind `json:"kind"`
	// Description is one sentence.
	Description string `json:"description"`
	// Command does it.
	Command string `json:"command"`
	// Changes are the single edits; two for a pair.
	Changes []Change `json:"changes"`
	// Fits names the nodes that the pod fits on afterwards, by name.
	Fits []string `json:"fits"`
	// Verified is true when the changed snapshot passed the scheduler's plugins.
	Verified bool `json:"verified"`
}

// RemedyKind names a kind of change.
type RemedyKind string

// The kinds of remedies, named for what they change.
const (
	RemedyAddToleration     RemedyKind = "AddToleration"
	RemedyLowerRequest      RemedyKind = "LowerRequest"
	RemedySetNodeSelector   RemedyKind = "SetNodeSelector"
	RemedyDropNodeSelector  RemedyKind = "DropNodeSelector"
	RemedyWidenNodeAffinity RemedyKind = "WidenNodeAffinity"
	RemedyDropNodeAffinity  RemedyKind = "DropNodeAffinity"
	RemedyDropPodAffinity   RemedyKind = "DropPodAffinity"
	RemedyDropAntiAffinity  RemedyKind = "DropPodAntiAffinity"
	RemedyRelaxSpread       RemedyKind = "RelaxSpread"
	RemedyDropHostPort      RemedyKind = "DropHostPort"
	RemedyRemoveGate        RemedyKind = "RemoveGate"
	RemedyUncordon          RemedyKind = "Uncordon"
	RemedyUntaint           RemedyKind = "Untaint"
	RemedyLabelNode         RemedyKind = "LabelNode"
	RemedyEvictPods         RemedyKind = "EvictPods"
	RemedyAddNodes          RemedyKind = "AddNodes"
	RemedyCreateClaim       RemedyKind = "CreateClaim"
	RemedyBindClaim         RemedyKind = "BindClaim"
	RemedyRaiseQuota        RemedyKind = "RaiseQuota"
	RemedyCombined          RemedyKind = "Combined"
)

// Change is one edit of one object: an operation of JSON patch (RFC 6902), or
// the creation or deletion of the whole object.
type Change struct {
	// Object is what is edited, as Kind/name or Kind/namespace/name.
	Object string `json:"object"`
	// Op is add, replace or remove (at Path), create or delete (the object).
	Op ChangeOp `json:"op"`
	// Path is a JSON pointer into the object ("/spec/tolerations/-").
	Path string `json:"path,omitempty"`
	// From is the value before, as text; empty = absent.
	From string `json:"from,omitempty"`
	// Value is the new value, or the whole object for create, as JSON.
	Value string `json:"value,omitempty"`
}

// ChangeOp is the operation of a Change.
type ChangeOp string

// The operations: three of JSON patch, two on whole objects.
const (
	OpAdd     ChangeOp = "add"
	OpReplace ChangeOp = "replace"
	OpRemove  ChangeOp = "remove"
	OpCreate  ChangeOp = "create"
	OpDelete  ChangeOp = "delete"
)

// Preemption is the result of the scheduler's own dry run.
type Preemption struct {
	Eligible bool `json:"eligible"`
	// Node is where preemption would happen; empty when it would not.
	Node    string         `json:"node,omitempty"`
	Victims []PodReference `json:"victims,omitempty"`
	// PDBViolations is how many victims' budgets would be broken.
	PDBViolations int64 `json:"pdbViolations"`
	// Reason says why there is none, or the scheduler's text.
	Reason string `json:"reason,omitempty"`
	// EqualNodes are other nodes that the scheduler's rules rank equal with Node: it
	// takes any of them.
	EqualNodes []string `json:"equalNodes,omitempty"`
	// NominatedNode is the node that an earlier preemption won for the pod.
	NominatedNode string `json:"nominatedNode,omitempty"`
}

// AutoscalerNote is an event or status of what would add a node, as it stands.
type AutoscalerNote struct {
	Source  string       `json:"source"`
	Reason  string       `json:"reason"`
	Message string       `json:"message"`
	Time    *metav1.Time `json:"time,omitempty"`
}

// Gate is one scheduling gate.
type Gate struct {
	Name string `json:"name"`
	// LiftedBy says who is known to lift it; empty when nobody is known.
	LiftedBy string `json:"liftedBy,omitempty"`
}

// PendingGroup is a set of pods that are pending for the same cause.
type PendingGroup struct {
	// Cause is the first cause that the pods share, in a sentence about the example.
	Cause   string  `json:"cause"`
	Verdict Verdict `json:"verdict"`
	Pods    int     `json:"pods"`
	// Workloads is how many different top owners the pods have.
	Workloads int `json:"workloads"`
	// Example is one of the pods, as namespace/name.
	Example string `json:"example"`
	// Remedy frees the most pods of the group; RemedyFrees says how many.
	Remedy      *Remedy `json:"remedy,omitempty"`
	RemedyFrees int     `json:"remedyFrees,omitempty"`
	// Members names the pods, as namespace/name, sorted.
	Members []string `json:"members,omitempty"`
}
