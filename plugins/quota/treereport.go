package quota

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

func newQuotaTree() *reportv1alpha1.QuotaTree {
	report := &reportv1alpha1.QuotaTree{Items: []reportv1alpha1.QuotaTreeItem{}}
	report.SetGroupVersionKind(reportv1alpha1.GroupVersion.WithKind("QuotaTree"))
	return report
}

// treeReporter reports groups depth first.
type treeReporter struct {
	tree *quota.Tree
	// runs are the pods that charge groups; nil where pods are unknown.
	runs  map[string][]quota.Run
	now   time.Time
	items []reportv1alpha1.QuotaTreeItem
	seen  map[string]bool
}

func newTreeReporter(w *world) *treeReporter {
	return &treeReporter{tree: w.tree, runs: w.runs(), now: w.now(), seen: map[string]bool{}}
}

// add reports the group and all below it, each once.
func (r *treeReporter) add(group *quota.Group, depth int) {
	if r.seen[group.Name] {
		return
	}
	r.seen[group.Name] = true
	r.items = append(r.items, r.item(group, depth))
	for _, child := range r.tree.Children(group.Name) {
		r.add(child, depth+1)
	}
}

func (r *treeReporter) item(group *quota.Group, depth int) reportv1alpha1.QuotaTreeItem {
	item := reportv1alpha1.QuotaTreeItem{
		Name:       group.Name,
		Parent:     group.Spec.ParentBizGroup,
		Depth:      depth,
		Keys:       []reportv1alpha1.QuotaTreeKey{},
		Conditions: group.Status.Conditions,
	}
	reserved := corev1.ResourceList{}
	for _, reservation := range group.Status.Reservations {
		for key, amount := range reservation.Amounts {
			reserved[key] = plus(reserved[key], amount)
		}
	}
	pace := quota.Pace(r.runs[group.Name])
	for _, name := range quota.Keys(group.Spec.Hard) {
		key := newTreeKey(string(name), group.Spec.Hard[name], group.Status.Used[name])
		key.SelfUsed = group.Status.SelfUsed[name]
		key.Reserved = reserved[quota.Canonical(name)]
		key.Children = less(less(key.Used, key.SelfUsed), key.Reserved)
		if quota.IsCash(name) {
			r.setHours(&key, group, pace)
		}
		item.Keys = append(item.Keys, key)
	}
	return item
}

// setHours says of a cash key how long it lasts.
func (r *treeReporter) setHours(key *reportv1alpha1.QuotaTreeKey, group *quota.Group, pace corev1.ResourceList) {
	if next := quota.NextRefill(group, r.now); !next.IsZero() {
		key.Refills = new(metav1.NewTime(next.UTC()))
	}
	if r.runs == nil {
		return
	}
	name := corev1.ResourceName(key.Key)
	perHour := pace[quota.Canonical(name)]
	key.PerHour = &perHour
	alone := *group
	alone.Spec.Hard = corev1.ResourceList{name: key.Hard}
	if at, _, ok := quota.RunsOut(&alone, pace, r.now); ok {
		key.RunsOut = new(metav1.NewTime(at.UTC().Truncate(time.Second)))
	}
}

// newTreeKey is what is used and left of a key.
func newTreeKey(key string, hard, used resource.Quantity) reportv1alpha1.QuotaTreeKey {
	k := reportv1alpha1.QuotaTreeKey{Key: key, Hard: hard, Used: used, Left: less(hard, used)}
	k.Percent = int64(share(k)*100 + rounding)
	return k
}

// rounding is added to a percentage before it is cut or compared, which floating
// point may have put just below a whole one.
const rounding = 1e-9

// share is how much of a key's hard is used, 1 being all, as is any use of nothing.
func share(key reportv1alpha1.QuotaTreeKey) float64 {
	switch {
	case key.Used.Sign() <= 0:
		return 0
	case key.Hard.IsZero():
		return 1
	}
	return key.Used.AsApproximateFloat64() / key.Hard.AsApproximateFloat64()
}

// nativeItems are ResourceQuotas as a tree without depth.
func nativeItems(quotas []*corev1.ResourceQuota) []reportv1alpha1.QuotaTreeItem {
	items := []reportv1alpha1.QuotaTreeItem{}
	for _, native := range quotas {
		item := reportv1alpha1.QuotaTreeItem{Namespace: native.Namespace, Name: native.Name, Keys: []reportv1alpha1.QuotaTreeKey{}}
		for _, name := range quota.Keys(native.Spec.Hard) {
			key := newTreeKey(string(name), native.Spec.Hard[name], native.Status.Used[name])
			key.SelfUsed = key.Used
			item.Keys = append(item.Keys, key)
		}
		items = append(items, item)
	}
	return items
}

func plus(a, b resource.Quantity) resource.Quantity {
	sum := a.DeepCopy()
	sum.Add(b)
	return sum
}

func less(a, b resource.Quantity) resource.Quantity {
	difference := a.DeepCopy()
	difference.Sub(b)
	return difference
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
