package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// asker has the API server try changes of workloads, by dry runs: the in-cluster
// component judges them as it would the change itself, whatever the user may read.
type asker struct {
	client dynamic.Interface
	// warnings are those of the request before.
	warnings *collected
}

func newAsker(env cli.Env) (*asker, error) {
	shared, err := env.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config, warnings := rest.CopyConfig(shared), &collected{}
	config.WarningHandler, config.WarningHandlerWithContext = nil, warnings
	client, err := dynamic.NewForConfig(config)
	return &asker{client, warnings}, err
}

// collected are the warnings of the API server's answers.
type collected struct{ texts []string }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (c *collected) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	const persistent = 299 // the only code that API servers give, see RFC 7234
	if code == persistent {
		c.texts = append(c.texts, text)
	}
}

// of is the client of the subject's resource, in its namespace.
func (a *asker) of(s subject) dynamic.ResourceInterface {
	resource := s.version().GroupVersion().WithResource(s.kind.Resource)
	return a.client.Resource(resource).Namespace(s.object.GetNamespace())
}

// version is the subject's kind in the version that the file has, or else in the first.
func (s subject) version() schema.GroupVersionKind {
	if found := s.object.GetObjectKind().GroupVersionKind(); found.Version != "" {
		return found
	}
	return s.kind.GroupVersionKind()
}

// edit returns the verdict on what op would make of a workload from a file; op is empty
// for an update of what exists and a creation of what does not.
func (a *asker) edit(ctx context.Context, s subject, op operation) (*report.QuotaCheck, error) {
	_, err := a.of(s).Get(ctx, s.object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if op, err = op.of(s.kind.GroupResource().String(), s.object.GetName(), err == nil); err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.object.DeepCopyObject())
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	object, dryRun := &unstructured.Unstructured{Object: content}, []string{metav1.DryRunAll}
	object.SetGroupVersionKind(s.version())
	return a.verdict(s, func() error {
		switch op {
		case opDelete:
			return a.of(s).Delete(ctx, object.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		case opCreate:
			_, err = a.of(s).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun, FieldManager: fieldManager})
		default:
			_, err = a.of(s).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{DryRun: dryRun, FieldManager: fieldManager, Force: true})
		}
		return err
	})
}

// scale returns the verdict on another number of replicas of the workload that is named.
func (a *asker) scale(ctx context.Context, s subject, replicas int64) (*report.QuotaCheck, error) {
	live, err := a.of(s).Get(ctx, s.object.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	s.object = live
	path, _ := s.kind.ReplicasPath()
	var sub []string
	if s.kind.Scale != "" {
		path, sub = []string{"spec", "replicas"}, []string{"scale"}
	}
	change := map[string]any{}
	if err := unstructured.SetNestedField(change, replicas, path...); err != nil {
		return nil, err
	}
	patch, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return a.verdict(s, func() error {
		_, err := a.of(s).Patch(ctx, live.GetName(), types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager}, sub...)
		return err
	})
}

// verdict makes a verdict of how a dry run ends. Errors are those that are none of the
// component's.
func (a *asker) verdict(s subject, try func() error) (*report.QuotaCheck, error) {
	a.warnings.texts = nil
	check := quota.LetBy(s.kind.Meta(s.object))
	err := try()
	if err != nil {
		text, refused := refusal(err)
		if !refused {
			return nil, fmt.Errorf("%s: %w", check.Object, err)
		}
		check.Allowed, check.Reasons = false, strings.Split(text, "\n")
	}
	check.Warnings = append(check.Warnings, a.warnings.texts...)
	return check, nil
}

// refusal is what the component refuses a request with; false for any other error.
func refusal(err error) (string, bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsForbidden(err) {
		return "", false
	}
	webhook, text, denied := strings.Cut(status.Status().Message, " denied the request: ")
	return text, denied && strings.HasSuffix(webhook, ".quota."+stowagev1alpha1.GroupName+`"`)
}
