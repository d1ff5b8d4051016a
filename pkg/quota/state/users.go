package state

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// mostUsers is how many users of a key a refusal names.
const mostUsers = 3

// nameUsers names what uses most of the keys that a refusal is for want of; not of hours,
// which are used by what has run.
func (s *State) nameUsers(check *report.QuotaCheck) *report.QuotaCheck {
	for i, exceeded := range check.Exceeded {
		group, key := s.Groups.Group(cmp.Or(exceeded.Group, check.Group)), corev1.ResourceName(exceeded.Key)
		if group != nil && !quota.IsCash(key) {
			check.Exceeded[i].Users = s.users(group, key)
		}
	}
	return check
}

// users are what uses most of a group's key: its workloads by what they charge, its
// children by their hard.
func (s *State) users(group *quota.Group, key corev1.ResourceName) []report.QuotaUser {
	var users []report.QuotaUser
	for _, charged := range s.Workloads.Workloads(group) {
		users = append(users, report.QuotaUser{Object: charged.Namespace + "/" + charged.String(), Uses: charged.Charge[quota.Canonical(key)]})
	}
	for _, child := range s.Groups.Children(group.Name) {
		users = append(users, report.QuotaUser{Object: quota.GroupSingular + "/" + child.Name, Uses: quota.CanonicalList(child.Spec.Hard)[quota.Canonical(key)]})
	}
	users = slices.DeleteFunc(users, func(user report.QuotaUser) bool { return user.Uses.Sign() <= 0 })
	slices.SortStableFunc(users, func(a, b report.QuotaUser) int {
		return cmp.Or(b.Uses.Cmp(a.Uses), cmp.Compare(a.Object, b.Object))
	})
	return users[:min(len(users), mostUsers)]
}
