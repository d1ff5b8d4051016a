package install

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/util/retry"
)

// FieldManager owns the fields that are applied.
const FieldManager = "stowage"

// Step is one thing done, or waited for.
type Step struct {
	// Object is what it was done to, as kubectl writes it ("deployment.apps/web").
	Object string
	// Done says what was done ("created", "configured", "unchanged", "deleted"), or
	// why nothing was. Empty while waiting.
	Done string
	// Waiting says for what; empty when done.
	Waiting string
}

// ApplyOptions say how to apply and to remove.
type ApplyOptions struct {
	// DryRun has the API server check everything and store nothing.
	DryRun bool
	// Wait until what runs the component is rolled out before the webhooks are
	// configured, and, in Remove, until everything is gone. The context bounds it.
	Wait bool
	// Purge has Remove delete the custom resources too, and with them every group.
	Purge bool
	// Report is told of every step; nil for nobody.
	Report func(Step)
}

// report tells of a step, if someone listens.
func (o ApplyOptions) report(step Step) {
	if o.Report != nil {
		o.Report(step)
	}
}

// installer is a connection to a cluster.
type installer struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	opts   ApplyOptions
}

func newInstaller(config *rest.Config, opts ApplyOptions) (*installer, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &installer{
		client: client,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found)),
		opts:   opts,
	}, nil
}

// Apply puts objects into the cluster, in their order: by server-side apply, so
// that applying again upgrades, and fields that others own stay as they are.
func Apply(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured, opts ApplyOptions) error {
	in, err := newInstaller(config, opts)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := in.apply(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", Describe(object), err)
		}
	}
	return nil
}

// apply puts one object into the cluster, and waits where the next ones need it.
func (in *installer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resources, err := in.resources(object)
	if err != nil {
		return err
	}
	before, err := resources.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		before = nil
	}
	switch {
	case isKind(object, corev1.GroupName, "Namespace") && before != nil && !ours(before):
		in.opts.report(Step{Object: Describe(object), Done: "left as it is: it was there before, and its labels are not changed"})
		return nil
	case isKind(object, admissionv1.GroupName, "ValidatingWebhookConfiguration"):
		return in.replace(ctx, resources, object, before)
	}
	after, err := resources.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{
		FieldManager: FieldManager,
		Force:        true,
		DryRun:       in.dryRun(),
	})
	if in.opts.DryRun && object.GetNamespace() != "" && apierrors.IsNotFound(err) {
		in.opts.report(Step{Object: Describe(object), Done: fmt.Sprintf("not checked: namespace %q does not exist yet", object.GetNamespace())})
		return nil
	}
	if err != nil {
		return err
	}
	in.opts.report(Step{Object: Describe(object), Done: changed(before, after)})
	return in.await(ctx, resources, object)
}

// replace stores the webhook configuration whole. Server-side apply would leave
// behind, of an entry that is gone, the CA bundle that components before this one
// owned, and half an entry is none.
func (in *installer) replace(ctx context.Context, resources dynamic.ResourceInterface, object, before *unstructured.Unstructured) error {
	if before == nil {
		_, err := resources.Create(ctx, object, metav1.CreateOptions{FieldManager: FieldManager, DryRun: in.dryRun()})
		if err == nil {
			in.opts.report(Step{Object: Describe(object), Done: changed(nil, object)})
		}
		return err
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		before, err := resources.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		object.SetResourceVersion(before.GetResourceVersion())
		after, err := resources.Update(ctx, object, metav1.UpdateOptions{FieldManager: FieldManager, DryRun: in.dryRun()})
		if err != nil {
			return err
		}
		in.opts.report(Step{Object: Describe(object), Done: changed(before, after)})
		return nil
	})
}

// await waits for what the following objects need.
func (in *installer) await(ctx context.Context, resources dynamic.ResourceInterface, object *unstructured.Unstructured) error {
	switch {
	case in.opts.DryRun:
		return nil
	case isKind(object, apiextensionsv1.GroupName, "CustomResourceDefinition"):
		return in.poll(ctx, resources, object, established)
	case isKind(object, appsv1.GroupName, "Deployment") && in.opts.Wait:
		return in.poll(ctx, resources, object, rolledOut)
	}
	return nil
}

// poll looks at an object until it is as wanted; waiting says what it is waited for.
func (in *installer) poll(ctx context.Context, resources dynamic.ResourceInterface, object *unstructured.Unstructured,
	done func(*unstructured.Unstructured) (waiting string, err error)) error {
	waiting := ""
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		live, err := resources.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if waiting, err = done(live); waiting != "" {
			in.opts.report(Step{Object: Describe(object), Waiting: waiting})
		}
		return waiting == "", err
	})
	if ctx.Err() != nil && waiting != "" {
		return fmt.Errorf("gave up: %s; see the events: kubectl -n %s describe %s", waiting, object.GetNamespace(), Describe(object))
	}
	return err
}

