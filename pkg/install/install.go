package install

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// The names of what is installed.
const (
	// DefaultNamespace is where the component runs.
	DefaultNamespace = "stowage-system"
	// ManagerName names the component's Deployment, Service, ServiceAccount, roles
	// and Lease.
	ManagerName = "stowage-manager"
	// WebhookName names its ValidatingWebhookConfiguration.
	WebhookName = "stowage-quota"
	// CertificateName names the Secret of its certificates.
	CertificateName = "stowage-webhook-certificate"
	// TokenName names the Secret of the webhooks' token.
	TokenName = "stowage-webhook-token"
	// KindsName names the ConfigMap with the workload kinds.
	KindsName = "stowage-workload-kinds"
)

// DefaultReplicas of the component: one may go at any time.
const DefaultReplicas = 2

const (
	// kindsPath is where the ConfigMap is mounted, kindsFile the file in it.
	kindsPath = "/etc/stowage"
	kindsFile = "workload-kinds.yaml"
	// kindsAnnotation on the pods makes them start anew when the kinds change.
	kindsAnnotation = "stowage.dev/workload-kinds-sha256"
	// tokenPath is where the token's Secret is mounted, tokenKey the key, and file, in it.
	tokenPath = "/var/run/secrets/stowage.dev"
	tokenKey  = "token"
	// tokenAnnotation on the pods makes them start anew when the first token changes, so
	// that all of them answer to it before the API server is told it.
	tokenAnnotation = "stowage.dev/webhook-token-sha256"
)

// partOf labels everything that is installed.
const partOf, partOfValue = "app.kubernetes.io/part-of", "stowage"

//go:embed manifests
var manifests embed.FS

// Options say what is installed.
type Options struct {
	// Namespace is the component's; empty is DefaultNamespace.
	Namespace string
	// Image is the component's image. It may be empty when Webhook has a URL.
	Image string
	// Replicas of the component; 0 is DefaultReplicas.
	Replicas int32
	// Kinds are the workload kinds that may charge a group.
	Kinds *workload.Kinds
	// Webhook is where the component is reached. With a URL it runs outside of the
	// cluster: its rights are installed, and not what runs it.
	Webhook Endpoint
	// Secrets are the component's in the cluster, and fill in Webhook's.
	Secrets *Secrets
}

// complete fills in the defaults.
func (o Options) complete() Options {
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Replicas == 0 {
		o.Replicas = DefaultReplicas
	}
	if o.Secrets != nil && o.Webhook.URL == "" && len(o.Secrets.Tokens) > 0 {
		o.Webhook.Token, o.Webhook.CABundle = o.Secrets.Tokens[0], o.Secrets.Trusted
	}
	return o
}

// validate says what cannot be installed.
func (o Options) validate() error {
	if errs := validation.IsDNS1123Label(o.Namespace); len(errs) > 0 {
		return fmt.Errorf("namespace %q: %s", o.Namespace, errs[0])
	}
	if o.Namespace == metav1.NamespaceSystem {
		return fmt.Errorf("namespace %q: expected one of the component's own: keep what it must not guard apart from what runs the cluster", o.Namespace)
	}
	if o.Kinds == nil {
		return errors.New("no workload kinds: expected workload.Default() or a table of your own")
	}
	if o.Webhook.URL != "" {
		base, err := url.Parse(o.Webhook.URL)
		if err != nil || base.Scheme != "https" || base.Host == "" {
			return fmt.Errorf("webhook URL %q: expected https://HOST:PORT", o.Webhook.URL)
		}
		if o.Webhook.Token == "" {
			return nil
		}
		return ValidateToken(o.Webhook.Token)
	}
	if o.Secrets == nil || len(o.Secrets.Trusted) == 0 {
		return errors.New("no secrets: expected those of NewSecrets or ReadSecrets: no webhook is configured before what it trusts is there")
	}
	if _, err := ParseTokens(strings.Join(o.Secrets.Tokens, "\n")); err != nil {
		return err
	}
	if o.Image == "" {
		return errors.New("no image: expected the component's image")
	}
	if o.Replicas < 1 {
		return fmt.Errorf("replicas %d: expected 1 or more", o.Replicas)
	}
	return nil
}

// Objects are what is installed, in the order of their application.
func Objects(opts Options) ([]*unstructured.Unstructured, error) {
	opts = opts.complete()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	set := objectSet{opts: opts}
	set.cluster("namespace.yaml", set.rename)
	set.crds()
	set.namespaced("serviceaccount.yaml")
	set.cluster("clusterrole.yaml", set.readKinds)
	set.cluster("clusterrolebinding.yaml", set.bind)
	set.namespaced("role.yaml")
	set.namespaced("rolebinding.yaml", set.bind)
	set.cluster("eventsrole.yaml")
	set.cluster("eventsrolebinding.yaml", set.bind)
	set.cluster("userroles.yaml")
	if opts.Webhook.URL == "" {
		set.workload()
	}
	set.add(webhookConfiguration(opts))
	return set.list, set.err
}

