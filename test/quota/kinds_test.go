package quota_test

import (
	"context"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// farms is what a user writes to have a kind of their own counted.
const farms = `
kinds:
- group: example.com
  version: v1
  kind: Farm
  resource: farms
  scale: false
  suspend: spec.paused
  makes: [Pod, Deployment.apps]
  podSets:
  - {name: head, template: spec.head}
  - {root: spec.workers.*, key: name, replicas: [count], template: template}
`

var farmKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Farm"}

// farmDefinition serves Farms of any content: what a webhook may be sent by a kind without a schema.
func farmDefinition() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: objectName("farms.example.com"),
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: farmKind.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "farms", Singular: "farm", Kind: farmKind.Kind, ListKind: "FarmList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: farmKind.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

// farm has a head of one core and workers of one core each.
func (w *world) farm(name, group string, workers any) *unstructured.Unstructured {
	pod := map[string]any{"spec": map[string]any{"containers": []any{map[string]any{
		"name": "main", "image": "example.com/app", "resources": map[string]any{"limits": map[string]any{"cpu": "1"}},
	}}}}
	u := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"head": pod, "workers": []any{map[string]any{"name": "small", "count": workers, "template": pod}}},
	}}
	u.SetGroupVersionKind(farmKind)
	u.SetNamespace(w.ns)
	u.SetName(name)
	u.SetLabels(labelled(group, nil))
	return u
}

// A kind that a user declares is counted from when it is served, and until then nobody minds.
func declaredKind(t *testing.T, w *world) {
	nlp := w.group("nlp", "", hard{"limits.cpu": "6"})
	w.create(w.pod("before", nlp, cpu("1"))) // TFJobs, Rollouts, ... and Farms are declared, and not served
	w.used(nlp, hard{"limits.cpu": "1"})

	if err := cluster.CreateAll(t.Context(), farmDefinition()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Delete(context.Background(), farmDefinition().DeepCopy()); err != nil {
			t.Error(err)
		}
	})
	farm := w.farm("north", nlp, int64(3))
	if !w.eventually(func(ctx context.Context) (bool, error) {
		err := w.Create(ctx, farm)
		return err == nil, ignoreNoMatch(err)
	}) {
		t.Fatal("Farms are not served")
	}
	w.used(nlp, hard{"limits.cpu": "5"})
	w.refusedWith(w.Create(t.Context(), w.farm("south", nlp, int64(1))), "group "+nlp+": limits.cpu: needs 2, 1 of 6 left (short 1)")
	workers := func(n any) error {
		return update(w, farm, func(u *unstructured.Unstructured) {
			all, _, err := unstructured.NestedSlice(u.Object, "spec", "workers")
			if err == nil {
				all[0].(map[string]any)["count"] = n
				err = unstructured.SetNestedSlice(u.Object, all, "spec", "workers")
			}
			w.admitted(err)
		})
	}
	w.refusedWith(workers(int64(5)), "limits.cpu: needs 2, 1 of 6 left (short 1)")
	w.admitted(workers(int64(4)))
	w.used(nlp, hard{"limits.cpu": "6"})

	// What cannot be read is refused by the field's name, and the ledger stays as it is.
	w.refusedWith(workers("many"), "spec.workers[0].count", "expected a number, found string")
	w.refusedWith(workers(int64(-1)), "spec.workers[0].count", "-1")
	w.refusedWith(w.Create(t.Context(), w.farm("odd", nlp, 1.5)), "spec.workers[0].count", "1.5")
	headless := w.farm("headless", nlp, int64(0))
	unstructured.RemoveNestedField(headless.Object, "spec", "head")
	if err := w.Create(t.Context(), headless); err == nil {
		t.Error("a Farm without a head, whose cost cannot be told, is admitted")
	}
	w.used(nlp, hard{"limits.cpu": "6"})

	w.admitted(workers(int64(1)))
	w.used(nlp, hard{"limits.cpu": "3"})
	w.admitted(update(w, farm, func(u *unstructured.Unstructured) {
		w.admitted(unstructured.SetNestedField(u.Object, true, "spec", "paused"))
	}))
	w.used(nlp, hard{"limits.cpu": "1"})
	w.admitted(update(w, farm, func(u *unstructured.Unstructured) {
		w.admitted(unstructured.SetNestedField(u.Object, false, "spec", "paused"))
	}))
	w.used(nlp, hard{"limits.cpu": "3"})

	// A Farm does not release what is not its own: a forged owner would hide a Deployment for good.
	w.create(w.deployment("web", nlp, 3, cpu("1")))
	w.used(nlp, hard{"limits.cpu": "6"})
	alice := w.as("alice")
	err := updateBy(t.Context(), alice, w.deployment("web", nlp, 3, cpu("1")), func(d *deployment) {
		d.OwnerReferences = ownedBy("example.com/v1", "Farm", farm)
	})
	if err == nil {
		w.used(nlp, hard{"limits.cpu": "6"})
		w.refusedWith(w.Create(t.Context(), w.pod("more", nlp, cpu("1"))), "limits.cpu: needs 1, 0 of 6 left (short 1)")
	}
	w.admitted(w.Delete(t.Context(), farm))
	w.used(nlp, hard{"limits.cpu": "4"})
}

// ignoreNoMatch takes a kind that is not served yet for no error.
func ignoreNoMatch(err error) error {
	if err == nil || strings.Contains(err.Error(), "no matches for kind") || strings.Contains(err.Error(), "could not find the requested resource") {
		return nil
	}
	return err
}
