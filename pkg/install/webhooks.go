package install

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// The paths at which the component serves its webhooks.
const (
	PathWorkload = "/validate-workload"
	PathScale    = "/validate-scale"
	PathHPA      = "/validate-hpa"
	PathBizRQ    = "/validate-bizrq"
)

// webhookTimeout is how long the API server waits for an answer, in seconds.
const webhookTimeout = 10

// Endpoint is where the API server finds the webhooks.
type Endpoint struct {
	// URL is the base of the webhooks' addresses ("https://127.0.0.1:9443"), for a
	// manager that runs outside of the cluster. Empty is the component's Service.
	URL string
	// CABundle holds the certificates, in PEM, that sign the serving certificate.
	CABundle []byte
	// Token is a secret first segment of every path: only who knows it can call. Empty
	// has no such segment. In the cluster both are the Secrets'.
	Token string
}

// clientConfig is how the API server reaches one path.
func (e Endpoint) clientConfig(namespace, path string) admissionv1.WebhookClientConfig {
	if e.Token != "" {
		path = "/" + e.Token + path
	}
	config := admissionv1.WebhookClientConfig{CABundle: e.CABundle}
	if e.URL != "" {
		config.URL = new(strings.TrimSuffix(e.URL, "/") + path)
		return config
	}
	config.Service = &admissionv1.ServiceReference{
		Namespace: namespace,
		Name:      ManagerName,
		Path:      &path,
		Port:      ptr.To[int32](443),
	}
	return config
}

// webhookConfiguration is the whole of what the API server is told.
func webhookConfiguration(opts Options) *admissionv1.ValidatingWebhookConfiguration {
	w := webhooks{opts: opts}
	for _, kind := range opts.Kinds.All() {
		w.workload(kind)
	}
	w.scale()
	w.autoscaler()
	w.group()
	return &admissionv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: WebhookName},
		Webhooks:   w.list,
	}
}

// webhooks collects the entries.
type webhooks struct {
	opts Options
	list []admissionv1.ValidatingWebhook
}

// add appends an entry; name is its first part.
func (w *webhooks) add(name, path string, rules []admissionv1.RuleWithOperations, conditions ...admissionv1.MatchCondition) *admissionv1.ValidatingWebhook {
	w.list = append(w.list, admissionv1.ValidatingWebhook{
		Name:                    name + ".quota." + stowagev1alpha1.GroupName,
		ClientConfig:            w.opts.Webhook.clientConfig(w.opts.Namespace, path),
		Rules:                   rules,
		FailurePolicy:           ptr.To(admissionv1.Fail),
		MatchPolicy:             ptr.To(admissionv1.Equivalent),
		NamespaceSelector:       w.namespaces(),
		SideEffects:             ptr.To(admissionv1.SideEffectClassNoneOnDryRun),
		TimeoutSeconds:          ptr.To[int32](webhookTimeout),
		AdmissionReviewVersions: []string{"v1"},
		MatchConditions:         conditions,
	})
	return &w.list[len(w.list)-1]
}

// namespaces are all but those that must do without the component, and of those the
// ones that the labels say.
func (w *webhooks) namespaces(labels ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: append([]metav1.LabelSelectorRequirement{{
		Key:      corev1.LabelMetadataName,
		Operator: metav1.LabelSelectorOpNotIn,
		Values:   []string{metav1.NamespaceSystem, w.opts.Namespace},
	}}, labels...)}
}

// A namespace takes part by one of two labels, and a selector has no "or": those that
// require a group, and those that are enabled and do not.
func (w *webhooks) requiring() *metav1.LabelSelector {
	return w.namespaces(in(stowagev1alpha1.RequireGroupLabel, metav1.LabelSelectorOpIn, "true"))
}

func (w *webhooks) enabled() *metav1.LabelSelector {
	return w.namespaces(in(stowagev1alpha1.QuotaLabel, metav1.LabelSelectorOpIn, stowagev1alpha1.QuotaEnabled),
		in(stowagev1alpha1.RequireGroupLabel, metav1.LabelSelectorOpNotIn, "true"))
}