// workload adds what runs the component in the cluster.
func (s *objectSet) workload() {
	kinds, err := yaml.Marshal(map[string]any{"kinds": s.opts.Kinds.All()})
	if err != nil {
		s.fail("workload kinds", err)
		return
	}
	s.cluster("priorityclass.yaml")
	s.add(authoritySecret(s.opts.Namespace, s.opts.Secrets.Authority))
	s.add(tokenSecret(s.opts.Namespace, s.opts.Secrets.Tokens))
	s.add(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: KindsName, Namespace: s.opts.Namespace},
		Data:       map[string]string{kindsFile: string(kinds)},
	})
	s.namespaced("service.yaml")
	s.namespaced("networkpolicy.yaml")
	s.namespaced("poddisruptionbudget.yaml")
	s.namespaced("deployment.yaml", func(object *unstructured.Unstructured) error { return s.run(object, kinds) })
}

// run fills in the Deployment.
func (s *objectSet) run(object *unstructured.Unstructured, kinds []byte) error {
	deployment := &appsv1.Deployment{}
	if err := fromUnstructured(object, deployment); err != nil {
		return err
	}
	deployment.Spec.Replicas = &s.opts.Replicas
	deployment.Spec.Template.Annotations[kindsAnnotation] = fmt.Sprintf("%x", sha256.Sum256(kinds))
	deployment.Spec.Template.Annotations[tokenAnnotation] = fmt.Sprintf("%x", sha256.Sum256([]byte(s.opts.Webhook.Token)))
	pod := &deployment.Spec.Template.Spec
	pod.Volumes = append(pod.Volumes, corev1.Volume{
		Name: "workload-kinds",
		VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: KindsName},
		}},
	}, corev1.Volume{
		Name:         "webhook-token",
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: TokenName}},
	})
	manager := &pod.Containers[0]
	manager.Image = s.opts.Image
	manager.Args = append(manager.Args, "--namespace="+s.opts.Namespace,
		"--workload-kinds="+path.Join(kindsPath, kindsFile), "--webhook-token-file="+path.Join(tokenPath, tokenKey))
	manager.VolumeMounts = append(manager.VolumeMounts,
		corev1.VolumeMount{Name: "workload-kinds", MountPath: kindsPath, ReadOnly: true},
		corev1.VolumeMount{Name: "webhook-token", MountPath: tokenPath, ReadOnly: true})
	return replace(object, deployment)
}

// rename gives the Namespace its name.
func (s *objectSet) rename(object *unstructured.Unstructured) error {
	object.SetName(s.opts.Namespace)
	return nil
}

// readKinds adds to the manager's role the reading of every workload kind.
func (s *objectSet) readKinds(object *unstructured.Unstructured) error {
	role := &rbacv1.ClusterRole{}
	if err := fromUnstructured(object, role); err != nil {
		return err
	}
	byGroup := map[string][]string{}
	for _, kind := range s.opts.Kinds.All() {
		byGroup[kind.Group] = append(byGroup[kind.Group], kind.Resource)
	}
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{
			APIGroups: []string{group},
			Resources: slices.Compact(slices.Sorted(slices.Values(byGroup[group]))),
			Verbs:     []string{"get", "list", "watch"},
		})
	}
	return replace(object, role)
}

// bind has a binding's ServiceAccount be the one in the component's namespace.
func (s *objectSet) bind(object *unstructured.Unstructured) error {
	subject := map[string]any{"kind": rbacv1.ServiceAccountKind, "name": ManagerName, "namespace": s.opts.Namespace}
	return unstructured.SetNestedSlice(object.Object, []any{subject}, "subjects")
}

// objectSet collects objects up to the first error.
type objectSet struct {
	opts Options
	list []*unstructured.Unstructured
	err  error
}

// edit changes one manifest.
type edit func(*unstructured.Unstructured) error

// crds adds every CustomResourceDefinition.
func (s *objectSet) crds() {
	entries, err := manifests.ReadDir("manifests/crds")
	if err != nil {
		s.fail("manifests/crds", err)
	}
	for _, entry := range entries {
		s.cluster(path.Join("crds", entry.Name()))
	}
}

// namespaced adds the manifests of a file to the component's namespace.
func (s *objectSet) namespaced(file string, edits ...edit) {
	s.cluster(file, append([]edit{func(object *unstructured.Unstructured) error {
		object.SetNamespace(s.opts.Namespace)
		return nil
	}}, edits...)...)
}

// cluster adds the manifests of a file.
func (s *objectSet) cluster(file string, edits ...edit) {
	objects, err := read(path.Join("manifests", file))
	if err != nil {
		s.fail(file, err)
	}
	for _, object := range objects {
		for _, edit := range edits {
			if err := edit(object); err != nil {
				s.fail(file, err)
			}
		}
		s.add(object)
	}
}

// add appends an object with the labels of all.
func (s *objectSet) add(object runtime.Object) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		s.fail(fmt.Sprintf("%T", object), err)
		return
	}
	u := &unstructured.Unstructured{Object: content}
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[partOf] = partOfValue
	u.SetLabels(labels)
	unstructured.RemoveNestedField(u.Object, "status")
	s.list = append(s.list, u)
}

// fail keeps the first error.
func (s *objectSet) fail(what string, err error) {
	if s.err == nil {
		s.err = fmt.Errorf("%s: %w", what, err)
	}
}

// read decodes the documents of an embedded file.
func read(file string) ([]*unstructured.Unstructured, error) {
	text, err := manifests.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// replace sets an object's content from a typed object.
func replace(object *unstructured.Unstructured, typed runtime.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return err
	}
	object.Object = content
	return nil
}