// established says what a CustomResourceDefinition is waited for.
func established(object *unstructured.Unstructured) (string, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := fromUnstructured(object, definition); err != nil {
		return "", err
	}
	for _, condition := range definition.Status.Conditions {
		if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
			return "", nil
		}
	}
	return "not served yet", nil
}

// rolledOut says what a Deployment is waited for.
func rolledOut(object *unstructured.Unstructured) (string, error) {
	deployment := &appsv1.Deployment{}
	if err := fromUnstructured(object, deployment); err != nil {
		return "", err
	}
	status, want := deployment.Status, *deployment.Spec.Replicas
	switch {
	case status.ObservedGeneration < deployment.Generation:
		return "not seen by the deployment controller yet", nil
	case status.UpdatedReplicas < want || status.Replicas > status.UpdatedReplicas:
		return fmt.Sprintf("%d of %d replicas updated, %d old ones left", status.UpdatedReplicas, want, status.Replicas-status.UpdatedReplicas), nil
	case status.AvailableReplicas < want:
		return fmt.Sprintf("%d of %d replicas available", status.AvailableReplicas, want), nil
	}
	return "", nil
}

// Remove takes objects out of the cluster: the webhooks first, so that nothing is
// refused for want of the component, then the others, last to first. The custom
// resources, and the groups in them, stay unless opts.Purge is set; so does a
// namespace that was there before.
func Remove(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured, opts ApplyOptions) error {
	in, err := newInstaller(config, opts)
	if err != nil {
		return err
	}
	objects = slices.Clone(objects)
	slices.Reverse(objects) // the webhooks are applied last
	for _, object := range objects {
		if err := in.remove(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", Describe(object), err)
		}
	}
	if !opts.Wait || opts.DryRun {
		return nil
	}
	for _, object := range objects {
		if err := in.awaitGone(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", Describe(object), err)
		}
	}
	return nil
}

// remove deletes one object, if it is to go.
func (in *installer) remove(ctx context.Context, object *unstructured.Unstructured) error {
	kept, err := in.kept(ctx, object)
	if err != nil {
		return err
	}
	if kept != "" {
		in.opts.report(Step{Object: Describe(object), Done: kept})
		return nil
	}
	resources, err := in.resources(object)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = resources.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background, DryRun: in.dryRun()})
	switch {
	case apierrors.IsNotFound(err):
		in.opts.report(Step{Object: Describe(object), Done: "not found"})
	case err != nil:
		return err
	default:
		in.opts.report(Step{Object: Describe(object), Done: "deleted"})
	}
	return nil
}

// kept says why an object stays; empty when it goes.
func (in *installer) kept(ctx context.Context, object *unstructured.Unstructured) (string, error) {
	switch {
	case isKind(object, apiextensionsv1.GroupName, "CustomResourceDefinition") && !in.opts.Purge:
		return "kept, with every group in it; --purge deletes them", nil
	case isKind(object, corev1.GroupName, "Namespace"):
		resources, err := in.resources(object)
		if err != nil {
			return "", err
		}
		live, err := resources.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err == nil && !ours(live) {
			return "kept: it was there before", nil
		}
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "", err
	}
	return "", nil
}

// awaitGone waits until a deleted object is gone.
func (in *installer) awaitGone(ctx context.Context, object *unstructured.Unstructured) error {
	kept, err := in.kept(ctx, object)
	if err != nil || kept != "" {
		return err
	}
	resources, err := in.resources(object)
	if err != nil {
		return err
	}
	err = in.poll(ctx, resources, object, func(*unstructured.Unstructured) (string, error) { return "being deleted", nil })
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// resources is the client of an object's resource, in its namespace if it has one.
func (in *installer) resources(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := in.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if object.GetNamespace() == "" {
		return in.client.Resource(mapping.Resource), nil
	}
	return in.client.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
}

func (in *installer) dryRun() []string {
	if in.opts.DryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// ours says whether an object was made by Apply.
func ours(object *unstructured.Unstructured) bool { return object.GetLabels()[partOf] == partOfValue }

// changed says what applying did, in kubectl's words.
func changed(before, after *unstructured.Unstructured) string {
	switch {
	case before == nil:
		return "created"
	case before.GetResourceVersion() == after.GetResourceVersion():
		return "unchanged"
	}
	return "configured"
}

// isKind says whether an object is of a kind, in any version.
func isKind(object *unstructured.Unstructured, group, kind string) bool {
	return object.GroupVersionKind().GroupKind() == schema.GroupKind{Group: group, Kind: kind}
}

// Describe names an object as kubectl does: "deployment.apps/stowage-manager".
func Describe(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	return schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind)}.String() + "/" + object.GetName()
}

// fromUnstructured reads an object into its type.
func fromUnstructured(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}
