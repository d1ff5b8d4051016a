package quota

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// User is a workload that uses some of one key of its group's.
type User struct {
	// Namespace and Object name it: "nlp", "deployment.apps/web".
	Namespace, Object string
	Uses              resource.Quantity
}

// Users are the workloads that use some of the group's key, the largest first.
func (ix *Index) Users(group *Group, key corev1.ResourceName) []User {
	var users []User
	for _, e := range ix.groups[group.Name] {
		if !ix.counted(e) {
			continue
		}
		if uses := ix.charge(e, group)[Canonical(key)]; uses.Sign() > 0 {
			users = append(users, User{e.Namespace, e.String(), uses})
		}
	}
	slices.SortFunc(users, func(a, b User) int {
		return cmp.Or(b.Uses.Cmp(a.Uses), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Object, b.Object))
	})
	return users
}

// NameUsers says in a refusal for want of the group's keys who uses them, to somebody who
// may know of one namespace: its workloads by name, and of the others how much they are. Of
// hours it says nothing, as they are used by what has run.
func NameUsers(check *report.QuotaCheck, group *Group, namespace string, users func(*Group, corev1.ResourceName) []User) {
	for _, exceeded := range check.Exceeded {
		key := corev1.ResourceName(exceeded.Key)
		line := slices.IndexFunc(check.Reasons, func(reason string) bool { return strings.HasPrefix(reason, about(group, key)) })
		if exceeded.Group != "" || IsCash(key) || line < 0 {
			continue
		}
		if by := usedBy(users(group, key), group, key, namespace); len(by) > 0 {
			check.Reasons[line] += "; used by " + strings.Join(by, ", ")
		}
	}
}

// about begins every reason that is for want of a group's key.
func about(group *Group, key corev1.ResourceName) string {
	return fmt.Sprintf("group %s: %s: ", group.Name, key)
}

// usedBy says who uses a group's key, as the namespace may know.
func usedBy(users []User, group *Group, key corev1.ResourceName, namespace string) []string {
	const most = 3
	var by []string
	var mine, others resource.Quantity
	more, elsewhere := int64(0), sets.Set[string]{}
	for _, user := range users {
		switch {
		case user.Namespace != namespace:
			elsewhere.Insert(user.Namespace)
			others.Add(user.Uses)
		case len(by) < most:
			by = append(by, user.Object+" "+Amount(key, user.Uses))
		default:
			more++
			mine.Add(user.Uses)
		}
	}
	if more > 0 {
		by = append(by, fmt.Sprintf("%d more %s", more, Amount(key, mine)))
	}
	if len(elsewhere) > 0 {
		by = append(by, fmt.Sprintf("others in %s %s", count(int64(len(elsewhere)), "namespace"), Amount(key, others)))
	}
	if below := takenBelow(group, key); below.Sign() > 0 {
		by = append(by, "groups below it "+Amount(key, below))
	}
	return by
}

// takenBelow is what a group's children take of its key.
func takenBelow(group *Group, key corev1.ResourceName) resource.Quantity {
	below := minus(group.Status.Used[key], group.Status.SelfUsed[key])
	for _, reservation := range group.Status.Reservations {
		below = minus(below, reservation.Amounts[Canonical(key)])
	}
	return below
}
