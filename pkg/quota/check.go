package quota

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Change is a workload's change under admission.
type Change struct {
	// Old is the workload before; nil for a creation. New is the workload after.
	Old, New *workload.Workload
	// Nodes are the cluster's, for workloads with a pod on each eligible node.
	Nodes []*corev1.Node
	// Made is what stands of what the workload has made.
	Made []Part
	// Defaults are what the API server will add to the pods of its templates.
	Defaults workload.Defaults
}

// Growth is by how much the change makes the workload's charge of the group grow,
// by canonical key: the new charge where the workload was not the group's before,
// else what it declares more. Keys that do not grow are left out.
//
// That pods of it still live is no room for what is declared anew: they may be gone,
// and their room another's, before the change is persisted. So what is declared more is
// taken at the prices with them and without them, and the larger counts. And the pods
// that live may come to be of another model by the workload's label.
func (c Change) Growth(group *Group) corev1.ResourceList {
	return c.growth(group, countsSurge(group))
}

// growth is Growth in the group, with or without what rolling updates may add.
func (c Change) growth(group *Group, surge bool) corev1.ResourceList {
	opts := c.options(surge)
	if c.Old == nil || c.Old.Group != group.Name {
		return Increase(nil, Charge(c.New, c.since(opts)))
	}
	return c.declaresMore(opts)
}

// declaresMore is what the workload declares more after the change, whatever of its pods
// lives then.
func (c Change) declaresMore(opts Options) corev1.ResourceList {
	more := Increase(declared(c.Old, opts), declared(c.New, c.since(opts)))
	if len(opts.Made) > 0 {
		before := *c.New
		before.Models = c.Old.Models
		raise(more, Increase(living(&before, opts), living(c.New, opts)))
		opts.Made = nil
		raise(more, Increase(declared(c.Old, opts), declared(c.New, c.since(opts))))
	}
	return more
}

func (c Change) options(surge bool) Options {
	return Options{Surge: surge, Nodes: c.Nodes, Made: c.Made, Defaults: c.Defaults}
}

// since are the options by which the workload after the change is charged. Where its
// controller then makes pods of older templates too, the one that the change replaces is
// such a template.
func (c Change) since(opts Options) Options {
	if c.New.Older && c.Old != nil {
		opts.Made = slices.Concat(opts.Made, templates(c.Old, c.Defaults))
	}
	return opts
}

// countsSurge says whether the group is charged for what rolling updates may add.
func countsSurge(group *Group) bool { return group.Spec.Surge == stowagev1alpha1.SurgeCount }

// ties says whether the change ties the workload to a group that it was not tied to.
func (c Change) ties() bool { return c.Old == nil || c.Old.Group != c.New.Group }

// before is what the workload declared to the group.
func (c Change) before(group *Group, opts Options) corev1.ResourceList {
	if c.Old == nil || c.Old.Group != group.Name {
		return nil
	}
	return declared(c.Old, opts)
}

// CheckWorkload judges a workload's change by what its group has left. What does
// not grow is allowed, whatever the group's state.
func (t *Tree) CheckWorkload(c Change) *report.QuotaCheck {
	if c.New.Group == "" {
		return LetBy(c.New)
	}
	group := t.Group(c.New.Group)
	if closed(group) {
		return t.checkClosed(c)
	}
	return t.checkGroup(c, group, c.Growth(group))
}

// LetBy is the verdict on a workload of which quota has nothing to say.
func LetBy(w *workload.Workload) *report.QuotaCheck {
	return newCheck(w.Group, objectName(w))
}

// closed says whether a group takes nothing new: it is not there (nil), or goes once
// its finalizers are done.
func closed(group *Group) bool { return group == nil || group.DeletionTimestamp != nil }

// checkClosed judges the change of a workload whose group is closed: it may stay and
// shrink.
func (t *Tree) checkClosed(c Change) *report.QuotaCheck {
	check := LetBy(c.New)
	if c.ties() || c.grows() {
		refuse(check, "label %s: %s", stowagev1alpha1.GroupLabel, t.whyClosed(c.New.Group))
	}
	return check
}

// whyClosed says why the group of that name takes nothing new.
func (t *Tree) whyClosed(name string) string {
	if t.Group(name) != nil {
		return fmt.Sprintf("group %q is being deleted, and takes nothing new: name another group", name)
	}
	return fmt.Sprintf("there is no group %q%s", name, nearest.DidYouMean(name, t.Names()))
}

