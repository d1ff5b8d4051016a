package quota

import (
	"fmt"
	"slices"
	"strings"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// TakesPart says whether workloads of a namespace of these labels may charge groups. One
// that demands a group of them takes part by that.
func TakesPart(labels map[string]string) bool {
	return labels[stowagev1alpha1.QuotaLabel] == stowagev1alpha1.QuotaEnabled || RequiresGroup(labels)
}

// refuseOutside refuses what a workload charges from a namespace that takes no part.
func refuseOutside(w *workload.Workload) *report.QuotaCheck {
	check := newCheck(w.Group, objectName(w))
	refuse(check, `namespace %s: takes no part in quota: have an administrator run "kubectl quota enable %s"`, w.Namespace, w.Namespace)
	return check
}

// warnOutside warns that it is not known whether the namespace takes part.
func warnOutside(check *report.QuotaCheck, namespace string) {
	warn(check, "namespace %s: whether it takes part in quota is not known (label %s=%s): without it, this is refused",
		namespace, stowagev1alpha1.QuotaLabel, stowagev1alpha1.QuotaEnabled)
}

// RequiresGroup says whether a namespace of these labels demands that each of its
// workloads has a group.
func RequiresGroup(labels map[string]string) bool {
	return labels[stowagev1alpha1.RequireGroupLabel] == "true"
}

// CheckUngrouped judges a workload without a group in a namespace that demands one. A
// workload that had no group before may stay as it is, or become smaller. allowing names
// the groups that allow a namespace: who has rights in a namespace alone cannot list them.
func CheckUngrouped(c Change, allowing func(namespace string) []string) *report.QuotaCheck {
	check := newCheck("", objectName(c.New))
	if c.ties() || c.grows() {
		refuse(check, "namespace %s: every workload needs a group (label %s): add the label %s: NAME; %s",
			c.New.Namespace, stowagev1alpha1.RequireGroupLabel, stowagev1alpha1.GroupLabel, choice(allowing(c.New.Namespace)))
	}
	return check
}

// choice says which groups there are to name in a namespace.
func choice(groups []string) string {
	const most = 5
	if len(groups) == 0 {
		return "no group allows this namespace by its spec.allow.namespaces: ask who administers quota which one to name"
	}
	return "groups that allow this namespace: " + Few(groups, most)
}

// Few is the first names, and how many more there are: "a, b and 2 more".
func Few(names []string, most int) string {
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// CheckPart judges what somebody other than its controller does with a part of the
// workload charged, which is charged for it: nobody else may make such a part, or make
// it larger. A forged owner buys nothing. owner is the kind of the part's owner.
func CheckPart(c Change, owner *workload.Kind, charged *workload.Workload) *report.QuotaCheck {
	check := newCheck("", objectName(c.New))
	switch {
	case c.Old == nil || c.Old.Owner == nil || c.Old.Owner.UID != c.New.Owner.UID:
		refuse(check, "metadata.ownerReferences: only the controller of %s makes its %s: remove the owner reference",
			owner.GroupResource(), c.New.Kind.GroupResource())
	case c.grows():
		refuse(check, "%s: is part of %s, which charges group %s for it: change that instead", c.New, charged, charged.Group)
	}
	return check
}

// refuseRelabelled refuses new labels to a part without a group of the counted workload
// charged, where every workload needs one: with other labels its controller may let it
// go, and nobody would be charged for it.
func refuseRelabelled(check *report.QuotaCheck, part, charged *workload.Workload) {
	refuse(check, "%s: is part of %s, which charges group %s for it, and may be let go under other labels: add the label %s: %s with them",
		part, charged, charged.Group, stowagev1alpha1.GroupLabel, charged.Group)
}

// checkLabels demands that the templates of a workload name its group, in a namespace
// where every workload needs one: what the workload makes may come to stand by itself. A
// workload that did without before, and neither grows nor moves, may go on so.
func checkLabels(check *report.QuotaCheck, c Change, grows bool) {
	for i := range c.New.PodSets {
		set := &c.New.PodSets[i]
		if set.IsPod || set.Elsewhere || set.Template.Labels[stowagev1alpha1.GroupLabel] != "" {
			continue
		}
		if c.ties() || grows || labelled(c.Old) {
			refuse(check, "namespace %s: what is made in it needs a group too (label %s): add the label %s: %s to %s.metadata.labels",
				c.New.Namespace, stowagev1alpha1.RequireGroupLabel, stowagev1alpha1.GroupLabel, c.New.Group, strings.Join(set.TemplatePath, "."))
			return
		}
	}
}

// labelled says whether each of the workload's templates names a group.
func labelled(w *workload.Workload) bool {
	return !slices.ContainsFunc(w.PodSets, func(set workload.PodSet) bool {
		return !set.Elsewhere && set.Template.Labels[stowagev1alpha1.GroupLabel] == ""
	})
}

// grows says whether the change lets the workload have more of anything.
func (c Change) grows() bool {
	return len(c.declaresMore(c.options(false))) > 0
}

// CheckTemplate judges a workload without pods of its own (a CronJob): the template
// of what it makes must name its group, as it is that which is charged.
func CheckTemplate(w *workload.Workload, templateGroup string) *report.QuotaCheck {
	check := newCheck(w.Group, objectName(w))
	if templateGroup != w.Group {
		refuse(check, "%s.metadata.labels: must name the group that the object names, as what it makes is charged there: add the label %s: %s",
			w.Kind.Template, stowagev1alpha1.GroupLabel, w.Group)
	}
	return check
}

// RefuseUse turns check into a refusal for the one reason that who ("user alice",
// "you") may not charge the group from the namespace; it tells nothing else of it.
func RefuseUse(check *report.QuotaCheck, who, namespace string) {
	*check = *newCheck(check.Group, check.Object)
	refuse(check, `group %s: %s may not charge it from namespace %s: have %s added to the group's spec.allow.namespaces, or the verb "use" on %s/%s granted`,
		check.Group, who, namespace, namespace, stowagev1alpha1.BizGroupResourceQuotaResource, check.Group)
}

// warnUse warns that it is not known who may charge the group from the namespace.
func warnUse(check *report.QuotaCheck, namespace string) {
	warn(check, `group %s: its spec.allow.namespaces does not have %s, and a dump does not say who has the verb "use" on %s/%s: without it, this is refused`,
		check.Group, namespace, stowagev1alpha1.BizGroupResourceQuotaResource, check.Group)
}

// Warn turns a refusal into warnings of its reasons, each after prefix.
func Warn(check *report.QuotaCheck, prefix string) {
	for _, reason := range check.Reasons {
		warn(check, "%s%s", prefix, reason)
	}
	check.Allowed, check.Reasons, check.Exceeded = true, []string{}, []report.QuotaExceeded{}
}
