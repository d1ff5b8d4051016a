package install

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// The keys of the certificates' Secret.
const (
	caCertificateKey = "ca.crt"
	caKeyKey         = "ca.key"
	certificateKey   = corev1.TLSCertKey
)

// CertificateMargin is how long before its end a certificate should have been renewed.
const CertificateMargin = 30 * 24 * time.Hour

// Status is how the in-cluster component is. A part that is absent was not found.
type Status struct {
	metav1.TypeMeta `json:",inline"`

	// Namespace is the component's.
	Namespace string `json:"namespace"`
	// Deployment runs the component.
	Deployment *DeploymentStatus `json:"deployment,omitempty"`
	// Leader runs the controllers.
	Leader *LeaderStatus `json:"leader,omitempty"`
	// Webhooks are what the API server calls.
	Webhooks *WebhookStatus `json:"webhooks,omitempty"`
	// Resource is the groups' CustomResourceDefinition.
	Resource *ResourceStatus `json:"resource,omitempty"`
	// Certificate is what the webhooks serve with.
	Certificate *CertificateStatus `json:"certificate,omitempty"`
	// Groups sums the groups up.
	Groups *GroupsStatus `json:"groups,omitempty"`
	// Unknown says in one line each what could not be read; Problems, what is wrong.
	Unknown  []string `json:"unknown"`
	Problems []string `json:"problems"`
}

// Installed says whether any part of the component was found, or may be there unseen.
func (s *Status) Installed() bool {
	return s.Deployment != nil || s.Webhooks != nil || s.Resource != nil || len(s.Unknown) > 0
}

// DeploymentStatus is the component's Deployment.
type DeploymentStatus struct {
	Image    string `json:"image"`
	Replicas int32  `json:"replicas"`
	Updated  int32  `json:"updated"`
	Ready    int32  `json:"ready"`
}

// LeaderStatus is the lease of leader election.
type LeaderStatus struct {
	Holder  string           `json:"holder"`
	Renewed metav1.MicroTime `json:"renewed"`
}

// WebhookStatus is the webhook configuration.
type WebhookStatus struct {
	// Entries is their number; Trusted says that each has a CA bundle.
	Entries int  `json:"entries"`
	Trusted bool `json:"trusted"`
}

// ResourceStatus is the CustomResourceDefinition.
type ResourceStatus struct {
	Versions    []string `json:"versions"`
	Established bool     `json:"established"`
}

// CertificateStatus says when the certificates end.
type CertificateStatus struct {
	NotAfter   metav1.Time `json:"notAfter"`
	CANotAfter metav1.Time `json:"caNotAfter"`
}

// GroupsStatus sums the groups up.
type GroupsStatus struct {
	// Total is the number of groups, Counted of those whose ledger is of their
	// present generation.
	Total   int `json:"total"`
	Counted int `json:"counted"`
	// Overcommitted and CashExhausted are numbers of groups.
	Overcommitted int `json:"overcommitted"`
	CashExhausted int `json:"cashExhausted"`
	// Reservations is the number of charges not yet seen in the cluster, Expired of
	// those whose time is over: more than a few that stay say that nothing settles them.
	Reservations int `json:"reservations"`
	Expired      int `json:"expired"`
	// Reconciled is when the group that waited longest was last counted.
	Reconciled *metav1.MicroTime `json:"reconciled,omitempty"`
}

// statusReader reads the parts of a Status.
type statusReader struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	now     time.Time
	status  *Status
	trusted []byte // the webhooks' CA bundle
	doors   []Door // what the webhooks judge
}

