package quota

import (
	"fmt"
	"math/big"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the component's image has no time zones of its own

	"github.com/robfig/cron/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// GroupGrowth is by how much a group's change makes what it takes of its parent
// grow, by canonical key. old is nil for a creation.
func GroupGrowth(old, group *Group) corev1.ResourceList {
	var before corev1.ResourceList
	if old != nil {
		before = countable(CanonicalList(old.Spec.Hard))
	}
	return Increase(before, countable(CanonicalList(group.Spec.Hard)))
}

// CheckCreate judges a new group: a valid spec, a parent that exists, every key of
// the parent's hard, and enough left there.
func (t *Tree) CheckCreate(group *Group) *report.QuotaCheck {
	return t.checkSpec(nil, group)
}

// CheckUpdate judges a group's new spec: as for a creation, by the difference; the
// parent stays; and a new key must be in every child first.
func (t *Tree) CheckUpdate(old, group *Group) *report.QuotaCheck {
	check := t.checkSpec(old, group)
	if old.Spec.ParentBizGroup != group.Spec.ParentBizGroup {
		refuse(check, "spec.parentBizGroup: never changes (it is %q): create a new group under %q and move the workloads there", old.Spec.ParentBizGroup, group.Spec.ParentBizGroup)
	}
	had := CanonicalList(old.Spec.Hard)
	for _, key := range Keys(group.Spec.Hard) {
		if _, ok := had[Canonical(key)]; ok {
			continue
		}
		if lacking := t.childrenWithout(group.Name, key); len(lacking) > 0 {
			refuse(check, "spec.hard: a new key must be in every child first: %s is not in %s", key, strings.Join(lacking, ", "))
		}
	}
	for _, key := range Keys(group.Spec.Hard) {
		if used, hard := group.Status.Used[key], group.Spec.Hard[key]; !tooLong(hard) && used.Cmp(hard) > 0 {
			amounts := Amounts(key, hard, used)
			warn(check, "group %s: %s: %s is below the %s in use: nothing in it or below it grows until it fits", group.Name, key, amounts[0], amounts[1])
		}
	}
	return check
}

// childrenWithout names the children that lack key, those being created included.
func (t *Tree) childrenWithout(name string, key corev1.ResourceName) []string {
	var lacking []string
	for _, child := range t.Children(name) {
		if _, ok := CanonicalList(child.Spec.Hard)[Canonical(key)]; !ok {
			lacking = append(lacking, child.Name)
		}
	}
	group := t.Group(name)
	if group == nil {
		return lacking
	}
	for _, reservation := range group.Status.Reservations {
		pending := reservation.Object.Resource == GroupResource && reservation.BaseResourceVersion == "" && t.Group(reservation.Object.Name) == nil
		if _, ok := reservation.Amounts[Canonical(key)]; pending && !ok {
			lacking = append(lacking, reservation.Object.Name)
		}
	}
	return lacking
}

// CheckDelete judges a group's deletion: leaves only, and not while workloads
// charge it, unless it is annotated stowage.dev/delete-with-workloads=true.
func (t *Tree) CheckDelete(group *Group) *report.QuotaCheck {
	check := newCheck(group.Spec.ParentBizGroup, groupName(group))
	var children []string
	for _, child := range t.Children(group.Name) {
		children = append(children, child.Name)
	}
	for _, reservation := range group.Status.Reservations {
		if reservation.Object.Resource == GroupResource && !slices.Contains(children, reservation.Object.Name) {
			children = append(children, reservation.Object.Name)
		}
	}
	if len(children) > 0 {
		refuse(check, "group %s: has children (%s): only a leaf can be deleted; delete them first", group.Name, strings.Join(children, ", "))
		return check
	}
	if group.Annotations[stowagev1alpha1.DeleteWithWorkloadsAnnotation] == "true" {
		return check
	}
	if charged := charges(group); len(charged) > 0 {
		refuse(check, "group %s: workloads charge it (%s): delete or move them first, or annotate it %s=true", group.Name,
			strings.Join(charged, ", "), stowagev1alpha1.DeleteWithWorkloadsAnnotation)
	}
	return check
}

// charges says what the group's own workloads charge, "limits.cpu 4", or how many
// they are.
func charges(group *Group) []string {
	self := group.Status.SelfUsed.DeepCopy()
	if self == nil {
		self = corev1.ResourceList{}
	}
	for _, reservation := range group.Status.Reservations {
		add(self, project(reservation.Amounts, group.Spec.Hard))
	}
	var charged []string
	for _, key := range Keys(self) {
		if quantity := self[key]; !IsCash(key) && quantity.Sign() > 0 {
			charged = append(charged, fmt.Sprintf("%s %s", key, Amount(key, quantity)))
		}
	}
	n := int64(group.Status.Workloads)
	for _, reservation := range group.Status.Reservations {
		if reservation.Object.Resource != GroupResource && reservation.BaseResourceVersion == "" {
			n++
		}
	}
	if len(charged) == 0 && n > 0 {
		return []string{count(n, "workload")} // of other keys than hard's, or of its hours
	}
	return charged
}

// checkSpec judges what creations and updates have in common.
func (t *Tree) checkSpec(old, group *Group) *report.QuotaCheck {
	check := newCheck(group.Spec.ParentBizGroup, groupName(group))
	for _, problem := range Validate(group) {
		refuse(check, "%s", problem)
	}
	check.Warnings = append(check.Warnings, slices.Concat(pointless(group), modelsOnly(group), misspelt(group))...)
	check.Warnings = append(check.Warnings, fractions(group.Spec.Hard)...)
	if group.Spec.ParentBizGroup == "" || group.Spec.ParentBizGroup == group.Name {
		return check
	}
	parent, hard, growth := t.Group(group.Spec.ParentBizGroup), CanonicalList(group.Spec.Hard), GroupGrowth(old, group)
	if closed(parent) {
		if old == nil || parent != nil && len(growth) > 0 {
			refuse(check, "spec.parentBizGroup: %s", t.whyClosed(group.Spec.ParentBizGroup))
		}
		return check
	}
	for _, key := range Keys(parent.Spec.Hard) {
		if _, ok := hard[Canonical(key)]; !ok {
			refuse(check, "spec.hard: lacks %s, which its parent %s has: give every key of the parent", key, parent.Name)
		} else if needs, grows := growth[Canonical(key)]; grows {
			t.checkKey(check, parent, key, needs, nil)
		}
	}
	for _, ancestor := range t.Ancestors(parent) { // of which the group takes nothing
		for _, key := range overgrown(ancestor, growth) {
			warn(check, "%s", stopped(ancestor, key))
		}
	}
	return check
}

// GroupResource names groups in a ledger.
const GroupResource = stowagev1alpha1.BizGroupResourceQuotaResource + "." + stowagev1alpha1.GroupName

// GroupSingular is how kubectl names one group's resource.
const GroupSingular = "bizgroupresourcequota." + stowagev1alpha1.GroupName

// ReferenceTo names a group in a ledger.
func ReferenceTo(group *Group) stowagev1alpha1.ObjectReference {
	return stowagev1alpha1.ObjectReference{Resource: GroupResource, Name: group.Name, UID: group.UID}
}

func groupName(group *Group) string {
	return GroupSingular + "/" + group.Name
}

// Validate says what is wrong with a group's spec by itself, a line a field.
func Validate(group *Group) []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if group.Name != "" && group.Spec.ParentBizGroup == group.Name {
		problem("spec.parentBizGroup: a group cannot be its own parent; leave it empty for a root")
	}
	seen := map[corev1.ResourceName]corev1.ResourceName{}
	for _, key := range Keys(group.Spec.Hard) {
		if err := validateKey(key); err != nil {
			problem("spec.hard[%s]: unknown key: %v%s", key, err, keyHint(key))
		} else if err := validateQuantity(key, group.Spec.Hard[key]); err != nil {
			problem("spec.hard[%s]: %v", key, err)
		}
		if same, ok := seen[Canonical(key)]; ok {
			problem("spec.hard[%s]: means the same as %s: give one of them", key, same)
		}
		seen[Canonical(key)] = key
	}
	if refill := group.Spec.Refill; refill != nil {
		if _, err := parseRefill(refill); err != nil {
			problem("%v", err)
		}
	}
	if allow := group.Spec.Allow; allow != nil {
		for i, pattern := range allow.Namespaces {
			if _, err := path.Match(pattern, ""); err != nil {
				problem("spec.allow.namespaces[%d]: %q is no shell pattern such as nlp-*: %v", i, pattern, err)
			}
		}
	}
	return problems
}

