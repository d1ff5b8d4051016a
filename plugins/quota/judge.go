package quota

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
)

// judge returns the verdict on what op would do with the subject; op is empty for
// an update of what exists and a creation of what does not.
func judge(ctx context.Context, trial *state.Trial, s subject, op operation) (*report.QuotaCheck, error) {
	if group := s.group(); group != nil {
		op, err := op.of(groupResource, group.Name, trial.Group(group.Name) != nil)
		switch {
		case err != nil:
			return nil, err
		case op == opDelete:
			return trial.DeleteGroup(group.Name), nil
		}
		return trial.PutGroup(group), nil
	}
	if autoscaler := s.autoscaler(); autoscaler != nil {
		return trial.Autoscale(ctx, autoscaler, op == opDelete)
	}
	if s.kind == nil {
		return trial.Stranger(s.object), nil
	}
	edit := state.Edit{Kind: s.kind, Object: s.object, Scaled: s.scaled}
	op, err := op.of(s.kind.GroupResource().String(), s.object.GetName(), trial.Object(edit) != nil)
	if err != nil {
		return nil, err
	}
	edit.Deleted = op == opDelete
	return trial.Edit(ctx, edit)
}

// of is the operation on an object that exists or not.
func (op operation) of(resource, name string, exists bool) (operation, error) {
	switch {
	case op == "" && exists:
		return opUpdate, nil
	case op == "":
		return opCreate, nil
	case op == opCreate && exists:
		return "", fmt.Errorf("--op create: %s %q already exists", resource, name)
	case op != opCreate && !exists:
		return "", fmt.Errorf("--op %s: %s %q not found", op, resource, name)
	}
	return op, nil
}

// selfMayCharge asks the cluster whether the user has the verb use on a group.
func selfMayCharge(env cli.Env) (func(ctx context.Context, group string) (quota.Answer, error), error) {
	config, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := authorizationv1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, group string) (quota.Answer, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "use", Group: stowagev1alpha1.GroupName, Version: stowagev1alpha1.GroupVersion.Version,
				Resource: stowagev1alpha1.BizGroupResourceQuotaResource, Name: group,
			},
		}}
		answer, err := client.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return quota.Unknown, fmt.Errorf("asking whether you may use group %s: %w", group, err)
		}
		if answer.Status.Allowed {
			return quota.Yes, nil
		}
		return quota.No, nil
	}, nil
}