// ReadStatus says how the component in a namespace is. What may not be read is
// noted, and is no error.
func ReadStatus(ctx context.Context, config *rest.Config, namespace string, now time.Time) (*Status, error) {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	r := &statusReader{typed: typed, dynamic: untyped, now: now, status: &Status{
		TypeMeta:  metav1.TypeMeta{APIVersion: report.GroupVersion.String(), Kind: "QuotaStatus"},
		Namespace: namespace,
		Unknown:   []string{},
		Problems:  []string{},
	}}
	outside := func(ctx context.Context) error {
		if r.status.Webhooks == nil {
			return nil
		}
		lines, err := Outside(ctx, config)
		r.status.Problems = append(r.status.Problems, lines...)
		return err
	}
	unknowns := func(ctx context.Context) error {
		if r.status.Webhooks == nil {
			return nil
		}
		lines, unknown, err := strangers(ctx, config, r.doors)
		r.status.Problems, r.status.Unknown = append(r.status.Problems, lines...), append(r.status.Unknown, unknown...)
		return err
	}
	for _, part := range []struct {
		name string
		read func(context.Context) error
	}{
		{"customresourcedefinition " + groupsCRD, r.resource},
		{"deployment " + namespace + "/" + ManagerName, r.deployment},
		{"lease " + namespace + "/" + ManagerName, r.leader},
		{"validatingwebhookconfiguration " + WebhookName, r.webhooks},
		{"secret " + namespace + "/" + CertificateName, r.certificate},
		{stowagev1alpha1.BizGroupResourceQuotaResource, r.groups},
		{"workloads of namespaces that take no part", outside},
		{snapshot.OtherKinds, unknowns},
	} {
		switch err := part.read(ctx); {
		case apierrors.IsNotFound(err):
			r.problem("%s: not found", part.name)
		case apierrors.IsForbidden(err):
			r.status.Unknown = append(r.status.Unknown, part.name+": may not be read")
		case err != nil:
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r.status, nil
}

// groupsCRD names the groups' CustomResourceDefinition.
const groupsCRD = stowagev1alpha1.BizGroupResourceQuotaResource + "." + stowagev1alpha1.GroupName

// problem notes what is wrong.
func (r *statusReader) problem(format string, args ...any) {
	r.status.Problems = append(r.status.Problems, fmt.Sprintf(format, args...))
}

func (r *statusReader) resource(ctx context.Context) error {
	object, err := r.dynamic.Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")).
		Get(ctx, groupsCRD, metav1.GetOptions{})
	if err != nil {
		return err
	}
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := fromUnstructured(object, definition); err != nil {
		return err
	}
	waiting, err := established(object)
	r.status.Resource = &ResourceStatus{Established: waiting == ""}
	for _, version := range definition.Spec.Versions {
		if version.Served {
			r.status.Resource.Versions = append(r.status.Resource.Versions, version.Name)
		}
	}
	if waiting != "" {
		r.problem("customresourcedefinition %s: %s", groupsCRD, waiting)
	}
	return err
}

func (r *statusReader) deployment(ctx context.Context) error {
	deployment, err := r.typed.AppsV1().Deployments(r.status.Namespace).Get(ctx, ManagerName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.status.Deployment = &DeploymentStatus{
		Image:    managerImage(deployment),
		Replicas: *deployment.Spec.Replicas,
		Updated:  deployment.Status.UpdatedReplicas,
		Ready:    deployment.Status.ReadyReplicas,
	}
	if ready, want := deployment.Status.ReadyReplicas, *deployment.Spec.Replicas; ready < want {
		r.problem("deployment %s/%s: %d of %d replicas ready; see kubectl -n %s describe pods -l app.kubernetes.io/name=%s",
			deployment.Namespace, deployment.Name, ready, want, deployment.Namespace, ManagerName)
	}
	return nil
}

// managerImage is the image that a Deployment runs.
func managerImage(deployment *appsv1.Deployment) string {
	if containers := deployment.Spec.Template.Spec.Containers; len(containers) > 0 {
		return containers[0].Image
	}
	return ""
}

func (r *statusReader) leader(ctx context.Context) error {
	lease, err := r.typed.CoordinationV1().Leases(r.status.Namespace).Get(ctx, ManagerName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		r.problem("lease %s/%s: nobody leads, so nothing is counted", lease.Namespace, lease.Name)
		return nil
	}
	r.status.Leader = &LeaderStatus{Holder: *lease.Spec.HolderIdentity, Renewed: *lease.Spec.RenewTime}
	if end := lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second); r.now.After(end) {
		r.problem("lease %s/%s: ended %s ago, so nothing is counted", lease.Namespace, lease.Name, r.now.Sub(end).Round(time.Second))
	}
	return nil
}

func (r *statusReader) webhooks(ctx context.Context) error {
	configuration, err := r.typed.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, WebhookName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	r.status.Webhooks = &WebhookStatus{Entries: len(configuration.Webhooks), Trusted: true}
	for _, webhook := range configuration.Webhooks {
		r.trusted = webhook.ClientConfig.CABundle
		if len(webhook.ClientConfig.CABundle) == 0 {
			r.status.Webhooks.Trusted = false
		}
	}
	if !r.status.Webhooks.Trusted {
		r.problem("validatingwebhookconfiguration %s: has no CA bundle, so that every call fails: install again", WebhookName)
	}
	r.doors = doorsOf(configuration)
	lines, err := unjudged(ctx, r.typed.Discovery(), r.doors)
	if err != nil {
		return err
	}
	for _, line := range lines {
		r.problem("%s", line)
	}
	return nil
}

func (r *statusReader) certificate(ctx context.Context) error {
	secret, err := r.typed.CoreV1().Secrets(r.status.Namespace).Get(ctx, CertificateName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	serving, err := notAfter(secret.Data[certificateKey])
	if err != nil {
		r.problem("secret %s/%s: %s: %v", secret.Namespace, secret.Name, certificateKey, err)
		return nil
	}
	ca, err := notAfter(secret.Data[caCertificateKey])
	if err != nil {
		r.problem("secret %s/%s: %s: %v", secret.Namespace, secret.Name, caCertificateKey, err)
		return nil
	}
	r.status.Certificate = &CertificateStatus{NotAfter: metav1.NewTime(serving), CANotAfter: metav1.NewTime(ca)}
	if left := serving.Sub(r.now); left < CertificateMargin {
		r.problem("secret %s/%s: the certificate ends in %s, and should have been renewed", secret.Namespace, secret.Name, left.Round(time.Hour))
	}
	if left := ca.Sub(r.now); left < AuthorityMargin {
		r.problem("secret %s/%s: the CA ends in %s: install again, which makes another", secret.Namespace, secret.Name, left.Round(time.Hour))
	}
	if r.status.Webhooks != nil && r.status.Webhooks.Trusted && !trusts(r.trusted, secret.Data[caCertificateKey]) {
		r.problem("validatingwebhookconfiguration %s: does not trust the CA of secret %s/%s, so that every call fails: install again", WebhookName, secret.Namespace, secret.Name)
	}
	return nil
}

// groupsPage is how many groups are read in one go.
const groupsPage = 500

func (r *statusReader) groups(ctx context.Context) error {
	resource := r.dynamic.Resource(stowagev1alpha1.GroupVersion.WithResource(stowagev1alpha1.BizGroupResourceQuotaResource))
	sum := &GroupsStatus{}
	for next := ""; ; {
		list, err := resource.List(ctx, metav1.ListOptions{Limit: groupsPage, Continue: next})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := sum.add(&list.Items[i], r.now); err != nil {
				return err
			}
		}
		if next = list.GetContinue(); next == "" {
			break
		}
	}
	r.status.Groups = sum
	if sum.Counted < sum.Total {
		r.problem("%d of %d groups are not counted as they stand", sum.Total-sum.Counted, sum.Total)
	}
	return nil
}

// add counts one group.
func (s *GroupsStatus) add(object *unstructured.Unstructured, now time.Time) error {
	group := &stowagev1alpha1.BizGroupResourceQuota{}
	if err := fromUnstructured(object, group); err != nil {
		return fmt.Errorf("%s: %w", object.GetName(), err)
	}
	s.Total++
	if group.Status.ObservedGeneration == group.Generation {
		s.Counted++
	}
	if meta.IsStatusConditionTrue(group.Status.Conditions, stowagev1alpha1.ConditionOvercommitted) {
		s.Overcommitted++
	}
	if meta.IsStatusConditionTrue(group.Status.Conditions, stowagev1alpha1.ConditionCashExhausted) {
		s.CashExhausted++
	}
	s.Reservations += len(group.Status.Reservations)
	for _, reservation := range group.Status.Reservations {
		if now.After(reservation.Expiry.Time) {
			s.Expired++
		}
	}
	if at := group.Status.LastReconcileTime; at != nil && (s.Reconciled == nil || at.Before(s.Reconciled)) {
		s.Reconciled = at
	}
	return nil
}
