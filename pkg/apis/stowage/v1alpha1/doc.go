// Package v1alpha1 holds Stowage's custom resources.
//
// BizGroupResourceQuota (bizrq) is a business group's quota. Groups form trees:
// a child's hard is taken out of its parent's. The status is a ledger: nothing
// that grows is persisted before a write of this status, under optimistic
// locking, has made room for it. See docs/concepts/quota.md.
//
// +kubebuilder:object:generate=true
// +groupName=stowage.dev
package v1alpha1