func in(key string, operator metav1.LabelSelectorOperator, value string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}}
}

// workload adds the entries of a kind: for objects that name a group, for those that do
// not where they have to and, of a kind that others make, for parts where they need not.
func (w *webhooks) workload(kind *workload.Kind) {
	resource := kind.GroupResource().String()
	rules := workloadRules(kind)
	w.add(resource, PathWorkload, rules,
		condition("names-a-group", label("object", stowagev1alpha1.GroupLabel)+" != ''"),
		condition("may-charge-more", mayChargeMore(kind)))
	required := w.add("ungrouped."+resource, PathWorkload, rules,
		condition("names-no-group", label("object", stowagev1alpha1.GroupLabel)+" == ''"),
		condition("may-charge-more", mayChargeMore(kind)+" ||\n("+relabelled+")"))
	required.NamespaceSelector = w.requiring()
	if !w.isMade(kind) { // the API server compiles every expression of the whole at each change of it
		return
	}
	part := w.add("part."+resource, PathWorkload, updates(rules),
		condition("names-no-group", label("object", stowagev1alpha1.GroupLabel)+" == ''"),
		condition("has-a-controller", controllers("object")+".size() > 0"),
		condition("is-no-controllers-doing", byOthers),
		condition("may-charge-more", mayChargeMore(kind)))
	part.NamespaceSelector = w.enabled()
}

// isMade says whether objects of the kind are made by those of another, as parts of them.
func (w *webhooks) isMade(kind *workload.Kind) bool {
	return slices.ContainsFunc(w.opts.Kinds.All(), func(maker *workload.Kind) bool {
		return w.opts.Kinds.Makes(maker.GroupKind(), kind.GroupKind())
	})
}

// byOthers is the CEL expression of whether a request comes from somebody else than
// Kubernetes' own controllers, which make parts as their owners say.
const byOthers = "request.userInfo.username != 'system:kube-controller-manager' &&\n" +
	"!request.userInfo.?groups.orValue([]).exists(g, g == 'system:serviceaccounts:kube-system')"

// relabelled is the CEL expression of whether somebody gives a part other labels, under
// which its controller may let it go.
var relabelled = byOthers + " &&\n" + controllers("object") + ".size() > 0 && object.metadata.?labels != oldObject.metadata.?labels"

// updates are the rules for updates alone.
func updates(rules []admissionv1.RuleWithOperations) []admissionv1.RuleWithOperations {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Operations = []admissionv1.OperationType{admissionv1.Update}
	}
	return rules
}

// workloadRules are the requests that may make an object of the kind larger,
// beside scaling it.
func workloadRules(kind *workload.Kind) []admissionv1.RuleWithOperations {
	rules := []admissionv1.RuleWithOperations{
		rule(kind, kind.Resource, admissionv1.NamespacedScope, admissionv1.Create, admissionv1.Update),
	}
	if kind.Group == "" && kind.Resource == "pods" { // a pod is resized in place by a subresource
		rules = append(rules, rule(kind, "pods/resize", admissionv1.NamespacedScope, admissionv1.Update))
	}
	return rules
}

func rule(kind *workload.Kind, resource string, scope admissionv1.ScopeType, operations ...admissionv1.OperationType) admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionv1.Rule{
			APIGroups:   []string{kind.Group},
			APIVersions: kind.AllVersions(),
			Resources:   []string{resource},
			Scope:       &scope,
		},
	}
}

// mayChargeMore is the CEL expression of whether a request may charge some group
// more than before.
func mayChargeMore(kind *workload.Kind) string {
	alternatives := []string{"request.operation == 'CREATE'"}
	for _, key := range []string{
		stowagev1alpha1.GroupLabel, stowagev1alpha1.CPUTypeLabel, stowagev1alpha1.GPUTypeLabel, stowagev1alpha1.MemoryTypeLabel,
	} {
		alternatives = append(alternatives, label("object", key)+" != "+label("oldObject", key))
	}
	// A controller that is added may hide an object behind one that is counted; an
	// object that is let go is counted itself, and its controller may make another.
	// The garbage collector lets go of what a deleted owner leaves behind.
	alternatives = append(alternatives,
		differ("object", "oldObject"),
		"request.userInfo.username != '"+garbageCollector+"' && "+differ("oldObject", "object"))
	if grows := kind.Grows(); grows != "" {
		alternatives = append(alternatives, "("+grows+")")
	}
	return strings.Join(alternatives, " ||\n")
}

