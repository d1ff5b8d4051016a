package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TaintPlan is what a change of taints will do, and, saved in a file, what
// `kubectl taint-plan --apply` does. `kubectl taint-plan -o json` prints it.
//
// +kubebuilder:object:root=true
type TaintPlan struct {
	metav1.TypeMeta `json:",inline"`

	// Cluster is the UID of the namespace kube-system of the cluster that the plan
	// is for; empty when it could not be seen.
	Cluster types.UID `json:"cluster,omitempty"`
	// ServerVersion is the API server's ("v1.37.1").
	ServerVersion string `json:"serverVersion,omitempty"`
	// TakenAt is the instant that the plan is made for.
	TakenAt metav1.Time `json:"takenAt,omitzero"`
	// Checksum is over all else in a saved plan; a plan edited by hand has another.
	Checksum string `json:"checksum,omitempty"`
	// Change is what was asked for.
	Change TaintChange `json:"change"`
	// Summary counts what comes of it.
	Summary TaintSummary `json:"summary"`

	// Nodes are those whose taints change, by name.
	Nodes []TaintedNode `json:"nodes"`
	// Evictions are the pods that controllers will delete because of the taints, by
	// wave, time, namespace and name.
	Evictions []Eviction `json:"evictions"`
	// Stranded are running pods that stay where they are, and whose replacement
	// would fit nowhere: if one dies, it has nowhere to go.
	Stranded []StrandedPod `json:"stranded"`
	// Freed are the pods that wait for a node now, and would get one.
	Freed []FreedPod `json:"freed"`
	// Narrowed are the pods that wait for a node and have fewer to wait for.
	Narrowed []NarrowedPod `json:"narrowed,omitempty"`
	// Preempted are the pods that displaced pods of higher priority push off nodes.
	Preempted []PreemptedPod `json:"preempted,omitempty"`
	// Daemons are the DaemonSets that start or stop on nodes.
	Daemons []DaemonChange `json:"daemons,omitempty"`
	// Shifts say where the next replica of a workload would go instead, because of
	// PreferNoSchedule.
	Shifts []ScoreShift `json:"shifts,omitempty"`
	// Workloads holds a verdict for each workload that loses pods, by namespace and
	// name.
	Workloads []WorkloadVerdict `json:"workloads"`
	// Budgets are the PodDisruptionBudgets whose pods are evicted, by namespace and
	// name.
	Budgets []BudgetVerdict `json:"budgets,omitempty"`
	// Waves are the names of the nodes to change together, in order; one wave when
	// none were asked for.
	Waves [][]string `json:"waves"`
	// Short says which waves do not keep what waves are for, and what is short.
	Short []WaveShortage `json:"short,omitempty"`
	// Drift is what has changed since the plan was made. Only --apply fills it.
	Drift []Drift `json:"drift"`
	// Unknown names what could not be seen, and what is therefore uncertain.
	Unknown []Unknown `json:"unknown,omitempty"`
}

// Unknown is one thing that is uncertain, and why.
type Unknown struct {
	// Resource is the kind that could not be listed ("poddisruptionbudgets.policy");
	// empty where it is no kind that is not known.
	Resource string `json:"resource,omitempty"`
	// Text says in a line what is not known.
	Text string `json:"text"`
}

// TaintChange is what the arguments of kubectl taint ask for.
type TaintChange struct {
	// Add are the taints to set.
	Add []corev1.Taint `json:"add,omitempty"`
	// Remove are those to remove: without an effect, all of the key.
	Remove []TaintKey `json:"remove,omitempty"`
	// Overwrite lets a taint of the same key and effect be replaced.
	Overwrite bool `json:"overwrite,omitempty"`
}

// TaintKey names a taint, or with an empty effect all taints of a key.
type TaintKey struct {
	Key    string             `json:"key"`
	Effect corev1.TaintEffect `json:"effect,omitempty"`
}

// TaintSummary counts what comes of a change of taints.
type TaintSummary struct {
	// Evicted and Preempted count the displaced pods.
	Evicted   FateCounts `json:"evicted"`
	Preempted FateCounts `json:"preempted"`
	// EvictedByWave is how many pods each wave evicts, in the order of the waves.
	EvictedByWave []int32 `json:"evictedByWave"`
	// BudgetsBroken is how many PodDisruptionBudgets the change makes lower than they
	// ask for.
	BudgetsBroken int32 `json:"budgetsBroken"`
	// Stranded is how many pods stay and could not start again, Freed how many of those
	// that wait for a node get one.
	Stranded int32 `json:"stranded"`
	Freed    int32 `json:"freed"`
}

