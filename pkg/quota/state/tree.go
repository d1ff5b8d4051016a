package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// Tree reports the named group and all below it; every group where name is empty,
// and the ResourceQuotas of the namespaces where there is no group.
func (s *State) Tree(name string) (*report.QuotaTree, error) {
	tree := &report.QuotaTree{}
	tree.SetGroupVersionKind(report.GroupVersion.WithKind("QuotaTree"))
	if len(s.Snapshot.BizGroupResourceQuotas) == 0 && name == "" {
		tree.Items = nativeItems(s.Snapshot.ResourceQuotas)
		return tree, nil
	}
	roots := s.Groups.Roots()
	if name == "" { // what is below no root: a cycle, which only a broken dump can have
		roots = append(roots, s.Snapshot.BizGroupResourceQuotas...)
	} else {
		group, err := s.Group(name)
		if err != nil {
			return nil, err
		}
		roots = []*quota.Group{group}
	}
	walk := &walk{State: s, seen: map[string]bool{}, items: []report.QuotaTreeItem{}}
	for _, root := range roots {
		walk.add(root, 0)
	}
	tree.Items = walk.items
	return tree, nil
}

// walk reports groups depth first.
type walk struct {
	*State
	items []report.QuotaTreeItem
	seen  map[string]bool
}

// add reports the group and all below it, each once.
func (w *walk) add(group *quota.Group, depth int) {
	if w.seen[group.Name] {
		return
	}
	w.seen[group.Name] = true
	w.items = append(w.items, w.item(group, depth))
	for _, child := range w.Groups.Children(group.Name) {
		w.add(child, depth+1)
	}
}

func (s *State) item(group *quota.Group, depth int) report.QuotaTreeItem {
	item := report.QuotaTreeItem{
		Name:        group.Name,
		DisplayName: displayName(group),
		Parent:      group.Spec.ParentBizGroup,
		Broken:      s.broken(group),
		Depth:       depth,
		Keys:        []report.QuotaTreeKey{},
		Conditions:  group.Status.Conditions,
		Uncharged:   s.uncharged()[group.Name],
	}
	reserved := reservedBy(group)
	pace := quota.Pace(s.runs()[group.Name])
	for _, name := range quota.Keys(group.Spec.Hard) {
		key := newKey(string(name), group.Spec.Hard[name], group.Status.Used[name])
		key.SelfUsed = group.Status.SelfUsed[name]
		key.Reserved = reserved[quota.Canonical(name)]
		key.Children = less(less(key.Used, key.SelfUsed), key.Reserved)
		if quota.IsCash(name) {
			s.setHours(&key, group, pace)
		}
		item.Keys = append(item.Keys, key)
	}
	return item
}

// displayName is what people call a group.
func displayName(group *quota.Group) string {
	return group.Annotations[stowagev1alpha1.DisplayNameAnnotation]
}

// reservedBy is the sum of the group's reservations, by canonical key.
func reservedBy(group *quota.Group) corev1.ResourceList {
	sum := corev1.ResourceList{}
	for _, reservation := range group.Status.Reservations {
		for key, amount := range reservation.Amounts {
			total := sum[key].DeepCopy()
			total.Add(amount)
			sum[key] = total
		}
	}
	return sum
}

// setHours says of a cash key how long it lasts.
func (s *State) setHours(key *report.QuotaTreeKey, group *quota.Group, pace corev1.ResourceList) {
	if next := quota.NextRefill(group, s.Now); !next.IsZero() {
		key.Refills = new(metav1.NewTime(next.UTC()))
	}
	if s.runs() == nil {
		return
	}
	name := corev1.ResourceName(key.Key)
	perHour := pace[quota.Canonical(name)]
	key.PerHour = &perHour
	alone := *group
	alone.Spec.Hard = corev1.ResourceList{name: key.Hard}
	if at, _, ok := quota.RunsOut(&alone, pace, s.Now); ok {
		key.RunsOut = new(metav1.NewTime(at.UTC().Truncate(time.Second)))
	}
}

// nativeItems are ResourceQuotas as a tree without depth.
func nativeItems(quotas []*corev1.ResourceQuota) []report.QuotaTreeItem {
	items := []report.QuotaTreeItem{}
	for _, native := range quotas {
		item := report.QuotaTreeItem{Namespace: native.Namespace, Name: native.Name, Keys: []report.QuotaTreeKey{}}
		for _, name := range quota.Keys(native.Spec.Hard) {
			key := newKey(string(name), native.Spec.Hard[name], native.Status.Used[name])
			key.SelfUsed = key.Used
			item.Keys = append(item.Keys, key)
		}
		items = append(items, item)
	}
	return items
}

