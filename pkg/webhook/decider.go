package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	kjson "sigs.k8s.io/json"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// decider judges admission requests.
type decider struct {
	Options
	ledger *ledger
	access *access
	cache  client.Reader // of namespaces' metadata
	live   client.Reader
}

// decode decodes an object of the request; field names it in errors.
func decode(raw runtime.RawExtension, field string) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw.Raw, &obj.Object); err != nil {
		return nil, badRequest{fmt.Errorf("request.%s: want an object: %w", field, err)}
	}
	if obj.Object == nil {
		return nil, badRequest{fmt.Errorf("request.%s: want an object, got none", field)}
	}
	return obj, nil
}

// charge admits a workload's change by what it makes the group of the new workload
// grow. base is the version of the object that is changed; empty for a creation.
func (d *decider) charge(ctx context.Context, req *admission.Request, change quota.Change, base string) (*reportv1alpha1.QuotaCheck, error) {
	change.Nodes = d.nodesFor(change)
	name := change.New.Group
	ties := change.Old == nil || change.Old.Group != name
	authorized := true
	if known := d.ledger.groups.get(name); ties || known == nil || len(change.Growth(known)) > 0 {
		var err error
		if authorized, err = d.mayCharge(ctx, req, change.New); err != nil {
			return nil, err
		}
	}
	object := change.New.Reference()
	return d.settle(ctx, req, name, subject{req.UID, object.UID, base}, func(tree *quota.Tree) (*reportv1alpha1.QuotaCheck, *stowagev1alpha1.Reservation) {
		check, group := tree.CheckWorkload(change), tree.Group(name)
		if group == nil {
			return check, nil
		}
		growth := change.Growth(group)
		if (ties || len(growth) > 0) && !authorized && !quota.Allows(group, change.New.Namespace) {
			quota.RefuseUse(check, requester(req), req.Namespace)
			return check, nil
		}
		if len(growth) == 0 {
			return check, nil
		}
		return check, d.reservation(req, object, base, growth)
	})
}

// settle judges, and reserves what is needed unless the request is a dry run.
func (d *decider) settle(ctx context.Context, req *admission.Request, group string, subject subject, judge judge) (*reportv1alpha1.QuotaCheck, error) {
	if isDryRun(req) {
		return d.ledger.judgeLive(ctx, group, judge)
	}
	return d.ledger.charge(ctx, group, subject, judge)
}

func isDryRun(req *admission.Request) bool { return req.DryRun != nil && *req.DryRun }

func (d *decider) reservation(req *admission.Request, object stowagev1alpha1.ObjectReference, base string, amounts corev1.ResourceList) *stowagev1alpha1.Reservation {
	return &stowagev1alpha1.Reservation{
		UID:                 req.UID,
		Object:              object,
		BaseResourceVersion: base,
		Amounts:             amounts,
		Expiry:              metav1.NewMicroTime(d.Clock.Now().Add(d.ReservationTTL)),
	}
}

// nodesFor returns the nodes where the change's charge depends on them.
func (d *decider) nodesFor(change quota.Change) []*corev1.Node {
	for _, w := range []*workload.Workload{change.Old, change.New} {
		if w != nil && slices.ContainsFunc(w.PodSets, func(set workload.PodSet) bool { return set.PerNode }) {
			return d.Nodes()
		}
	}
	return nil
}

// mayCharge says whether the requester may charge the workload's group, as far as is
// known: the group may say so itself when it is judged by.
func (d *decider) mayCharge(ctx context.Context, req *admission.Request, w *workload.Workload) (bool, error) {
	if !d.Authorize {
		return true, nil
	}
	if isClusterController(req.UserInfo) {
		if acts, err := d.actsForOthers(ctx, req, w); acts || err != nil {
			return acts, err
		}
	}
	if group := d.ledger.groups.get(w.Group); group != nil && quota.Allows(group, w.Namespace) {
		return true, nil
	}
	return d.access.mayUse(ctx, req.UserInfo, w.Group)
}

// actsForOthers says whether a controller changes what was admitted, or makes what
// the template of an object says that was admitted to the same group (a CronJob's
// Jobs).
func (d *decider) actsForOthers(ctx context.Context, req *admission.Request, w *workload.Workload) (bool, error) {
	if req.Operation == admissionv1.Update || w.Owner == nil {
		return req.Operation == admissionv1.Update, nil
	}
	kind := d.Kinds.Of(workload.OwnerKind(w.Owner))
	if kind == nil || kind.Template == "" || !d.Kinds.Makes(kind.GroupKind(), w.Kind.GroupKind()) {
		return false, nil
	}
	owner := d.seenOwner(w.Namespace, w.Owner)
	if owner == nil || owner.Group != w.Group {
		var err error
		if owner, err = d.readOwner(ctx, w.Namespace, w.Owner); owner == nil || err != nil {
			return false, err
		}
	}
	return owner.Group == w.Group, nil
}

// isClusterController says whether the user is a part of the control plane.
func isClusterController(user authenticationv1.UserInfo) bool {
	return user.Username == "system:kube-controller-manager" || slices.Contains(user.Groups, "system:serviceaccounts:"+metav1.NamespaceSystem)
}

// requester names who asks.
func requester(req *admission.Request) string { return "user " + req.UserInfo.Username }
