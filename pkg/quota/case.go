package quota

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// DefaultReservationTTL is for how long a request may be under way: kube-apiserver's
// --request-timeout. What was reserved for it is kept that long.
const DefaultReservationTTL = 60 * time.Second

// Case is a request about which everything is known but what its group has left. Not
// safe for concurrent use.
type Case struct {
	// Group names the group by whose state the case is judged; empty where it is
	// decided without.
	Group string

	// decision is that of a case without a group.
	decision *report.QuotaCheck
	// change is that of the workload or, where template.New is given, the creation of
	// one that the workload makes.
	change, template     Change
	takesPart, mayCharge Answer
	requester            string
	// counted says that the change is not to be judged, only counted; labels, that what
	// the workload makes must name its group too.
	counted, labels bool
	// maxReplicas is how many replicas the change gives its workload where an autoscaler
	// may do so later; 0 for a change that is made now.
	maxReplicas int32
	// grown is the change's growth by whether the group counts surge.
	grown map[bool]corev1.ResourceList
}

// Check is a verdict on a case.
type Check struct {
	*report.QuotaCheck
	// Growth is by how much the change makes the charge of its group grow, by canonical
	// key: what is to be reserved if it is admitted. Empty where there is no group.
	Growth corev1.ResourceList
}

// decided is a case on which no group has a say.
func decided(check *report.QuotaCheck) *Case { return &Case{decision: check} }

// growth is the change's in the group. It is computed once for each way to count it,
// however many states of the group the case is judged by.
func (c *Case) growth(group *Group) corev1.ResourceList {
	surge := countsSurge(group)
	growth, ok := c.grown[surge]
	if !ok {
		growth = c.change.Growth(group)
		if c.grown == nil {
			c.grown = map[bool]corev1.ResourceList{}
		}
		c.grown[surge] = growth
	}
	return growth
}

// By judges the case by the groups as they are in the tree.
func (c *Case) By(tree *Tree) Check {
	switch {
	case c.Group == "":
		return Check{QuotaCheck: c.decision}
	case c.template.New != nil:
		return Check{QuotaCheck: c.byTemplate(tree)}
	case c.maxReplicas > 0:
		return Check{QuotaCheck: c.byAutoscaler(tree)}
	}
	group := tree.Group(c.Group)
	if closed(group) {
		if c.counted {
			return Check{QuotaCheck: LetBy(c.change.New)}
		}
		return Check{QuotaCheck: tree.checkClosed(c.change)}
	}
	growth := c.growth(group)
	if c.counted {
		return Check{QuotaCheck: LetBy(c.change.New), Growth: growth}
	}
	check := tree.checkGroup(c.change, group, growth)
	if c.labels {
		checkLabels(check, c.change, len(growth) > 0)
	}
	if c.change.ties() || len(growth) > 0 {
		c.checkUse(check, group)
	}
	return Check{QuotaCheck: check, Growth: growth}
}

// byTemplate judges by one object that the template makes. That it does not fit now is
// no refusal, as it is not made now; that there is no such group is one, where the
// group is named anew.
func (c *Case) byTemplate(tree *Tree) *report.QuotaCheck {
	group := tree.Group(c.Group)
	check := tree.CheckWorkload(c.change)
	check.Object = objectName(c.template.New)
	if closed(group) && c.template.ties() {
		return check
	}
	lasting := tree.whatever(c.change, group)
	now := slices.DeleteFunc(slices.Clone(check.Reasons), func(reason string) bool { return slices.Contains(lasting, reason) })
	check.Reasons = lasting
	Warn(check, "no "+c.change.New.Kind.Kind+" of it will be admitted: ")
	check.Reasons = now
	Warn(check, "one "+c.change.New.Kind.Kind+" of it does not fit now: ")
	if group != nil {
		c.checkUse(check, group)
	}
	return check
}

// whatever are the reasons to refuse a change whatever the group has left; none where it is
// closed.
func (t *Tree) whatever(c Change, group *Group) []string {
	if closed(group) {
		return nil
	}
	return t.checkGroup(c, group, nil).Reasons
}

// checkUse makes a verdict one on who may charge the group, where the requester may not
// from the workload's namespace. It warns where the namespace may take no part.
func (c *Case) checkUse(check *report.QuotaCheck, group *Group) {
	namespace := c.change.New.Namespace
	if c.takesPart == Unknown {
		warnOutside(check, namespace)
	}
	if c.mayCharge == Yes || Allows(group, namespace) {
		return
	}
	if c.mayCharge == Unknown {
		warnUse(check, namespace)
		return
	}
	RefuseUse(check, c.requester, namespace)
}
