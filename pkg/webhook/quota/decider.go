package quota

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// decider judges admission requests.
type decider struct {
	Options
	ledger *ledger
	users  *users
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
	check, err := d.reserve(ctx, req, c.Group, subject{req.UID, object, base}, func(tree *quota.Tree) (*report.QuotaCheck, *stowagev1alpha1.Reservation) {
		check := c.By(tree)
		if len(check.Growth) == 0 {
			return check.QuotaCheck, nil
		}
		return check.QuotaCheck, d.reservation(req, object, base, check.Growth.DeepCopy())
	})
	if err != nil {
		return nil, err
	}
	if group := d.ledger.groups.get(c.Group); group != nil {
		quota.NameUsers(check, group, req.Namespace, d.users.of)
	}
	return check, nil
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
		Requester:           digest(req.UserInfo.Username),
		Object:              object,
		BaseResourceVersion: base,
		Amounts:             amounts,
		Expiry:              metav1.NewMicroTime(d.Clock.Now().Add(d.ReservationTTL)),
	}
}

// digest tells requesters apart without naming them in the groups' status, which more may
// read than know who does what.
func digest(user string) string {
	if user == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(user))
	const enough = 6 // bytes
	return hex.EncodeToString(sum[:enough])
}

// exists is an AlreadyExists where the object that the request creates is there: first as
// far as was seen, then live. Such a creation takes nothing. The API server would say the
// same, unless the object went meanwhile: then what is created now would not be charged.
func (d *decider) exists(ctx context.Context, req *admission.Request, kind *workload.Kind, name string) error {
	if !creates(req) || d.Owners.Named(kind, req.Namespace, name) == nil {
		return nil
	}
	there, err := d.readObject(ctx, kind, types.NamespacedName{Namespace: req.Namespace, Name: name})
	if there == nil || err != nil { // what cannot be looked up is judged
		return nil
	}
	return apierrors.NewAlreadyExists(kind.GroupResource(), name)
}

// groupExists is exists for a group.
func (d *decider) groupExists(ctx context.Context, req *admission.Request, name string) error {
	if !creates(req) || d.ledger.groups.get(name) == nil {
		return nil
	}
	if there, err := d.ledger.read(ctx, name); there == nil || err != nil {
		return nil
	}
	return apierrors.NewAlreadyExists(schema.ParseGroupResource(quota.GroupResource), name)
}

// creates says whether the request creates an object or fails. One that applies a
// configuration becomes an update where the object is there by now.
func creates(req *admission.Request) bool {
	var options metav1.TypeMeta
	return req.Operation == admissionv1.Create && (len(req.Options.Raw) == 0 ||
		webhook.DecodeInto(req.Options, "options", &options) == nil && options.Kind == "CreateOptions")
}

// found says whether what a reservation is for was seen to come to be.
func (d *decider) found(reservation stowagev1alpha1.Reservation) bool {
	version, base := "", reservation.BaseResourceVersion
	if reservation.Object.Resource == quota.GroupResource {
		if group := d.ledger.groups.get(reservation.Object.Name); group != nil && group.UID == reservation.Object.UID {
			version = group.ResourceVersion
		}
	} else if w := d.Owners.Lookup(reservation.Object.UID); w != nil {
		version = w.ResourceVersion
	}
	return version != "" && (base == "" || quota.Newer(version, base))
}
