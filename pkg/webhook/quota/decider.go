package quota

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
)

// decider judges admission requests.
type decider struct {
	Options
	ledger *ledger
	access *webhook.Access
	cache  client.Reader // of namespaces' metadata
	live   client.Reader
}

// decide judges a request; nil where quota has nothing to say about it.
type decide func(context.Context, *admission.Request) (*report.QuotaCheck, error)

// answered is decide as the frame has it.
func (decide decide) answered(ctx context.Context, req *admission.Request) (*webhook.Answer, error) {
	check, err := decide(ctx, req)
	if check == nil || err != nil {
		return nil, err
	}
	return &webhook.Answer{
		Allowed: check.Allowed, Reasons: check.Reasons, Warnings: check.Warnings, Log: []any{"group", check.Group},
	}, nil
}

// byGroup answers with a case's verdict by the state of its group, in which what the
// workload grows is reserved. base is the version of the object that is changed; empty
// for a creation.
func (d *decider) byGroup(ctx context.Context, req *admission.Request, c *quota.Case, object stowagev1alpha1.ObjectReference, base string) (*report.QuotaCheck, error) {
	if c == nil {
		return nil, nil
	}
	if c.Group == "" {
		return c.By(nil).QuotaCheck, nil
	}
	return d.reserve(ctx, req, c.Group, subject{req.UID, object.UID, base}, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		check := c.By(tree)
		if len(check.Growth) == 0 {
			return check.QuotaCheck, nil
		}
		return check.QuotaCheck, d.reservation(req, object, base, check.Growth.DeepCopy())
	})
}

// reserve judges by a state of the group, in which what is needed is reserved unless the
// request is a dry run.
func (d *decider) reserve(ctx context.Context, req *admission.Request, group string, subject subject, judge judge) (*report.QuotaCheck, error) {
	if webhook.IsDryRun(req) {
		return d.ledger.judgeLive(ctx, group, judge)
	}
	return d.ledger.charge(ctx, group, subject, judge)
}

func (d *decider) reservation(req *admission.Request, object stowagev1alpha1.ObjectReference, base string, amounts corev1.ResourceList) *stowagev1alpha1.Reservation {
	return &stowagev1alpha1.Reservation{
		UID:                 req.UID,
		Object:              object,
		BaseResourceVersion: base,
		Amounts:             amounts,
		Expiry:              metav1.NewMicroTime(d.Clock.Now().Add(d.ReservationTTL)),
	}
}
