package build

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

// BizGroupBuilder makes a business group's quota.
type BizGroupBuilder struct {
	group *stowagev1alpha1.BizGroupResourceQuota
}

// BizGroup is a group under parent (empty for a root) that may use nothing.
func BizGroup(name, parent string) *BizGroupBuilder {
	return &BizGroupBuilder{&stowagev1alpha1.BizGroupResourceQuota{
		ObjectMeta: meta("", name),
		Spec:       stowagev1alpha1.BizGroupResourceQuotaSpec{ParentBizGroup: parent},
	}}
}

// Hard sets what the group may use: "limits.cpu=10,cash/limits.cpu=100".
func (b *BizGroupBuilder) Hard(list string) *BizGroupBuilder {
	b.group.Spec.Hard = Resources(list)
	b.group.Status.Hard = Resources(list)
	return b
}

// Used sets what the group uses with its children and reservations.
func (b *BizGroupBuilder) Used(list string) *BizGroupBuilder {
	b.group.Status.Used = Resources(list)
	return b
}

// SelfUsed sets what the group's own workloads use.
func (b *BizGroupBuilder) SelfUsed(list string) *BizGroupBuilder {
	b.group.Status.SelfUsed = Resources(list)
	return b
}

// Refill starts the cash used again by a Cron schedule in a time zone.
func (b *BizGroupBuilder) Refill(schedule, timeZone string) *BizGroupBuilder {
	b.group.Spec.Refill = &stowagev1alpha1.Refill{Schedule: schedule, TimeZone: timeZone}
	return b
}

// Allow lets the workloads of namespaces that match one of the patterns charge the group.
func (b *BizGroupBuilder) Allow(patterns ...string) *BizGroupBuilder {
	b.group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: patterns}
	return b
}

// Reservation reserves amounts for an object ("deployments.apps") of a namespace,
// for a minute from the epoch on.
func (b *BizGroupBuilder) Reservation(resource, namespace, name, amounts string) *BizGroupBuilder {
	b.group.Status.Reservations = append(b.group.Status.Reservations, stowagev1alpha1.Reservation{
		UID:     types.UID("request-" + name),
		Object:  stowagev1alpha1.ObjectReference{Resource: resource, Namespace: namespace, Name: name, UID: meta(namespace, name).UID},
		Amounts: Resources(amounts),
		Expiry:  metav1.NewMicroTime(Epoch.Add(60e9)),
	})
	return b
}

// Condition adds a condition that is True since the epoch.
func (b *BizGroupBuilder) Condition(kind, message string) *BizGroupBuilder {
	b.group.Status.Conditions = append(b.group.Status.Conditions, metav1.Condition{
		Type: kind, Status: metav1.ConditionTrue, LastTransitionTime: Epoch, Reason: kind, Message: message,
	})
	return b
}

// With changes the group in any other way.
func (b *BizGroupBuilder) With(edit func(*stowagev1alpha1.BizGroupResourceQuota)) *BizGroupBuilder {
	edit(b.group)
	return b
}

// Obj is the group.
func (b *BizGroupBuilder) Obj() *stowagev1alpha1.BizGroupResourceQuota { return b.group }