// FateCounts is how many displaced pods there are, and how many of each fate.
type FateCounts struct {
	Total          int32 `json:"total"`
	RePlaced       int32 `json:"rePlaced"`
	Returns        int32 `json:"returns"`
	OtherScheduler int32 `json:"otherScheduler"`
	Pending        int32 `json:"pending"`
	Lost           int32 `json:"lost"`
	NotReplaced    int32 `json:"notReplaced"`
}

// TaintedNode is a node with its taints.
type TaintedNode struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid,omitempty"`
	// Wave counts from 1.
	Wave   int32          `json:"wave"`
	Before []corev1.Taint `json:"before"`
	After  []corev1.Taint `json:"after"`
}

// Mark says what is special about an eviction.
type Mark string

const (
	// MarkBare is a pod without a controller: it is lost for good.
	MarkBare Mark = "bare"
	// MarkMirror is the API's image of a static pod: the kubelet runs it on.
	MarkMirror Mark = "mirror"
	// MarkDaemonSet is a DaemonSet's pod: no other node takes it.
	MarkDaemonSet Mark = "daemonset"
	// MarkStatefulSet is a StatefulSet's pod: its replacement has its name, and comes
	// only when it is gone.
	MarkStatefulSet Mark = "statefulset"
	// MarkLocalVolume is a pod with data on the node that it loses: an emptyDir, a
	// hostPath or a local volume.
	MarkLocalVolume Mark = "local-volume"
	// MarkFinished is a pod that has run to its end: only its record and logs are
	// lost.
	MarkFinished Mark = "finished"
	// MarkTerminating is a pod that is being deleted already.
	MarkTerminating Mark = "terminating"
	// MarkJobFails is a pod whose eviction is one failure more than its Job bears.
	MarkJobFails Mark = "job-fails"
	// MarkReturns is a pod whose replacement may come back to a node that evicts it
	// again, as it tolerates the taint for a time.
	MarkReturns Mark = "returns"
	// MarkSurplus is a pod that its controller does not replace: it wants no more.
	MarkSurplus Mark = "surplus"
	// MarkCounting is a pod that was to be evicted before, by a taint that the node
	// has already; afterSeconds is what is left, the most it can be where the taint
	// does not say since when it is there.
	MarkCounting Mark = "counting"
	// MarkWaits is a StatefulSet's pod whose replacement is not made as long as one of
	// a lower ordinal is not ready.
	MarkWaits Mark = "waits"
	// MarkAgain is a pod that replaces the one of this name, which an earlier wave
	// evicted.
	MarkAgain Mark = "again"
	// MarkUnknownOwner is a pod of a controller that is not known here; it is taken to
	// be replaced.
	MarkUnknownOwner Mark = "unknown-owner"
	// MarkUnknownScheduler is a pod that another scheduler gives a node: where its
	// replacement goes is not known here.
	MarkUnknownScheduler Mark = "unknown-scheduler"
)

// Fate is what becomes of a displaced pod, as far as it is known: of what its
// controller makes in its stead.
type Fate string

const (
	// FateRePlaced is a pod that has a new node.
	FateRePlaced Fate = "re-placed"
	// FateReturns is one whose new node may evict it again: it tolerates the taint for a
	// time only. No node is its home.
	FateReturns Fate = "returns"
	// FateOtherScheduler is one that another scheduler gives a node, or does not.
	FateOtherScheduler Fate = "other-scheduler"
	// FatePending is one without a node when all is settled.
	FatePending Fate = "pending"
	// FateLost is one that should run on and is not made again: it has no controller, or
	// its Job fails.
	FateLost Fate = "lost"
	// FateNotReplaced is one in whose place there is nothing to make: it has run to its
	// end, belongs to its node, is one more than its controller wants, or is the image of
	// a static pod, which runs on.
	FateNotReplaced Fate = "not-replaced"
)

// Homeless says whether a displaced pod of this fate is to have a home and has none, as
// far as is known: at another time, or in another wave, it might.
func (f Fate) Homeless() bool { return f == FatePending || f == FateReturns }

// Eviction is one pod that a controller will delete.
type Eviction struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
	Node      string    `json:"node"`
	// Wave counts from 1.
	Wave int32 `json:"wave"`
	// AfterSeconds is how long after its wave's taints are set.
	AfterSeconds int64 `json:"afterSeconds"`
	// Workload is the top owner, as Kind/name; empty for a bare pod.
	Workload string `json:"workload,omitempty"`
	// PDBViolated names the PodDisruptionBudget of the pod's that is below what it
	// asks for after this eviction: the controllers do not ask it.
	PDBViolated string `json:"pdbViolated,omitempty"`
	Marks       []Mark `json:"marks,omitempty"`
	Fate        Fate   `json:"fate"`
	// NewNode is where the replacement goes. PendingReason says why it goes nowhere.
	// Both are empty where nothing replaces the pod, or another scheduler places it.
	NewNode       string `json:"newNode,omitempty"`
	PendingReason string `json:"pendingReason,omitempty"`
}

