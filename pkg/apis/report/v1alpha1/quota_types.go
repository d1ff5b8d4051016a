package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// QuotaCheck says whether a business group's quota admits an object, and if not,
// what is short. `kubectl quota check -o json` prints it; the admission webhook
// refuses by the same verdict.
//
// +kubebuilder:object:root=true
type QuotaCheck struct {
	metav1.TypeMeta `json:",inline"`

	// Allowed is the verdict.
	Allowed bool `json:"allowed"`
	// Object is what was judged ("deployment.apps/web", with its namespace before
	// it where it has one: "nlp/deployment.apps/web").
	Object string `json:"object,omitempty"`
	// Group is the group that is charged; of a group's own change, its parent.
	// Empty when nothing is charged.
	Group string `json:"group,omitempty"`
	// Exceeded has an entry for each key that has not enough left, sorted by key.
	Exceeded []QuotaExceeded `json:"exceeded"`
	// Reasons say in one line each why the object is refused; empty when it is
	// allowed. Each exceeded key has its line here.
	Reasons []string `json:"reasons"`
	// Warnings say in one line each what is allowed and likely not meant.
	Warnings []string `json:"warnings"`
}

// QuotaCheckList is the verdicts on several objects, in their order.
//
// +kubebuilder:object:root=true
type QuotaCheckList struct {
	metav1.TypeMeta `json:",inline"`

	Items []QuotaCheck `json:"items"`
}

// QuotaExceeded is one key of a group, or of one above it, that has not enough left.
type QuotaExceeded struct {
	// Group is the ancestor whose key it is, which is over its hard; absent where the
	// key is that of the group charged.
	Group string `json:"group,omitempty"`
	// Key is the key of the group's hard.
	Key string `json:"key"`
	// Needs is by how much the object grows, Left what the group has left of Hard
	// (below zero when it is overcommitted), and Short is Needs - Left. Of a cash
	// key, Needs is zero: it is refused because nothing is left.
	Needs resource.Quantity `json:"needs"`
	Left  resource.Quantity `json:"left"`
	Short resource.Quantity `json:"short"`
	Hard  resource.Quantity `json:"hard"`
	// Surge is what of Needs the pods need that a rolling update may add; absent where
	// none is counted.
	Surge *resource.Quantity `json:"surge,omitempty"`
	// LargestFit is the largest number of replicas for which this key has enough;
	// absent where the object has no single number of replicas.
	LargestFit *int64 `json:"largestFit,omitempty"`
	// Idle is the sibling group that has most of this key left, if any has some.
	Idle *QuotaIdle `json:"idle,omitempty"`
	// Parent is the group's parent, if it has some of this key left.
	Parent *QuotaIdle `json:"parent,omitempty"`
	// Users are what uses most of the key, the largest first, as far as is known.
	Users []QuotaUser `json:"users,omitempty"`
}

// QuotaUser is what uses some of a group's key.
type QuotaUser struct {
	// Object is a workload ("nlp/deployment.apps/web"), or a child, which takes its hard
	// ("bizgroupresourcequota.stowage.dev/vision").
	Object string            `json:"object"`
	Uses   resource.Quantity `json:"uses"`
}

// QuotaIdle is what a group has left of one key.
type QuotaIdle struct {
	Group string            `json:"group"`
	Left  resource.Quantity `json:"left"`
}

// QuotaTree is what business groups may use, and what they use of it.
// `kubectl quota tree -o json` prints it.
//
// +kubebuilder:object:root=true
type QuotaTree struct {
	metav1.TypeMeta `json:",inline"`

	// Items has an entry for each group, a parent before its children.
	Items []QuotaTreeItem `json:"items"`
	// Warnings say in one line each what could not be seen, what charges nothing, and which
	// groups hang on no root or are not counted.
	Warnings []string `json:"warnings,omitempty"`
}

// QuotaTreeItem is one group; in a cluster without groups, one ResourceQuota.
type QuotaTreeItem struct {
	// Namespace is a ResourceQuota's; empty for a group.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// DisplayName is what people call the group, of any script; empty for its name.
	DisplayName string `json:"displayName,omitempty"`
	Parent      string `json:"parent,omitempty"`
	// Broken says why the group hangs on no root: its parent is missing, or it is its
	// own ancestor. Empty for a group that does.
	Broken string `json:"broken,omitempty"`
	// Depth is how many groups are above it, up to the one that was asked for, those
	// that were left out of the report included.
	Depth int `json:"depth"`
	// Keys has an entry for each key of the group's hard, sorted by key.
	Keys []QuotaTreeKey `json:"keys"`
	// Conditions are the group's.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Uncharged are the objects that name the group and charge it nothing, as they are of no
	// known kind of workload or cannot be read.
	Uncharged []QuotaUncharged `json:"uncharged,omitempty"`
}

// QuotaUncharged is an object that names a group and charges it nothing.
type QuotaUncharged struct {
	// Object is "nlp/farm.example.com/a".
	Object string `json:"object"`
	// Why is the reason, and what to do.
	Why string `json:"why"`
}

// QuotaTreeKey is one key of a group's hard. Of a cash key, amounts are in the
// resource's unit x hours.
type QuotaTreeKey struct {
	Key  string            `json:"key"`
	Hard resource.Quantity `json:"hard"`
	// Used is SelfUsed (by the group's own workloads) + Children (their hard) +
	// Reserved (admitted, not yet seen).
	Used     resource.Quantity `json:"used"`
	SelfUsed resource.Quantity `json:"selfUsed"`
	Children resource.Quantity `json:"children"`
	Reserved resource.Quantity `json:"reserved"`
	// Left is Hard - Used: below zero when the group is overcommitted.
	Left resource.Quantity `json:"left"`
	// Percent is the share of Hard in use, rounded down; 100 when nothing may be
	// used and something is.
	Percent int64 `json:"percent"`
	// PerHour is what the group's own pods use of a cash key in an hour, as they run
	// now; absent for other keys, and where the pods are unknown.
	PerHour *resource.Quantity `json:"perHour,omitempty"`
	// RunsOut is when a cash key is used up at that pace; absent when it never is, or
	// is already.
	RunsOut *metav1.Time `json:"runsOut,omitempty"`
	// Refills is when the used cash next starts again at zero; absent for never.
	Refills *metav1.Time `json:"refills,omitempty"`
}

// QuotaVerify compares groups' ledgers with what is there. `kubectl quota verify
// -o json` prints it.
//
// +kubebuilder:object:root=true
type QuotaVerify struct {
	metav1.TypeMeta `json:",inline"`

	// Groups is how many groups were compared.
	Groups int `json:"groups"`
	// Items has an entry for each key of a group that has drifted.
	Items []QuotaDrift `json:"items"`
	// Warnings say in one line each what could not be seen, what charges nothing, and which
	// groups hang on no root.
	Warnings []string `json:"warnings,omitempty"`
}

// QuotaDrift is a key whose ledger differs from what is there.
type QuotaDrift struct {
	Group string `json:"group"`
	Key   string `json:"key"`
	// Ledger is the status's used; Reality is what workloads, children and standing
	// reservations make it; Drift is Ledger - Reality.
	Ledger  resource.Quantity `json:"ledger"`
	Reality resource.Quantity `json:"reality"`
	Drift   resource.Quantity `json:"drift"`
}
