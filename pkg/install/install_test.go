package install_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
	"github.com/stowage-dev/stowage/test/lab"
)

var cluster *lab.Lab

func TestMain(m *testing.M) { lab.Main(m, &cluster, lab.Options{}) }

// reset empties the lab, which the test needs.
func reset(t *testing.T) {
	t.Helper()
	lab.Needed(t)
	if err := cluster.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// request is one request to the API server, sent as a dry run.
type request struct {
	name string
	// resource, namespace and object say what of; subresource is of a patch.
	resource               schema.GroupVersionResource
	namespace, object, sub string
	// create is an object to create; else patch is a merge patch; else it is deleted.
	create runtime.Object
	patch  string
	// calls is the webhook that must be called, and fails; empty for none.
	calls string
	// as is a user of the cluster's own; empty for an administrator.
	as string
}

var (
	deployments  = appsv1.SchemeGroupVersion.WithResource("deployments")
	replicaSets  = appsv1.SchemeGroupVersion.WithResource("replicasets")
	statefulSets = appsv1.SchemeGroupVersion.WithResource("statefulsets")
	jobs         = batchv1.SchemeGroupVersion.WithResource("jobs")
	cronJobs     = batchv1.SchemeGroupVersion.WithResource("cronjobs")
	pods         = corev1.SchemeGroupVersion.WithResource("pods")
	autoscalers  = autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
	groups       = stowagev1alpha1.GroupVersion.WithResource(stowagev1alpha1.BizGroupResourceQuotaResource)
)

const (
	groupLabel = stowagev1alpha1.GroupLabel
	owner      = `[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "other", "uid": "00000000-0000-0000-0000-000000000001", "controller": true}]`
)

// TestDownBlocksOnlyGrowth has the webhooks point at nobody. What does not charge a
// group more must go through, what may must be refused: so the component was asked
// in just those cases.
func TestDownBlocksOnlyGrowth(t *testing.T) {
	client := begin(t)
	applyDead(t, client)
	for _, r := range []request{
		// With a group's label.
		{name: "create", resource: deployments, create: counted(build.Deployment("open", "new", 1, pod())), calls: "deployments.apps"},
		{name: "scale up by the object", resource: deployments, object: "counted", patch: `{"spec": {"replicas": 3}}`, calls: "deployments.apps"},
		{name: "scale up", resource: deployments, object: "counted", sub: "scale", patch: `{"spec": {"replicas": 3}}`, calls: "scale"},
		{name: "scale down by the object", resource: deployments, object: "counted", patch: `{"spec": {"replicas": 1}}`},
		{name: "scale down", resource: deployments, object: "counted", sub: "scale", patch: `{"spec": {"replicas": 1}}`},
		{name: "scale to the same", resource: deployments, object: "counted", sub: "scale", patch: `{"spec": {"replicas": 2}}`},
		{name: "larger pods", resource: deployments, object: "counted", patch: `{"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "i", "resources": {"requests": {"cpu": "64"}}}]}}}}`, calls: "deployments.apps"},
		{name: "pause", resource: deployments, object: "counted", patch: `{"spec": {"paused": true}}`},
		{name: "another label", resource: deployments, object: "counted", patch: `{"metadata": {"labels": {"team": "a"}}}`},
		{name: "an annotation", resource: deployments, object: "counted", patch: `{"metadata": {"annotations": {"note": "a"}}}`},
		{name: "a finalizer", resource: deployments, object: "counted", patch: `{"metadata": {"finalizers": ["example.com/f"]}}`},
		{name: "another group", resource: deployments, object: "counted", patch: `{"metadata": {"labels": {"` + groupLabel + `": "cv"}}}`, calls: "deployments.apps"},
		{name: "another model", resource: deployments, object: "counted", patch: `{"metadata": {"labels": {"` + stowagev1alpha1.GPUTypeLabel + `": "A30"}}}`, calls: "deployments.apps"},
		{name: "no group any more", resource: deployments, object: "counted", patch: `{"metadata": {"labels": {"` + groupLabel + `": null}}}`},
		{name: "status", resource: deployments, object: "counted", sub: "status", patch: `{"status": {"observedGeneration": 1}}`},
		{name: "delete", resource: deployments, object: "counted"},
		{name: "a controller", resource: replicaSets, object: "counted", patch: `{"metadata": {"ownerReferences": ` + owner + `}}`, calls: "replicasets.apps"},
		{name: "an owner that is no controller", resource: replicaSets, object: "counted", patch: `{"metadata": {"ownerReferences": ` + strings.Replace(owner, "true", "false", 1) + `}}`},
		{name: "scale up a stateful set", resource: statefulSets, object: "counted", sub: "scale", patch: `{"spec": {"replicas": 3}}`, calls: "scale"},
		{name: "scale down a stateful set", resource: statefulSets, object: "counted", sub: "scale", patch: `{"spec": {"replicas": 0}}`},
		{name: "suspend a job", resource: jobs, object: "counted", patch: `{"spec": {"suspend": true}}`},
		{name: "resume a job", resource: jobs, object: "suspended", patch: `{"spec": {"suspend": false}}`, calls: "jobs.batch"},
		{name: "less parallelism", resource: jobs, object: "counted", patch: `{"spec": {"parallelism": 1}}`},
		{name: "more parallelism", resource: jobs, object: "counted", patch: `{"spec": {"parallelism": 3}}`, calls: "jobs.batch"},
		{name: "another schedule", resource: cronJobs, object: "counted", patch: `{"spec": {"schedule": "0 1 * * *"}}`},
		{name: "another job template", resource: cronJobs, object: "counted", patch: `{"spec": {"jobTemplate": {"metadata": {"labels": {"` + groupLabel + `": "cv"}}}}}`, calls: "cronjobs.batch"},
		{name: "create a pod", resource: pods, create: pod().Label(groupLabel, "nlp").Obj(), calls: "pods"},
		{name: "resize a pod", resource: pods, object: "counted", sub: "resize", patch: `{"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "2"}}}]}}`, calls: "pods"},
		{name: "label a pod", resource: pods, object: "counted", patch: `{"metadata": {"labels": {"team": "a"}}}`},
		{name: "delete a pod", resource: pods, object: "counted"},
		// Without one.
		{name: "create without a group", resource: deployments, create: build.Deployment("open", "new", 1, pod())},
		{name: "create with an empty group", resource: deployments, create: labelled(build.Deployment("open", "new", 1, pod()), groupLabel, "")},
		{name: "scale up by the object without a group", resource: deployments, object: "free", patch: `{"spec": {"replicas": 3}}`},
		{name: "scale down without a group", resource: deployments, object: "free", sub: "scale", patch: `{"spec": {"replicas": 1}}`},
		{name: "scale up without a group: a Scale does not say", resource: deployments, object: "free", sub: "scale", patch: `{"spec": {"replicas": 3}}`, calls: "scale"},
		{name: "join a group", resource: deployments, object: "free", patch: `{"metadata": {"labels": {"` + groupLabel + `": "nlp"}}}`, calls: "deployments.apps"},
		{name: "a part without a group", resource: replicaSets, object: "free", patch: `{"metadata": {"ownerReferences": ` + owner + `}}`, calls: "part.replicasets.apps"},
		{name: "grow a part without a group", resource: replicaSets, object: "part", patch: `{"spec": {"replicas": 3}}`, calls: "part.replicasets.apps"},
		{name: "grow a part without a group, as its controller", as: controller, resource: replicaSets, object: "part", patch: `{"spec": {"replicas": 3}}`},
		{name: "shrink a part without a group", resource: replicaSets, object: "part", patch: `{"spec": {"replicas": 1}}`},
		{name: "label a part without a group", resource: replicaSets, object: "part", patch: `{"metadata": {"labels": {"team": "a"}}}`},
		{name: "delete without a group", resource: deployments, object: "free"},
		// Where a group is required.
		{name: "create without the group required", namespace: "strict", resource: deployments, create: build.Deployment("strict", "new", 1, pod()), calls: "ungrouped.deployments.apps"},
		{name: "create with the group required", namespace: "strict", resource: deployments, create: counted(build.Deployment("strict", "new", 1, pod())), calls: "deployments.apps"},
		{name: "leave the group required", namespace: "strict", resource: deployments, object: "counted", patch: `{"metadata": {"labels": {"` + groupLabel + `": null}}}`, calls: "ungrouped.deployments.apps"},
		{name: "grow without the group required", namespace: "strict", resource: deployments, object: "free", patch: `{"spec": {"replicas": 3}}`, calls: "ungrouped.deployments.apps"},
		{name: "a controller without the group required", namespace: "strict", resource: replicaSets, object: "free", patch: `{"metadata": {"ownerReferences": ` + owner + `}}`, calls: "ungrouped.replicasets.apps"},
		{name: "shrink without the group required", namespace: "strict", resource: deployments, object: "free", patch: `{"spec": {"replicas": 1}}`},
		{name: "label without the group required", namespace: "strict", resource: deployments, object: "free", patch: `{"metadata": {"labels": {"team": "a"}}}`},
		{name: "delete without the group required", namespace: "strict", resource: deployments, object: "free"},
		{name: "scale up where a group is required", namespace: "strict", resource: deployments, object: "free", sub: "scale", patch: `{"spec": {"replicas": 3}}`, calls: "required.scale"},
		{name: "an autoscaler where a group is required", namespace: "strict", resource: autoscalers, create: autoscaler("strict", "new")},
		// Where a namespace takes no part, only those wait who name a group.
		{name: "create elsewhere", namespace: "elsewhere", resource: deployments, create: build.Deployment("elsewhere", "new", 1, pod())},
		{name: "create with a group elsewhere", namespace: "elsewhere", resource: deployments, create: counted(build.Deployment("elsewhere", "new", 1, pod())), calls: "deployments.apps"},
		{name: "scale up elsewhere", namespace: "elsewhere", resource: deployments, object: "free", sub: "scale", patch: `{"spec": {"replicas": 3}}`},
		{name: "scale up by the object elsewhere", namespace: "elsewhere", resource: deployments, object: "free", patch: `{"spec": {"replicas": 3}}`},
		{name: "grow a part elsewhere", namespace: "elsewhere", resource: replicaSets, object: "part", patch: `{"spec": {"replicas": 3}}`},
		{name: "an autoscaler elsewhere", namespace: "elsewhere", resource: autoscalers, create: autoscaler("elsewhere", "new")},
		// Where the component must not be needed.
		{name: "create in kube-system", namespace: "kube-system", resource: deployments, create: counted(build.Deployment("kube-system", "new", 1, pod()))},
		{name: "create in the component's namespace", namespace: install.DefaultNamespace, resource: deployments, create: counted(build.Deployment(install.DefaultNamespace, "new", 1, pod()))},
		// Autoscalers are checked when they scale.
		{name: "an autoscaler", resource: autoscalers, create: autoscaler("open", "new")},
		// Groups.
		{name: "create a group", resource: groups, create: group("cv"), calls: "bizrq"},
		{name: "raise a group", resource: groups, object: "nlp", patch: `{"spec": {"hard": {"pods": "99"}}}`, calls: "bizrq"},
		{name: "annotate a group", resource: groups, object: "nlp", patch: `{"metadata": {"annotations": {"note": "a"}}}`},
		{name: "count a group", resource: groups, object: "nlp", sub: "status", patch: `{"status": {"observedGeneration": 1}}`},
		{name: "delete a group", resource: groups, object: "nlp", calls: "bizrq"},
	} {
		t.Run(r.name, func(t *testing.T) {
			sender := client
			if r.as != "" {
				sender = impersonate(t, r.as)
			}
			err := r.send(t.Context(), sender)
			switch want := fmt.Sprintf("failed calling webhook %q", r.calls+".quota.stowage.dev"); {
			case r.calls == "" && err != nil:
				t.Errorf("refused: %v", err)
			case r.calls != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("got %v, want: %s", err, want)
			}
		})
	}
}

// controller is that of Deployments.
const controller = "system:serviceaccount:kube-system:deployment-controller"

// impersonate is a client of a ServiceAccount in kube-system.
func impersonate(t *testing.T, user string) dynamic.Interface {
	t.Helper()
	config := cluster.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{
		"system:masters", "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + metav1.NamespaceSystem,
	}}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// begin empties the lab and creates what the requests are about.
func begin(t *testing.T) dynamic.Interface {
	t.Helper()
	reset(t)
	objects := []runtime.Object{
		build.Namespace("open", stowagev1alpha1.QuotaLabel+"="+stowagev1alpha1.QuotaEnabled),
		build.Namespace("strict", stowagev1alpha1.RequireGroupLabel+"=true"),
		build.Namespace("elsewhere", ""),
		build.Namespace(install.DefaultNamespace, ""),
	}
	for _, namespace := range []string{"open", "strict", "elsewhere"} {
		objects = append(objects,
			counted(build.Deployment(namespace, "counted", 2, pod())), build.Deployment(namespace, "free", 2, pod()),
			counted(build.ReplicaSet(namespace, "counted", "", 0, pod())), build.ReplicaSet(namespace, "free", "", 0, pod()),
			partOf(t, build.ReplicaSet(namespace, "part", "", 2, pod())),
		)
	}
	suspended := build.Job("open", "suspended", 2, 4, job())
	suspended.Spec.Suspend = new(true)
	objects = append(objects,
		counted(build.StatefulSet("open", "counted", 2, pod())),
		counted(build.Job("open", "counted", 2, 4, job())), counted(suspended),
		counted(&batchv1.CronJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: "open", Name: "counted"},
			Spec:       batchv1.CronJobSpec{Schedule: "0 0 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: build.Job("", "", 1, 1, job()).Spec}},
		}),
		build.Pod("open", "counted").Request("cpu=1").Label(groupLabel, "nlp").Obj(),
	)
	if err := cluster.CreateAll(t.Context(), objects...); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// applyDead installs the custom resources with a group, and the webhooks with
// nobody behind them, and waits until the API server asks them.
func applyDead(t *testing.T, client dynamic.Interface) {
	t.Helper()
	ports, err := lab.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := install.Objects(install.Options{
		Kinds:   workload.Default(),
		Webhook: install.Endpoint{URL: fmt.Sprintf("https://127.0.0.1:%d", ports[0])},
	})
	if err != nil {
		t.Fatal(err)
	}
	webhooks := len(objects) - 1
	if err := install.Apply(t.Context(), cluster.RESTConfig(), objects[:webhooks], install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(groups).Create(t.Context(), untyped(t, group("nlp")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := install.Apply(t.Context(), cluster.RESTConfig(), objects[webhooks:], install.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the API server to ask the webhooks", func(ctx context.Context) (bool, error) {
		asked := request{resource: groups, create: group("asked")}
		return asked.send(ctx, client) != nil, nil
	})
}

// send sends the request as a dry run.
func (r request) send(ctx context.Context, client dynamic.Interface) error {
	namespace := r.namespace
	if namespace == "" {
		namespace = "open"
	}
	resources := client.Resource(r.resource).Namespace(namespace)
	if r.resource == groups {
		resources = client.Resource(r.resource)
	}
	dryRun := []string{metav1.DryRunAll}
	switch {
	case r.create != nil:
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r.create)
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{Object: content}
		if kinds, _, err := scheme.Scheme.ObjectKinds(r.create); err == nil {
			object.SetGroupVersionKind(kinds[0])
		}
		_, err = resources.Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
		return err
	case r.patch != "":
		var sub []string
		if r.sub != "" {
			sub = []string{r.sub}
		}
		kind := types.StrategicMergePatchType
		if r.sub == "scale" || r.resource == groups {
			kind = types.MergePatchType
		}
		_, err := resources.Patch(ctx, r.object, kind, []byte(r.patch), metav1.PatchOptions{DryRun: dryRun}, sub...)
		return err
	}
	return resources.Delete(ctx, r.object, metav1.DeleteOptions{DryRun: dryRun})
}

func pod() *build.PodBuilder { return build.Pod("open", "new").Request("cpu=1").Label("app", "a") }

func job() *build.PodBuilder {
	b := pod()
	b.Obj().Spec.RestartPolicy = corev1.RestartPolicyNever
	return b
}

// partOf gives an object a controller, in a version that is not served: so the garbage
// collector leaves it alone.
func partOf[T metav1.Object](t *testing.T, object T) T {
	t.Helper()
	var owners []metav1.OwnerReference
	if err := json.Unmarshal([]byte(strings.Replace(owner, "apps/v1", "apps/v9", 1)), &owners); err != nil {
		t.Fatal(err)
	}
	object.SetOwnerReferences(owners)
	return object
}

// counted ties a workload to a group.
func counted[T metav1.Object](object T) T { return labelled(object, groupLabel, "nlp") }

func labelled[T metav1.Object](object T, key, value string) T {
	labels := map[string]string{key: value}
	maps.Copy(labels, object.GetLabels())
	object.SetLabels(labels)
	return object
}

func group(name string) *stowagev1alpha1.BizGroupResourceQuota {
	return &stowagev1alpha1.BizGroupResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: stowagev1alpha1.GroupVersion.String(), Kind: stowagev1alpha1.BizGroupResourceQuotaKind},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: build.Resources("pods=50")},
	}
}

func autoscaler(namespace, name string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "counted"},
			MaxReplicas:    9,
		},
	}
}

func untyped(t *testing.T, object runtime.Object) *unstructured.Unstructured {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

// await polls until a condition holds.
func await(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, condition); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
