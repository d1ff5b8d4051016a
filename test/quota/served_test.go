package quota_test

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/workload"
)

// TestServedKinds is about kinds that Kubernetes does not have, served as their projects serve them.
func TestServedKinds(t *testing.T) {
	w := newWorld(t)
	w.serve("PyTorchJob.kubeflow.org", "Notebook.kubeflow.org")
	t.Run("scale", func(t *testing.T) { w.in(t).scaleOfADeclaredKind() })
	t.Run("versions", func(t *testing.T) { w.in(t).versionsOfOneKind() })
	t.Run("annotation", func(t *testing.T) { w.in(t).stateInAnAnnotation() })
}

// in is the world for a part of the test.
func (w *world) in(t *testing.T) *world {
	part := *w
	part.t = t
	return &part
}

// serve serves kinds as package workload's facts about their CustomResourceDefinitions say, of any content.
func (w *world) serve(kinds ...string) {
	w.t.Helper()
	data, err := os.ReadFile("../../pkg/workload/testdata/crds.yaml")
	w.admitted(err)
	var facts struct {
		CRDs []struct {
			Kind, Plural, Scale string
			Versions            []string
		} `json:"crds"`
	}
	w.admitted(yaml.Unmarshal(data, &facts))
	for _, fact := range facts.CRDs {
		if slices.Contains(kinds, fact.Kind) {
			w.define(fact.Kind, fact.Plural, fact.Scale, fact.Versions)
		}
	}
}

// define creates a CustomResourceDefinition, and deletes it after the test.
func (w *world) define(name, plural, scale string, versions []string) {
	w.t.Helper()
	kind := schema.ParseGroupKind(name)
	definition := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: objectName(plural + "." + kind.Group),
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kind.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: plural, Singular: strings.ToLower(kind.Kind), Kind: kind.Kind, ListKind: kind.Kind + "List",
			},
		},
	}
	for i, version := range versions {
		served := apiextensionsv1.CustomResourceDefinitionVersion{
			Name: version, Served: true, Storage: i == 0, Subresources: &apiextensionsv1.CustomResourceSubresources{},
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
				Type: "object", XPreserveUnknownFields: new(true),
			}},
		}
		if scale != "" {
			served.Subresources.Scale = &apiextensionsv1.CustomResourceSubresourceScale{
				SpecReplicasPath: "." + scale, StatusReplicasPath: ".status.replicas",
			}
		}
		definition.Spec.Versions = append(definition.Spec.Versions, served)
	}
	w.create(definition)
	w.t.Cleanup(func() {
		if err := w.Delete(context.Background(), definition); err != nil {
			w.t.Error(err)
		}
	})
}

// declared is an object of a kind of the table, in a version of it.
func (w *world) declared(kind, version, name, group string, spec map[string]any) *unstructured.Unstructured {
	w.t.Helper()
	declared := workload.Default().Of(schema.ParseGroupKind(kind))
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(declared.GroupKind().WithVersion(cmp.Or(version, declared.Version)))
	u.SetNamespace(w.ns)
	u.SetName(name)
	u.SetLabels(labelled(group, nil))
	return u
}

// createServed creates an object as soon as its kind is served.
func (w *world) createServed(u *unstructured.Unstructured) {
	w.t.Helper()
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := w.Create(ctx, u)
		return err == nil, ignoreNoMatch(err)
	}) {
		w.t.Fatalf("%s are not served", u.GetKind())
	}
}

// oneCore is a pod template.
func oneCore() map[string]any {
	return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{
		"name": "main", "image": "example.com/app", "resources": map[string]any{"limits": map[string]any{"cpu": "1"}},
	}}}}
}