// scale adds the entries of the scale subresources: a Scale has no labels of the
// workload's, so that whether it has a group is for the component to look up. Only
// namespaces that take part wait for that.
func (w *webhooks) scale() {
	var rules []admissionv1.RuleWithOperations
	for _, kind := range w.opts.Kinds.All() {
		if kind.Scale != "" {
			rules = append(rules, rule(kind, kind.Resource+"/scale", admissionv1.NamespacedScope, admissionv1.Update))
		}
	}
	up := condition("scales-up", "object.?spec.?replicas.orValue(0) > oldObject.?spec.?replicas.orValue(0)")
	w.add("scale", PathScale, rules, up).NamespaceSelector = w.enabled()
	w.add("required.scale", PathScale, rules, up).NamespaceSelector = w.requiring()
}

// autoscaler adds the entries of HorizontalPodAutoscalers; autoscaling/v1 is
// converted to v2. What they scale is checked when they scale it, so that an
// autoscaler need not wait for a component that is down.
func (w *webhooks) autoscaler() {
	hpa := &workload.Kind{Group: "autoscaling", Version: "v2"}
	rules := []admissionv1.RuleWithOperations{
		rule(hpa, "horizontalpodautoscalers", admissionv1.NamespacedScope, admissionv1.Create, admissionv1.Update),
	}
	higher := condition("may-scale-higher", "request.operation == 'CREATE' ||\n"+
		"object.spec.maxReplicas > oldObject.spec.maxReplicas ||\n"+
		"object.spec.scaleTargetRef != oldObject.spec.scaleTargetRef")
	entry := w.add("autoscaler", PathHPA, rules, higher)
	entry.FailurePolicy, entry.NamespaceSelector = ptr.To(admissionv1.Ignore), w.enabled()
	entry = w.add("required.autoscaler", PathHPA, rules, higher)
	entry.FailurePolicy, entry.NamespaceSelector = ptr.To(admissionv1.Ignore), w.requiring()
}

// group adds the entry of the groups themselves.
func (w *webhooks) group() {
	bizrq := &workload.Kind{Group: stowagev1alpha1.GroupName, Version: stowagev1alpha1.GroupVersion.Version}
	entry := w.add("bizrq", PathBizRQ,
		[]admissionv1.RuleWithOperations{
			rule(bizrq, stowagev1alpha1.BizGroupResourceQuotaResource, admissionv1.ClusterScope,
				admissionv1.Create, admissionv1.Update, admissionv1.Delete),
		},
		condition("changes-the-spec", "request.operation != 'UPDATE' || object.spec != oldObject.spec"))
	entry.NamespaceSelector = &metav1.LabelSelector{}
}

func condition(name, expression string) admissionv1.MatchCondition {
	return admissionv1.MatchCondition{Name: name, Expression: expression}
}

// label is the CEL expression of an object's label; "" where it has none.
func label(object, key string) string {
	return fmt.Sprintf("%s.metadata.?labels[?%q].orValue('')", object, key)
}

// garbageCollector is the user that removes the references to owners that are gone.
const garbageCollector = "system:serviceaccount:kube-system:generic-garbage-collector"

// differ is the CEL expression of whether a has a controller that b has not.
func differ(a, b string) string {
	return controllers(a) + ".exists(o, !" + controllers(b) + ".exists(p, p.uid == o.uid))"
}

// controllers is the CEL expression of the list, of one or none, of the owners
// that control an object.
func controllers(object string) string {
	return object + ".metadata.?ownerReferences.orValue([]).filter(r, r.?controller.orValue(false))"
}
