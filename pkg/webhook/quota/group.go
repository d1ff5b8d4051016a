package quota

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
)

// group judges a change of the tree. Changes of one group follow each other by its
// version: the API server asks anew about one that another came before. What a group
// takes of its parent is reserved there, as a workload's charge is; and so is a new
// group that takes nothing, for its parent to know of it.
func (d *decider) group(ctx context.Context, req *admission.Request) (*report.QuotaCheck, error) {
	if req.SubResource != "" {
		return nil, nil
	}
	var before, after *quota.Group
	if req.Operation != admissionv1.Create {
		before = &quota.Group{}
		if err := webhook.DecodeInto(req.OldObject, "oldObject", before); err != nil {
			return nil, err
		}
	}
	if req.Operation == admissionv1.Delete {
		return d.deleteGroup(ctx, before)
	}
	after = &quota.Group{}
	if err := webhook.DecodeInto(req.Object, "object", after); err != nil {
		return nil, err
	}
	if before != nil && equality.Semantic.DeepEqual(before.Spec, after.Spec) {
		return nil, nil
	}
	return d.putGroup(ctx, req, before, after)
}

// deleteGroup judges the deletion of a group by its children, live.
func (d *decider) deleteGroup(ctx context.Context, group *quota.Group) (*report.QuotaCheck, error) {
	family, err := d.family(ctx, group)
	if err != nil {
		return nil, err
	}
	return quota.NewTree(family).CheckDelete(group), nil
}

// putGroup judges a group's creation, where before is nil, or its new spec.
func (d *decider) putGroup(ctx context.Context, req *admission.Request, before, after *quota.Group) (*report.QuotaCheck, error) {
	if err := d.groupExists(ctx, req, after.Name); err != nil {
		return nil, err
	}
	var family []*quota.Group
	if before != nil {
		var err error
		if family, err = d.family(ctx, before); err != nil {
			return nil, err
		}
	}
	parent := after.Spec.ParentBizGroup
	object, growth, base := quota.ReferenceTo(after), quota.GroupGrowth(before, after), ""
	if before != nil {
		base = before.ResourceVersion
	}
	judge := func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		for _, group := range family {
			tree.Put(group)
		}
		if before == nil {
			return tree.CheckCreate(after), d.reservation(req, object, base, growth)
		}
		if len(growth) == 0 {
			return tree.CheckUpdate(before, after), nil
		}
		return tree.CheckUpdate(before, after), d.reservation(req, object, base, growth)
	}
	if parent == "" || parent == after.Name {
		check, _ := judge(quota.NewTree(nil))
		return check, nil
	}
	return d.reserve(ctx, req, parent, subject{req.UID, object, base}, judge)
}

// family is a group and its children, live.
func (d *decider) family(ctx context.Context, group *quota.Group) ([]*quota.Group, error) {
	var list stowagev1alpha1.BizGroupResourceQuotaList
	if err := d.live.List(ctx, &list, client.MatchingFields{"spec.parentBizGroup": group.Name}); err != nil {
		return nil, fmt.Errorf("group %s: listing its children: %w", group.Name, err)
	}
	family := []*quota.Group{group}
	for i := range list.Items {
		family = append(family, &list.Items[i])
	}
	return family, nil
}