// checkGroup judges the change of a workload by what its group has left for growth.
func (t *Tree) checkGroup(c Change, group *Group, growth corev1.ResourceList) *report.QuotaCheck {
	check := LetBy(c.New)
	for _, set := range c.New.PodSets {
		if other := set.Template.Labels[stowagev1alpha1.GroupLabel]; other != "" && other != c.New.Group {
			refuse(check, "group %s: the pod template's label %s names %s: name the same group there, or none", group.Name, stowagev1alpha1.GroupLabel, other)
			break
		}
	}
	if problem := absurdOf(c.New); problem != "" && (c.ties() || len(growth) > 0) {
		refuse(check, "%s", problem)
		return check
	}
	check.Warnings = append(check.Warnings, c.partsOfBytes()...)
	if len(group.Spec.Hard) == 0 && (c.ties() || len(growth) > 0) {
		warn(check, "group %s: lists no key: it is a folder, which limits nothing; name a group below it", group.Name)
	}
	for _, line := range c.newlyUnset(group, growth) {
		refuse(check, "group %s: %s", group.Name, line)
	}
	for _, key := range Keys(group.Spec.Hard) {
		if IsCash(key) {
			t.checkCash(check, group, key, growth)
		} else if needs, ok := growth[Canonical(key)]; ok {
			t.checkKey(check, group, key, needs, func(e *report.QuotaExceeded) {
				e.LargestFit, e.Surge = c.largestFit(group, key), c.surge(group, key)
			})
		}
	}
	t.checkAncestors(check, group, growth)
	checkModels(check, group, c, growth)
	check.Warnings = append(check.Warnings, c.uncounted(group, growth)...)
	if check.Allowed && len(check.Warnings) == 0 {
		check.Warnings = append(check.Warnings, c.chargesNothing(group, growth)...)
	}
	return check
}

// partsOfBytes says which of the workload's containers, or its pods as a whole, ask for
// bytes in fractions of one.
func (c Change) partsOfBytes() []string {
	var warnings []string
	look := func(who string, resources corev1.ResourceRequirements) {
		for _, given := range []corev1.ResourceList{resources.Limits, resources.Requests} {
			for _, name := range Keys(given) {
				if quantity := given[name]; countsBytes(requestsPrefix+name) && fractional(quantity) {
					warnings = append(warnings, fmt.Sprintf("%s: %s: %s", who, name, aboutFraction(quantity)))
				}
			}
		}
	}
	for _, pod := range podsOfSets(c.New, c.Defaults) {
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			look("container "+container.Name, container.Resources)
		}
		if pod.Spec.Resources != nil {
			look("pod", *pod.Spec.Resources)
		}
	}
	return slices.Compact(warnings)
}

// newlyUnset names what the change's workload leaves out although the group limits
// it, unless it left that out before and does not grow.
func (c Change) newlyUnset(group *Group, growth corev1.ResourceList) []string {
	lines := Unset(c.New, group.Spec.Hard, c.Defaults)
	if c.ties() || len(growth) > 0 {
		return lines
	}
	before := Unset(c.Old, group.Spec.Hard, c.Defaults)
	return slices.DeleteFunc(lines, func(line string) bool { return slices.Contains(before, line) })
}

// checkKey refuses needs of a key when the group has less left; detail, which may be nil,
// says more of what is needed.
func (t *Tree) checkKey(check *report.QuotaCheck, group *Group, key corev1.ResourceName, needs resource.Quantity, detail func(*report.QuotaExceeded)) {
	left := Left(group, key)
	if needs.Cmp(left) <= 0 {
		return
	}
	exceeded := report.QuotaExceeded{Key: string(key), Needs: needs, Left: left, Short: minus(needs, left), Hard: group.Spec.Hard[key]}
	if detail != nil {
		detail(&exceeded)
	}
	t.exceed(check, group, exceeded)
}