// pointless says which model keys can never be used up.
func pointless(group *Group) []string {
	var warnings []string
	keys := Keys(group.Spec.Hard)
	for _, key := range keys {
		base := parentOf(key, keys)
		if base == "" {
			continue
		}
		if of, total := group.Spec.Hard[key], group.Spec.Hard[base]; !tooLong(of) && !tooLong(total) && of.Cmp(total) > 0 {
			amounts := Amounts(key, of, total)
			warnings = append(warnings, fmt.Sprintf("spec.hard[%s]: %s is above %s (%s), which counts the same use: it never limits anything", key, amounts[0], base, amounts[1]))
		}
	}
	return warnings
}

// fractions says which keys count bytes in fractions: what is meant is likely Mi.
func fractions(hard corev1.ResourceList) []string {
	var warnings []string
	for _, key := range Keys(hard) {
		if quantity := hard[key]; !IsCash(key) && countsBytes(key) && fractional(quantity) {
			warnings = append(warnings, fmt.Sprintf("spec.hard[%s]: %s", key, aboutFraction(quantity)))
		}
	}
	return warnings
}

// fractional says whether a quantity is no whole number.
func fractional(quantity resource.Quantity) bool {
	const unit = 1_000_000_000
	return !tooLong(quantity) && new(big.Int).Rem(nano(quantity), big.NewInt(unit)).Sign() != 0
}