// newKey is what is used and left of a key.
func newKey(key string, hard, used resource.Quantity) report.QuotaTreeKey {
	k := report.QuotaTreeKey{Key: key, Hard: hard, Used: used, Left: less(hard, used)}
	k.Percent = int64(percent(k))
	return k
}

// percent is how many hundredths of a key's hard are used; 100 for any use of
// nothing. It is a trifle more, as floating point may put it just below a whole
// number and it is cut or compared.
func percent(key report.QuotaTreeKey) float64 {
	const trifle = 1e-9
	switch {
	case key.Used.Sign() <= 0:
		return trifle
	case key.Hard.IsZero():
		return 100 + trifle
	}
	return key.Used.AsApproximateFloat64()/key.Hard.AsApproximateFloat64()*100 + trifle
}

// MostUsed are the n keys of which the largest share is used, in their order.
func MostUsed(keys []report.QuotaTreeKey, n int) []report.QuotaTreeKey {
	if len(keys) <= n {
		return keys
	}
	most := slices.Clone(keys)
	slices.SortStableFunc(most, func(a, b report.QuotaTreeKey) int { return cmp.Compare(percent(b), percent(a)) })
	most = most[:n]
	slices.SortFunc(most, func(a, b report.QuotaTreeKey) int { return cmp.Compare(a.Key, b.Key) })
	return most
}

// Selection is a part of a tree.
type Selection struct {
	// Keys are the keys to keep, in any spelling; nil for all. A group that has none
	// of them is left out.
	Keys []string
	// Over leaves out the groups without a key of which at least so many hundredths
	// are used; nil leaves out none.
	Over *float64
}

// Select leaves of a tree what is selected, each group as deep as it is. The error says
// which key no group has.
func Select(tree *report.QuotaTree, by Selection) error {
	if err := by.check(tree); err != nil {
		return err
	}
	kept := []report.QuotaTreeItem{}
	for _, item := range tree.Items {
		item.Keys = slices.DeleteFunc(slices.Clone(item.Keys), func(key report.QuotaTreeKey) bool { return !by.wants(key) })
		if len(item.Keys) == 0 && len(by.Keys) > 0 || by.Over != nil && !slices.ContainsFunc(item.Keys, by.isOver) {
			continue
		}
		kept = append(kept, item)
	}
	tree.Items = kept
	return nil
}

// WithParents are the items of a selection with those above them in the whole tree, in
// its order; those are without keys, and given as above.
func WithParents(whole, selected []report.QuotaTreeItem) (items []report.QuotaTreeItem, above map[string]bool) {
	above = map[string]bool{}
	chosen := map[string]report.QuotaTreeItem{}
	for _, item := range selected {
		chosen[item.Namespace+"/"+item.Name] = item
	}
	var line []report.QuotaTreeItem // the item and those above it, from the root down
	shown := 0                      // how many of the line are in items
	for _, item := range whole {
		line = append(line[:min(len(line), item.Depth)], item)
		shown = min(shown, len(line)-1)
		found, ok := chosen[item.Namespace+"/"+item.Name]
		if !ok {
			continue
		}
		for _, parent := range line[shown : len(line)-1] {
			above[parent.Name] = true
			parent.Keys = nil
			items = append(items, parent)
		}
		items = append(items, found)
		shown = len(line)
	}
	return items, above
}

func (by Selection) isOver(key report.QuotaTreeKey) bool { return percent(key) >= *by.Over }

func (by Selection) wants(key report.QuotaTreeKey) bool {
	return len(by.Keys) == 0 || slices.ContainsFunc(by.Keys, func(wanted string) bool { return same(key.Key, wanted) })
}

func same(a, b string) bool {
	return quota.Canonical(corev1.ResourceName(a)) == quota.Canonical(corev1.ResourceName(b))
}

// check refuses a key that no group has.
func (by Selection) check(tree *report.QuotaTree) error {
	if len(by.Keys) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, item := range tree.Items {
		for _, key := range item.Keys {
			known[key.Key] = true
		}
	}
	names := slices.Sorted(maps.Keys(known))
	for _, wanted := range by.Keys {
		if !slices.ContainsFunc(names, func(name string) bool { return same(name, wanted) }) {
			return fmt.Errorf("%q: no group has this key, expected one of %s%s", wanted, strings.Join(names, ", "), nearest.DidYouMean(wanted, names))
		}
	}
	return nil
}

// less is a - b.
func less(a, b resource.Quantity) resource.Quantity {
	difference := a.DeepCopy()
	difference.Sub(b)
	return difference
}
