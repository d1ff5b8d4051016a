package load_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// groupCRD is what `kubectl quota install` applies first.
const groupCRD = "../../pkg/install/manifests/crds/stowage.dev_bizgroupresourcequotas.yaml"

// rolloutCRD serves a workload kind that has no Go type.
const rolloutCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts, singular: rollout}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// farmCRD serves a kind that nobody knows.
const farmCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: farms.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Farm, plural: farms, singular: farm}
  versions:
  - {name: v2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// farm is an object of that kind.
func farm(name, group string, owner ...metav1.OwnerReference) *unstructured.Unstructured {
	u := rollout(name, group)
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "example.com", Version: "v2", Kind: "Farm"})
	u.SetOwnerReferences(owner)
	return u
}

// rollouts are the kind of rolloutCRD, as far as they are tied to a group.
func rollouts() snapshot.Kind {
	return snapshot.Labelled(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}, "rollouts")
}

func rollout(name, group string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(2)}}}
	u.SetGroupVersionKind(rollouts().GroupVersionKind)
	u.SetNamespace("default")
	u.SetName(name)
	if group != "" {
		u.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: group})
	}
	return u
}

// createCustom creates a group and a workload of it, after their definitions,
// which outlive a reset.
func createCustom(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(groupCRD)
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range []string{string(text), rolloutCRD, farmCRD} {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(definition), &u.Object); err != nil {
			t.Fatal(err)
		}
		if err := cluster.CreateAll(t.Context(), u); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	group := build.BizGroup("nlp", "").Hard("limits.cpu=10,cash/limits.cpu=100").Used("limits.cpu=4").With(func(g *stowagev1alpha1.BizGroupResourceQuota) {
		asUser(g)
		g.SetGroupVersionKind(stowagev1alpha1.GroupVersion.WithKind(stowagev1alpha1.BizGroupResourceQuotaKind))
	}).Obj()
	for _, object := range []runtime.Object{group, rollout("tied", "nlp")} {
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			return cluster.CreateAll(ctx, object) == nil, nil // until the kind is served
		})
		if err != nil {
			t.Fatalf("creating %T: %v", object, err)
		}
	}
}

// TestExtra loads only what is tied to a group, of kinds that the server has.
func TestExtra(t *testing.T) {
	resetAfter(t)
	createCustom(t)
	if err := cluster.CreateAll(t.Context(), rollout("free", "")); err != nil {
		t.Fatal(err)
	}
	absent := snapshot.Labelled(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Farm"}, "farms")
	s, err := load.Live(t.Context(), cluster.RESTConfig(), load.Options{Kinds: []string{"bizgroupresourcequotas"}, Extra: []snapshot.Kind{rollouts(), absent}})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Missing) > 0 || len(s.BizGroupResourceQuotas) != 1 || len(s.Others) != 1 || s.Others[0].GetName() != "tied" {
		t.Errorf("Missing %v, %d groups, Others %v; want one group and the tied rollout", s.Missing, len(s.BizGroupResourceQuotas), s.Others)
	}
}

// TestStrangers looks for what names a group among kinds that nobody told of, by metadata
// alone. Who may not list them is told once.
func TestStrangers(t *testing.T) {
	resetAfter(t)
	createCustom(t)
	owned := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web"}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := cluster.CreateAll(ctx, farm("free", ""), farm("north", "nlp"), farm("web", "nlp", owned))
		return err == nil || apierrors.IsAlreadyExists(err), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	opts := load.Options{Kinds: []string{"bizgroupresourcequotas"}, Extra: []snapshot.Kind{rollouts()}, Strangers: true}
	s, err := load.Live(t.Context(), cluster.RESTConfig(), opts)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range s.Others {
		names = append(names, object.GroupVersionKind().String()+" "+object.GetNamespace()+"/"+object.GetName())
	}
	if diff := cmp.Diff([]string{"example.com/v2, Kind=Farm default/north", "argoproj.io/v1alpha1, Kind=Rollout default/tied"}, names); diff != "" || len(s.Missing) > 0 {
		t.Errorf("Missing %v, Others (-want +got):\n%s", s.Missing, diff)
	}
	if spec := s.Others[0].Object["spec"]; spec != nil {
		t.Errorf("more than metadata is loaded: %v", spec)
	}

	stranger := cluster.RESTConfig()
	stranger.Impersonate = rest.ImpersonationConfig{UserName: "stranger", Groups: []string{"system:authenticated"}}
	opts.Kinds, opts.Extra = []string{}, nil
	if s, err = load.Live(t.Context(), stranger, opts); err != nil {
		t.Fatal(err)
	}
	want := []snapshot.Missing{{Resource: snapshot.OtherKinds, Reason: snapshot.Forbidden}}
	if diff := cmp.Diff(want, s.Missing); diff != "" || len(s.Others) > 0 {
		t.Errorf("Others %v, Missing (-want +got):\n%s", s.Others, diff)
	}
}
