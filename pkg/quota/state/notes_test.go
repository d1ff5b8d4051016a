package state_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// native is a ResourceQuota of namespace ns.
func native(name, hard, used string, scopes ...corev1.ResourceQuotaScope) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: build.Resources(hard), Scopes: scopes},
		Status: corev1.ResourceQuotaStatus{Used: build.Resources(used)},
	}
}

func TestNotes(t *testing.T) {
	group, node := counted("a", "", "cpu=100", "").Obj(), build.Node("n1").Obj()
	mesh := build.Namespace("ns", "istio-injection=enabled")
	injected := build.Deployment("ns", "web", 1, pod("web", "cpu=1"))
	injected.Spec.Template.Annotations = map[string]string{"linkerd.io/inject": "enabled"}
	out, ofNode := build.Deployment("ns", "web", 1, pod("web", "cpu=1")), build.Deployment("ns", "web", 1, pod("web", "cpu=1"))
	out.Spec.Template.Annotations = map[string]string{"sidecar.istio.io/inject": "false"}
	ofNode.Spec.Template.Spec.HostNetwork = true
	tests := map[string]struct {
		cluster []snapshot.Object
		kind    string
		object  snapshot.Object
		want    []string
	}{
		"nothing to say":        {[]snapshot.Object{group, node}, "deployments.apps", deployment("web", 1), nil},
		"no group":              {[]snapshot.Object{group, node}, "deployments.apps", build.Deployment("ns", "web", 1, pod("web", "cpu=1")), []string{"charges nothing: names no group"}},
		"no node":               {[]snapshot.Object{group}, "daemonsets.apps", tie(build.DaemonSet("ns", "agent", pod("agent", "cpu=1")), "a"), []string{"no nodes are known: daemonset.apps/agent"}},
		"a node":                {[]snapshot.Object{group, node}, "daemonsets.apps", tie(build.DaemonSet("ns", "agent", pod("agent", "cpu=1")), "a"), nil},
		"injected":              {[]snapshot.Object{group, node}, "deployments.apps", tie(injected, "a"), []string{"Linkerd is asked to inject"}},
		"in a mesh":             {[]snapshot.Object{group, node, mesh}, "deployments.apps", deployment("web", 1), []string{"Istio is asked to inject"}},
		"not the pod":           {[]snapshot.Object{group, node, mesh}, "deployments.apps", tie(out, "a"), nil},
		"in the node's network": {[]snapshot.Object{group, node, mesh}, "deployments.apps", tie(ofNode, "a"), nil},
		"a quota beside":        {[]snapshot.Object{group, node, native("compute", "requests.cpu=4,pods=5", "requests.cpu=3,pods=1")}, "deployments.apps", deployment("web", 4), []string{"ResourceQuota compute has requests.cpu: 1 left, 4 needed"}},
		"enough beside":         {[]snapshot.Object{group, node, native("compute", "cpu=4,pods=5", "cpu=3,pods=1")}, "deployments.apps", deployment("web", 1), nil},
		"other pods' scope":     {[]snapshot.Object{group, node, native("compute", "pods=0", "", corev1.ResourceQuotaScopeBestEffort)}, "deployments.apps", deployment("web", 1), nil},
		"the pods' scopes":      {[]snapshot.Object{group, node, native("compute", "pods=0", "", corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeNotTerminating)}, "deployments.apps", deployment("web", 1), []string{"ResourceQuota compute has pods: 0 left, 1 needed: not all pods will start"}},
		"perhaps the pods'":     {[]snapshot.Object{group, node, native("compute", "pods=0", "", corev1.ResourceQuotaScopePriorityClass)}, "deployments.apps", deployment("web", 1), []string{"ResourceQuota compute has pods: 0 left, 1 needed: not all pods will start, if they are of its scopes (PriorityClass)"}},
		"what must be given":    {[]snapshot.Object{group, node, native("compute", "limits.memory=4Gi", "")}, "deployments.apps", deployment("web", 1), []string{"ResourceQuota compute: must specify limits.memory for: main: no pod will start"}},
		"no object more":        {[]snapshot.Object{group, node, native("compute", "count/deployments.apps=3", "count/deployments.apps=3")}, "deployments.apps", deployment("web", 1), []string{"ResourceQuota compute has count/deployments.apps: 0 left, 1 needed: the object itself is refused"}},
		"a Job of a CronJob":    {[]snapshot.Object{group, node, native("compute", "pods=0", "")}, "cronjobs.batch", tie(cronJob("cpu=1"), "a"), []string{"one Job of it: ResourceQuota compute has pods: 0 left, 1 needed"}},
	}
	for name, test := range tests {
		check, err := newState(test.cluster...).Try(state.Requester{Name: "you"}).Edit(t.Context(), edit(t, test.kind, test.object))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		notes := slices.DeleteFunc(check.Warnings, func(warning string) bool {
			return strings.Contains(warning, "a dump") || strings.Contains(warning, "takes part")
		})
		if len(notes) != len(test.want) || len(notes) > 0 && !strings.Contains(notes[0], test.want[0]) {
			t.Errorf("%s: warned %q, want %q", name, notes, test.want)
		}
	}
}

// autoscaler is ns/web's, of at most so many replicas.
func autoscaler(kind, target string, most int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": map[string]any{"namespace": "ns", "name": "web"},
		"spec": map[string]any{"maxReplicas": most, "scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": kind, "name": target}},
	}}
}