// aboutFraction says of a quantity of bytes, which is no whole number, what it means.
func aboutFraction(quantity resource.Quantity) string {
	bytes := strconv.FormatFloat(quantity.AsApproximateFloat64(), 'f', -1, 64)
	return fmt.Sprintf(`%s is %s bytes, as "m" is a thousandth: 500Mi is 500 mebibytes`, quantity.String(), bytes)
}

// Allows says whether spec.allow lets workloads of the namespace charge the group.
func Allows(group *Group, namespace string) bool {
	return group.Spec.Allow != nil && slices.ContainsFunc(group.Spec.Allow.Namespaces, func(pattern string) bool {
		matched, err := path.Match(pattern, namespace)
		return err == nil && matched
	})
}

// parseRefill returns when the group's cash is refilled. The error names the field;
// a schedule that never comes is one.
func parseRefill(refill *stowagev1alpha1.Refill) (cron.Schedule, error) {
	zone := time.UTC
	if refill.TimeZone != "" {
		var err error
		if zone, err = time.LoadLocation(refill.TimeZone); err != nil || refill.TimeZone == "Local" {
			return nil, fmt.Errorf("spec.refill.timeZone: %q is no time zone: expected an IANA name such as Asia/Shanghai", refill.TimeZone)
		}
	}
	if strings.Contains(refill.Schedule, "TZ=") {
		return nil, fmt.Errorf("spec.refill.schedule: %q: give the time zone in spec.refill.timeZone", refill.Schedule)
	}
	schedule, err := cron.ParseStandard("TZ=" + zone.String() + " " + refill.Schedule)
	if err != nil {
		return nil, fmt.Errorf(`spec.refill.schedule: %q: %w; expected five Cron fields such as "0 0 * * 1"`, refill.Schedule, err)
	}
	if _, relative := schedule.(cron.ConstantDelaySchedule); relative {
		return nil, fmt.Errorf(`spec.refill.schedule: %q has no fixed times: expected five Cron fields such as "0 0 * * 1"`, refill.Schedule)
	}
	if schedule.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("spec.refill.schedule: %q never comes: give one that does", refill.Schedule)
	}
	return schedule, nil
}
