package state

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// Verify compares the ledger of the named group, or of all where name is empty,
// with what the snapshot shows.
func (s *State) Verify(name string) (*report.QuotaVerify, error) {
	groups, err := s.named(name)
	if err != nil {
		return nil, err
	}
	verify := &report.QuotaVerify{Groups: len(groups), Items: []report.QuotaDrift{}}
	verify.SetGroupVersionKind(report.GroupVersion.WithKind("QuotaVerify"))
	for _, group := range groups {
		for _, drift := range quota.Drifts(group, s.seen(group)) {
			verify.Items = append(verify.Items, report.QuotaDrift{
				Group: group.Name, Key: string(drift.Key),
				Ledger: drift.Ledger, Reality: drift.Real, Drift: less(drift.Ledger, drift.Real),
			})
		}
	}
	return verify, nil
}

// seen is what the snapshot shows of what charges the group. A reservation that
// has expired and whose object is not there has led to nothing.
func (s *State) seen(group *quota.Group) quota.Seen {
	gone := map[types.UID]bool{}
	for _, reservation := range group.Status.Reservations {
		gone[reservation.UID] = reservation.Expiry.Time.Before(s.Now)
	}
	return quota.Seen{
		Self:      s.Workloads.SelfUsed(group),
		Workloads: s.Workloads.Len(group),
		Children:  s.Groups.ChildrenHard(group.Name),
		Version:   func(uid types.UID) string { return s.versions()[uid] },
		Gone:      gone,
	}
}

// Lasting leaves of a report what an earlier one has too: the rest was about to be
// counted.
func Lasting(earlier, later *report.QuotaVerify) {
	later.Items = slices.DeleteFunc(later.Items, func(item report.QuotaDrift) bool {
		return !slices.ContainsFunc(earlier.Items, func(old report.QuotaDrift) bool {
			return old.Group == item.Group && old.Key == item.Key && old.Drift.Cmp(item.Drift) == 0
		})
	})
}