// The scale subresource of a kind that a project serves is judged, whoever scales: a user, or the controller of
// HorizontalPodAutoscalers, which has no update of the job itself.
func (w *world) scaleOfADeclaredKind() {
	nlp := w.group("elastic", "", hard{"limits.cpu": "6"})
	job := w.declared("PyTorchJob.kubeflow.org", "", "train", nlp, map[string]any{"pytorchReplicaSpecs": map[string]any{
		"Master": map[string]any{"replicas": int64(1), "template": oneCore()},
		"Worker": map[string]any{"replicas": int64(2), "template": oneCore()},
	}})
	w.createServed(job)
	w.used(nlp, hard{"limits.cpu": "3"})

	config := cluster.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
	}
	for who, c := range map[string]client.Client{"a user": w.Client, "the autoscaler": newClient(w.t, config, &warnings{})} {
		err := w.resize(c, job, 6)
		if text, _ := refusal(err); !contains(text, "group "+nlp+": limits.cpu: needs 4, 3 of 6 left (short 1)") {
			w.t.Errorf("6 workers by %s: %v, want a refusal", who, err)
		}
		w.admitted(w.resize(c, job, 5))
		w.used(nlp, hard{"limits.cpu": "6"})
		w.admitted(w.resize(c, job, 2))
		w.used(nlp, hard{"limits.cpu": "3"})
	}

	w.warnings.take()
	autoscaler := w.autoscaler("train", 1, 6)
	autoscaler.Spec.ScaleTargetRef.APIVersion, autoscaler.Spec.ScaleTargetRef.Kind = job.GetAPIVersion(), job.GetKind()
	w.create(autoscaler)
	w.warned("maxReplicas", "group "+nlp+": limits.cpu: needs 4, 3 of 6 left (short 1)")
}

// resize sets the number of an object by its scale subresource.
func (w *world) resize(c client.Client, obj *unstructured.Unstructured, replicas int32) error {
	w.t.Helper()
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: obj.GetName()}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	return c.SubResource("scale").Update(w.t.Context(), obj.DeepCopy(), client.WithSubResourceBody(scale))
}

// A kind is counted, and judged, in whichever of its versions it is written.
func (w *world) versionsOfOneKind() {
	nlp := w.group("versions", "", hard{"limits.cpu": "3"})
	notebook := func(version, name string) *unstructured.Unstructured {
		return w.declared("Notebook.kubeflow.org", version, name, nlp, map[string]any{"template": oneCore()})
	}
	for i, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		w.createServed(notebook(version, version))
		w.used(nlp, hard{"limits.cpu": []string{"1", "2", "3"}[i]})
	}
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		w.refusedWith(w.Create(w.t.Context(), notebook(version, "more")), "limits.cpu: needs 1, 0 of 3 left (short 1)")
	}
	grown := notebook("v1alpha1", "v1")
	w.refusedWith(update(w, grown, func(u *unstructured.Unstructured) {
		containers := []any{map[string]any{"name": "main", "image": "example.com/app", "resources": map[string]any{"limits": map[string]any{"cpu": "2"}}}}
		w.admitted(unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers"))
	}), "limits.cpu: needs 1, 0 of 3 left (short 1)")
	w.used(nlp, hard{"limits.cpu": "3"})
}

// What an annotation says of a workload's state frees it, and to take the annotation away is to grow.
func (w *world) stateInAnAnnotation() {
	const stopped = "kubeflow-resource-stopped"
	nlp := w.group("stopped", "", hard{"limits.cpu": "1"})
	notebook := w.declared("Notebook.kubeflow.org", "v1beta1", "ana", nlp, map[string]any{"template": oneCore()})
	w.createServed(notebook)
	w.used(nlp, hard{"limits.cpu": "1"})
	stop := func(u *unstructured.Unstructured) {
		u.SetAnnotations(map[string]string{stopped: "2026-03-02T09:30:00Z"})
	}
	start := func(u *unstructured.Unstructured) { u.SetAnnotations(nil) }
	w.admitted(update(w, notebook, stop))
	w.used(nlp, hard{"limits.cpu": "0"})

	taken := w.pod("taken", nlp, cpu("1"))
	w.create(taken)
	w.refusedWith(update(w, notebook, start), "limits.cpu: needs 1, 0 of 1 left (short 1)")
	w.admitted(w.Delete(w.t.Context(), taken))
	w.used(nlp, hard{"limits.cpu": "0"})
	w.admitted(update(w, notebook, start))
	w.used(nlp, hard{"limits.cpu": "1"})
}