// StrandedPod runs on a node of the change, and could not start again anywhere.
type StrandedPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Node      string `json:"node"`
	Workload  string `json:"workload,omitempty"`
	// Reason is the scheduler's own text.
	Reason string `json:"reason"`
}

// FreedPod waits for a node, and would get this one.
type FreedPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Workload  string `json:"workload,omitempty"`
	Node      string `json:"node"`
	// ForSeconds is how long it stays there, where it tolerates a NoExecute taint of the
	// node for a time only; 0 is for good.
	ForSeconds int64 `json:"forSeconds,omitempty"`
	// Wave counts from 1.
	Wave int32 `json:"wave"`
}

// NarrowedPod waits for a node; the change takes some away that it could use when
// there is room.
type NarrowedPod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Workload  string `json:"workload,omitempty"`
	// Lost are the nodes of the change that the pod's tolerations, selectors and
	// affinity allow now, and its tolerations not afterwards.
	Lost []string `json:"lost"`
}

// PreemptedPod makes room for another.
type PreemptedPod struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
	Node      string    `json:"node"`
	Workload  string    `json:"workload,omitempty"`
	// By is the pod that it makes room for, as namespace/name.
	By    string `json:"by"`
	Wave  int32  `json:"wave"`
	Marks []Mark `json:"marks,omitempty"`
	Fate  Fate   `json:"fate"`
	// NewNode and PendingReason are as of an Eviction.
	NewNode       string `json:"newNode,omitempty"`
	PendingReason string `json:"pendingReason,omitempty"`
}

// DaemonChange is where a DaemonSet starts and stops.
type DaemonChange struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Starts    []string `json:"starts,omitempty"`
	Stops     []string `json:"stops,omitempty"`
}

// ScoreShift is where the next replica of a workload goes.
type ScoreShift struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Before    string `json:"before"`
	After     string `json:"after"`
}

// WorkloadVerdict is what becomes of a workload.
type WorkloadVerdict struct {
	Namespace string `json:"namespace"`
	// Workload is Kind/name.
	Workload string `json:"workload"`
	// Evicted is how many of its pods are evicted or preempted.
	Evicted int32 `json:"evicted"`
	// ReadyBefore and ReadyAfter are its ready pods now, and when all is settled.
	ReadyBefore int32 `json:"readyBefore"`
	ReadyAfter  int32 `json:"readyAfter"`
	// Lowest is how few are ready at worst, LowestAtSeconds when first, after the
	// taints of wave LowestWave are set.
	Lowest          int32 `json:"lowest"`
	LowestAtSeconds int64 `json:"lowestAtSeconds"`
	LowestWave      int32 `json:"lowestWave,omitempty"`
	// StartSeconds is how long a new pod is taken to need until it is ready: the
	// median of its pods now.
	StartSeconds int64 `json:"startSeconds"`
	// Budget is its PodDisruptionBudget; BelowSeconds for how long it is below what
	// the budget asks for, -1 when it stays so.
	Budget       string `json:"budget,omitempty"`
	BelowSeconds int64  `json:"belowSeconds,omitempty"`
	// Pending is how many of its displaced pods have no node when all is settled.
	Pending int32 `json:"pending,omitempty"`
}

// BudgetVerdict is what becomes of a PodDisruptionBudget.
type BudgetVerdict struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Desired is how many healthy pods it asks for, Healthy how many there are.
	Desired int32 `json:"desired"`
	Healthy int32 `json:"healthy"`
	// Lowest is how few are healthy at worst, BelowSeconds for how long they are fewer
	// than desired, -1 when it stays so.
	Lowest       int32 `json:"lowest"`
	BelowSeconds int64 `json:"belowSeconds,omitempty"`
	// Violated says that the change makes it lower than desired.
	Violated bool `json:"violated"`
}

// WaveShortage is why a wave is not a safe one.
type WaveShortage struct {
	// Wave counts from 1.
	Wave int32 `json:"wave"`
	// Node is the one that brings it about; empty for the wave as a whole.
	Node string `json:"node,omitempty"`
	// Reason names the pods without a home, or the budgets, and what is short.
	Reason string `json:"reason"`
}

// Drift is one difference between a saved plan and the cluster.
type Drift struct {
	// Object is what differs: "node/gpu-1", "pod/nlp/web-0", "poddisruptionbudget/nlp/web".
	Object string `json:"object"`
	// Planned and Found are what the plan saw and what there is.
	Planned string `json:"planned"`
	Found   string `json:"found"`
}