// exceed refuses for want of a key, and says what would help.
func (t *Tree) exceed(check *report.QuotaCheck, group *Group, exceeded report.QuotaExceeded) {
	key := corev1.ResourceName(exceeded.Key)
	amounts := Amounts(key, exceeded.Needs, exceeded.Left, exceeded.Hard)
	surge := ""
	if exceeded.Surge != nil {
		surge = fmt.Sprintf(" (%s of it for the surge of an update)", Amount(key, *exceeded.Surge))
	}
	line := about(group, key) + fmt.Sprintf("needs %s%s, %s of %s left (short %s)", amounts[0], surge, amounts[1], amounts[2], Amount(key, exceeded.Short))
	if exceeded.LargestFit != nil {
		line += fmt.Sprintf("; largest that fits: %s", count(*exceeded.LargestFit, "replica"))
	}
	exceeded.Parent, exceeded.Idle = idle(t.groups[group.Spec.ParentBizGroup], key), t.idlest(group, key)
	line += remedies(exceeded)
	check.Exceeded = append(check.Exceeded, exceeded)
	refuse(check, "%s", line)
}

// checkCash refuses growth of a resource whose hours are used up.
func (t *Tree) checkCash(check *report.QuotaCheck, group *Group, key corev1.ResourceName, growth corev1.ResourceList) {
	if _, grows := growth[Uncash(Canonical(key))]; !grows {
		return
	}
	left, hard := Left(group, key), group.Spec.Hard[key]
	if left.Sign() > 0 {
		if text := lasts(group, key, growth, left); text != "" {
			warn(check, "group %s: %s", group.Name, text)
		}
		return
	}
	used := group.Status.Used[key]
	check.Exceeded = append(check.Exceeded, report.QuotaExceeded{Key: string(key), Left: left, Short: times(left, -1), Hard: hard})
	line := fmt.Sprintf("group %s: %s: used up, %s", group.Name, key, usedOf(key, used, hard))
	if group.Spec.Refill != nil {
		line += fmt.Sprintf("; refills at %q%s", group.Spec.Refill.Schedule, inZone(group.Spec.Refill.TimeZone))
	}
	refuse(check, "%s", line)
}

func inZone(zone string) string {
	if zone == "" {
		return ""
	}
	return " " + zone
}

// largestFit is the largest number of replicas for which the group has enough of
// key; nil where the workload has no single number of replicas.
func (c Change) largestFit(group *Group, key corev1.ResourceName) *int64 {
	if _, single := c.New.Kind.ReplicasPath(); !single || len(c.New.PodSets) != 1 || c.New.PodSets[0].PerNode {
		return nil
	}
	set, opts := &c.New.PodSets[0], c.options(countsSurge(group))
	each := prices(c.New, opts)[0][Canonical(key)]
	if each.Sign() <= 0 {
		return nil
	}
	room := Left(group, key)
	if had, ok := c.before(group, opts)[Canonical(key)]; ok {
		room.Add(had)
	}
	pods := max(0, quotient(room, each))
	if !opts.Surge {
		return &pods
	}
	if set.SurgeAt == nil && set.Surge > 0 {
		return nil
	}
	fit := int64(sort.Search(int(min(pods, set.Replicas)), func(less int) bool { // how many fit is where one more does not
		replicas := int64(less) + 1
		return replicas+set.SurgeOf(replicas) > pods
	}))
	return &fit
}

// surge is what of key the workload needs more for the surge of a rolling update; nil for
// none.
func (c Change) surge(group *Group, key corev1.ResourceName) *resource.Quantity {
	if !countsSurge(group) {
		return nil
	}
	with, without := c.growth(group, true)[Canonical(key)], c.growth(group, false)[Canonical(key)]
	if more := minus(with, without); more.Sign() > 0 {
		return &more
	}
	return nil
}

func newCheck(group, object string) *report.QuotaCheck {
	check := &report.QuotaCheck{
		Allowed: true, Object: object, Group: group,
		Exceeded: []report.QuotaExceeded{}, Reasons: []string{}, Warnings: []string{},
	}
	check.SetGroupVersionKind(report.GroupVersion.WithKind("QuotaCheck"))
	return check
}

// objectName is a workload as messages name it: "nlp/deployment.apps/web".
func objectName(w *workload.Workload) string {
	name := w.String()
	if w.Namespace != "" {
		name = w.Namespace + "/" + name
	}
	return name
}

func refuse(check *report.QuotaCheck, format string, args ...any) {
	check.Allowed = false
	check.Reasons = append(check.Reasons, fmt.Sprintf(format, args...))
}

func warn(check *report.QuotaCheck, format string, args ...any) {
	check.Warnings = append(check.Warnings, fmt.Sprintf(format, args...))
}

// Text is the refusal as one message, a line a reason.
func Text(check *report.QuotaCheck) string { return strings.Join(check.Reasons, "\n") }