// scaledObject is KEDA's ns/web, of at most so many replicas of Deployment web.
func scaledObject(most int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": map[string]any{"namespace": "ns", "name": "web"},
		"spec": map[string]any{"maxReplicaCount": most, "scaleTargetRef": map[string]any{"name": "web"}},
	}}
}

// KEDA makes an autoscaler, which is refused in its place.
func TestScaledObjectsAreJudged(t *testing.T) {
	denying := counted("a", "", "cpu=10", "cpu=3").With(func(group *stowagev1alpha1.BizGroupResourceQuota) { group.Spec.HPA = stowagev1alpha1.HPADeny }).Obj()
	warning := counted("a", "", "cpu=10", "cpu=3").Obj()
	short := "spec.maxReplicas: 11 will not fit: group a: cpu: needs 8, 7 of 10 left (short 1)"
	for name, test := range map[string]struct {
		group snapshot.Object
		most  int64
		want  string
	}{
		"fits":         {denying, 10, ""},
		"does not fit": {denying, 11, "the HorizontalPodAutoscaler that KEDA makes of it is refused: " + short},
		"warned of":    {warning, 11, short},
	} {
		check, err := newState(test.group, deployment("web", 3)).Try(state.Requester{Name: "you"}).Autoscale(t.Context(), scaledObject(test.most), false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := strings.Join(check.Warnings, "; ")
		if !check.Allowed || !strings.HasPrefix(said, test.want) || test.want == "" && said != "" || check.Object != "ns/scaledobject.keda.sh/web" {
			t.Errorf("%s: %s allowed %t: %q, want %q", name, check.Object, check.Allowed, said, test.want)
		}
	}
}

func TestAutoscalersAreJudged(t *testing.T) {
	denying := counted("a", "", "cpu=10", "cpu=3").With(func(group *stowagev1alpha1.BizGroupResourceQuota) { group.Spec.HPA = stowagev1alpha1.HPADeny }).Obj()
	warning := counted("a", "", "cpu=10", "cpu=3").Obj()
	tests := map[string]struct {
		group            snapshot.Object
		object           *unstructured.Unstructured
		deleted, allowed bool
		want             string
	}{
		"fits":          {denying, autoscaler("Deployment", "web", 10), false, true, ""},
		"does not fit":  {denying, autoscaler("Deployment", "web", 11), false, false, "spec.maxReplicas: 11 will not fit: group a: cpu: needs 8, 7 of 10 left (short 1)"},
		"warned of":     {warning, autoscaler("Deployment", "web", 11), false, true, "spec.maxReplicas: 11 will not fit: group a: cpu: needs 8, 7 of 10 left (short 1)"},
		"deleted":       {denying, autoscaler("Deployment", "web", 11), true, true, ""},
		"not there":     {denying, autoscaler("Deployment", "gone", 11), false, true, "spec.maxReplicas: whether 11 will fit is not known: deployment.apps/gone is not there"},
		"unknown kinds": {denying, autoscaler("Widget", "web", 11), false, true, "spec.maxReplicas: whether 11 will fit is not known: Widget web: no known kind of workload"},
	}
	for name, test := range tests {
		check, err := newState(test.group, deployment("web", 3)).Try(state.Requester{Name: "you"}).Autoscale(t.Context(), test.object, test.deleted)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := strings.Join(slices.Concat(check.Reasons, check.Warnings), "; ")
		if check.Allowed != test.allowed || !strings.HasPrefix(said, test.want) || test.want == "" && said != "" || check.Object != "ns/horizontalpodautoscaler.autoscaling/web" {
			t.Errorf("%s: %s allowed %t: %q, want %q", name, check.Object, check.Allowed, said, test.want)
		}
	}
}

// Each change is judged with what those before it have taken of a ResourceQuota.
func TestTrialChargesResourceQuotas(t *testing.T) {
	s := newState(counted("a", "", "cpu=100", "").Obj(), native("compute", "limits.cpu=10,count/deployments.apps=2", ""), deployment("there", 1))
	trial := s.Try(state.Requester{Name: "you"})
	gone := edit(t, "deployments.apps", deployment("there", 1))
	gone.Deleted = true
	for i, step := range []struct {
		edit state.Edit
		want string
	}{
		{edit(t, "deployments.apps", deployment("web", 6)), ""},
		{edit(t, "deployments.apps", deployment("more", 6)), "ResourceQuota compute has limits.cpu: 4 left, 6 needed: not all pods will start"},
		{edit(t, "deployments.apps", deployment("third", 0)), "ResourceQuota compute has count/deployments.apps: 0 left, 1 needed: the object itself is refused"},
		{edit(t, "deployments.apps", deployment("web", 1)), ""},
		{gone, ""},
	} {
		check, err := trial.Edit(t.Context(), step.edit)
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(check.Warnings, "; "); !strings.HasSuffix(said, step.want) || step.want == "" && strings.Contains(said, "ResourceQuota") {
			t.Errorf("edit %d: warned %q, want %q", i, said, step.want)
		}
	}
	autoscaled, err := trial.Autoscale(t.Context(), autoscaler("Deployment", "web", 9), false)
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(autoscaled.Warnings, "; "); said != "spec.maxReplicas: at 9 ResourceQuota compute has limits.cpu: 4 left, 8 needed: not all pods will start" {
		t.Errorf("autoscaler: warned %q", said)
	}
}
