package quota

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/webhook"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// How long an answer of the API server's about a right holds.
const (
	useTTL        = 10 * time.Second
	controllerTTL = 30 * time.Second
)

// questions answers what package quota's judge asks about one request.
type questions struct {
	*decider
	req *admission.Request
}

// judgeOf is the judge of a request.
func (d *decider) judgeOf(req *admission.Request) *quota.Judge {
	return &quota.Judge{
		Questions: questions{d, req},
		Kinds:     d.Kinds,
		Nodes:     d.Nodes,
		Living:    d.Owners.Living,
		Defaults:  d.Owners.Defaults,
		Known:     d.ledger.groups.get,
		Allowing:  d.ledger.groups.allowing,
		Requester: "user " + req.UserInfo.Username,
	}
}

// Owner implements quota.Questions. What was seen may be an owner that is being deleted.
func (q questions) Owner(ctx context.Context, namespace string, ref *metav1.OwnerReference, live bool) (*workload.Workload, error) {
	if !live {
		return q.Owners.Lookup(ref.UID), nil
	}
	kind := q.Kinds.Of(workload.OwnerKind(ref))
	obj, err := q.readObject(ctx, kind, types.NamespacedName{Namespace: namespace, Name: ref.Name})
	if obj == nil || err != nil || obj.GetUID() != ref.UID || obj.GetDeletionTimestamp() != nil {
		return nil, err
	}
	w, err := kind.Read(obj)
	if err != nil { // it was there before the webhook, which refuses such
		return kind.Meta(obj), nil
	}
	return w, nil
}

// RequiresGroup implements quota.Questions.
func (q questions) RequiresGroup(ctx context.Context, namespace string) (bool, error) {
	labels, err := q.namespaceLabels(ctx, namespace)
	return quota.RequiresGroup(labels), err
}

// TakesPart implements quota.Questions.
func (q questions) TakesPart(ctx context.Context, namespace string) (quota.Answer, error) {
	labels, err := q.namespaceLabels(ctx, namespace)
	return answer(quota.TakesPart(labels)), err
}

// namespaceLabels are a namespace's labels; none where it is not there.
func (d *decider) namespaceLabels(ctx context.Context, name string) (map[string]string, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	key := client.ObjectKey{Name: name}
	if d.cache.Get(ctx, key, namespace) != nil { // not started, or the namespace is new
		if err := d.live.Get(ctx, key, namespace); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return namespace.Labels, nil
}

// MayCharge implements quota.Questions.
func (q questions) MayCharge(ctx context.Context, w *workload.Workload) (quota.Answer, error) {
	if !q.Authorize {
		return quota.Yes, nil
	}
	if webhook.IsClusterController(q.req.UserInfo) {
		if acts, err := q.actsForOthers(ctx, w); acts || err != nil {
			return answer(acts), err
		}
	}
	may, err := q.access.May(ctx, q.req.UserInfo, useTTL, authorizationv1.ResourceAttributes{
		Verb: "use", Group: stowagev1alpha1.GroupName, Version: stowagev1alpha1.GroupVersion.Version,
		Resource: stowagev1alpha1.BizGroupResourceQuotaResource, Name: w.Group,
	})
	return answer(may), err
}

func answer(yes bool) quota.Answer {
	if yes {
		return quota.Yes
	}
	return quota.No
}

// actsForOthers says whether a controller changes what was admitted, or makes what
// the template of an object says that was admitted to the same group (a CronJob's
// Jobs).
func (q questions) actsForOthers(ctx context.Context, w *workload.Workload) (bool, error) {
	if q.req.Operation == admissionv1.Update || w.Owner == nil {
		return q.req.Operation == admissionv1.Update, nil
	}
	kind := q.Kinds.Of(workload.OwnerKind(w.Owner))
	if kind == nil || kind.Template == "" || !q.Kinds.Makes(kind.GroupKind(), w.Kind.GroupKind()) {
		return false, nil
	}
	owner := q.Owners.Lookup(w.Owner.UID)
	if owner == nil || !owner.IsNamed(w.Namespace, w.Owner) || owner.Group != w.Group {
		var err error
		if owner, err = q.Owner(ctx, w.Namespace, w.Owner, true); owner == nil || err != nil {
			return false, err
		}
	}
	return owner.Group == w.Group, nil
}

// Controls implements quota.Questions: the controller of a kind may update the status of
// its objects in all namespaces, which no right within one's own gives.
func (q questions) Controls(ctx context.Context, kind *workload.Kind) (bool, error) {
	return q.access.May(ctx, q.req.UserInfo, controllerTTL, authorizationv1.ResourceAttributes{
		Verb: "update", Group: kind.Group, Version: kind.Version, Resource: kind.Resource, Subresource: "status",
	})
}

// readObject reads an object of the kind live; nil where it is not there, or where
// its kind is not served.
func (d *decider) readObject(ctx context.Context, kind *workload.Kind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	obj, err := &unstructured.Unstructured{}, error(nil)
	for _, version := range kind.GroupVersionKinds() {
		obj.SetGroupVersionKind(version)
		if err = d.live.Get(ctx, name, obj); !meta.IsNoMatchError(err) {
			break
		}
	}
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s/%s: %w", name.Namespace, kind.Singular(), name.Name, err)
	}
	return obj, nil
}
