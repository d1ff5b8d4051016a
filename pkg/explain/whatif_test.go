package explain_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func wouldFit(t *testing.T, object runtime.Object, objects ...snapshot.Object) report.PendingItem {
	t.Helper()
	item, err := explainer(t, objects...).WouldFit(t.Context(), object, "a")
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func TestWouldFitPlacesReplicasOneAfterAnother(t *testing.T) {
	nodes := build.Nodes(3, "n", func(b *build.NodeBuilder) { b.Capacity("cpu=4,memory=8Gi,pods=10") })
	for name, tc := range map[string]struct {
		object  runtime.Object
		objects []snapshot.Object
		fits    int32
		verdict report.Verdict
		message string
	}{
		"all": {build.Deployment("a", "web", 3, build.Pod("a", "").Request("cpu=3")), nodes, 3, report.VerdictSchedulable, ""},
		"some": {build.Deployment("a", "web", 5, build.Pod("a", "").Request("cpu=3")), nodes, 3, report.VerdictUnschedulable,
			"0/3 nodes are available: 3 Insufficient cpu."},
		"anti-affinity among the replicas": {build.Deployment("a", "web", 5, build.Pod("a", "").Label("app", "web").PodAntiAffinity("app=web", corev1.LabelHostname)),
			nodes, 3, report.VerdictUnschedulable, "3 node(s) didn't match pod anti-affinity rules"},
		"a pod without the API server's defaults": {&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "app", Resources: corev1.ResourceRequirements{Limits: build.Resources("cpu=6")}}}}},
			nodes, 0, report.VerdictUnschedulable, "3 Insufficient cpu"},
		"the namespace's default requests": {build.Deployment("a", "web", 2, build.Pod("a", "")),
			append([]snapshot.Object{build.LimitRange("a", "limits", corev1.LimitTypeContainer, "", "cpu=5")}, nodes...), 0, report.VerdictUnschedulable, "3 Insufficient cpu"},
		"a stateful set's claims": {withClaim(build.StatefulSet("a", "db", 2, build.Pod("a", "").Request("cpu=1"))),
			append([]snapshot.Object{build.StorageClass("fast", "example.com/p", storagev1.VolumeBindingWaitForFirstConsumer)}, nodes...), 2, report.VerdictSchedulable, ""},
		"a daemon, node by node": {build.DaemonSet("a", "agent", build.Pod("a", "").Request("cpu=1")),
			append([]snapshot.Object{build.Node("small").Capacity("cpu=500m,memory=1Gi,pods=10").Obj()}, nodes...), 3, report.VerdictSchedulable, ""},
		"a daemon on the host's network, where the node's is missing": {
			build.DaemonSet("a", "cni", build.Pod("a", "").With(func(pod *corev1.Pod) { pod.Spec.HostNetwork = true })),
			[]snapshot.Object{build.Node("n").Capacity("cpu=4").Taint(corev1.TaintNodeNetworkUnavailable + ":NoSchedule").Obj()}, 1, report.VerdictSchedulable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			item := wouldFit(t, tc.object, tc.objects...)
			if item.FitReplicas == nil || *item.FitReplicas != tc.fits {
				t.Errorf("fitting replicas %v, want %d", item.FitReplicas, tc.fits)
			}
			if item.Verdict != tc.verdict || !strings.Contains(item.Message, tc.message) {
				t.Errorf("%s: %q, want %s: %q", item.Verdict, item.Message, tc.verdict, tc.message)
			}
		})
	}
}

// A daemon whose template names its node is for that node alone.
func TestWouldFitDaemonOfOneNode(t *testing.T) {
	for name, tc := range map[string]struct {
		node           string
		replicas, fits int32
	}{
		"on it": {"n1", 1, 1}, "on one that is too small": {"small", 1, 0}, "on none that there is": {"gone", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			daemons := build.DaemonSet("a", "agent", build.Pod("a", "").Request("cpu=1").Node(tc.node))
			item := wouldFit(t, daemons, append(build.Nodes(3, "n", func(b *build.NodeBuilder) { b.Capacity("cpu=4,pods=10") }),
				build.Node("small").Capacity("cpu=500m,pods=10").Obj())...)
			if item.Replicas != tc.replicas || *item.FitReplicas != tc.fits {
				t.Errorf("%d of %d fit, want %d of %d", *item.FitReplicas, item.Replicas, tc.fits, tc.replicas)
			}
			if fits := item.Verdict == report.VerdictSchedulable; fits != (tc.fits > 0) {
				t.Errorf("%s: %q", item.Verdict, item.Message)
			}
		})
	}
}

// content is an object of a kind without a Go type.
func content(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// What declares no pods, or none of some sets, is answered as well.
func TestWouldFitWithoutPods(t *testing.T) {
	const template = "template: {spec: {containers: [{name: c, image: i}]}}"
	torch := func(spec string) string {
		return "{apiVersion: kubeflow.org/v1, kind: PyTorchJob, metadata: {name: r}, spec: {pytorchReplicaSpecs: {" + spec + "}}}"
	}
	for name, tc := range map[string]struct {
		text           string
		verdict        report.Verdict
		replicas, fits int32
		message        string
	}{
		"a set of none beside one": {torch("Master: {replicas: 0, " + template + "}, Worker: {replicas: 2, " + template + "}"),
			report.VerdictSchedulable, 2, 2, ""},
		"sets of none": {torch("Master: {replicas: 0, " + template + "}, Worker: {replicas: 0, " + template + "}"),
			report.VerdictSchedulable, 0, 0, "it asks for no pods"},
		"leaders and workers of none": {`{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {name: r},
			spec: {replicas: 0, leaderWorkerTemplate: {size: 2, workerTemplate: {spec: {containers: [{name: c, image: i}]}}}}}`,
			report.VerdictSchedulable, 0, 0, "it asks for no pods"},
		"no sets":  {torch(""), report.VerdictUnknown, 0, -1, "it declares no pods"},
		"no spec":  {"{apiVersion: kubeflow.org/v1, kind: PyTorchJob, metadata: {name: r}}", report.VerdictUnknown, 0, -1, "it declares no pods"},
		"no items": {"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: r}, spec: {replicatedJobs: []}}", report.VerdictUnknown, 0, -1, "it declares no pods"},
		"a template elsewhere": {"{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: r}, spec: {replicas: 2, workloadRef: {kind: Deployment, name: d}}}",
			report.VerdictUnknown, 0, -1, "its pods are made of the template of Deployment/d: ask about that one"},
	} {
		t.Run(name, func(t *testing.T) {
			item := wouldFit(t, content(t, tc.text), build.Node("n").Capacity("cpu=4,pods=10").Obj())
			if item.Verdict != tc.verdict || !strings.Contains(item.Message, tc.message) {
				t.Errorf("%s: %q, want %s: %q", item.Verdict, item.Message, tc.verdict, tc.message)
			}
			if fits := ptr.Deref(item.FitReplicas, -1); item.Replicas != tc.replicas || fits != tc.fits {
				t.Errorf("%d of %d fit, want %d of %d", fits, item.Replicas, tc.fits, tc.replicas)
			}
		})
	}
}

// An object that has no name yet is called by what its name begins with.
func TestWouldFitNames(t *testing.T) {
	for want, meta := range map[string]metav1.ObjectMeta{
		"web": {Name: "web", GenerateName: "x-"}, "web-": {GenerateName: "web-"}, "(unnamed)": {},
	} {
		job := build.Job("a", "", 1, 1, build.Pod("a", ""))
		job.ObjectMeta = meta
		if item := wouldFit(t, job, build.Node("n").Capacity("cpu=4,pods=10").Obj()); item.Name != want {
			t.Errorf("named %q, want %q", item.Name, want)
		}
		if job.Name != meta.Name {
			t.Errorf("the job's own name is %q now", job.Name)
		}
	}
}

func withClaim(set *appsv1.StatefulSet) *appsv1.StatefulSet {
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*build.PVC("", "data", "fast", "1Gi", "")}
	return set
}

func TestWouldFitRefusesWhatMakesNoPods(t *testing.T) {
	e := explainer(t, build.Node("n").Capacity("cpu=4").Obj())
	for name, tc := range map[string]struct {
		object runtime.Object
		want   string
	}{
		"a kind without pods":           {&corev1.ConfigMap{}, "expected a Pod or a workload that makes pods"},
		"a template without containers": {&appsv1.Deployment{}, "the pod spec has no containers"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := e.WouldFit(t.Context(), tc.object, "a"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestWorkloadWhosePodsCannotBeCreated(t *testing.T) {
	deployment := build.Deployment("a", "web", 3, build.Pod("a", "").Request("cpu=2"))
	set := build.ReplicaSet("a", "web-1", "web", 3, build.Pod("a", "").Request("cpu=2"))
	e := explainer(t, deployment, set,
		build.ResourceQuota("a", "team", "requests.cpu=4", "requests.cpu=3"),
		build.Event("a", "web-1.1", "ReplicaSet", "web-1", "FailedCreate",
			`Error creating: pods "web-1-x" is forbidden: exceeded quota: team, requested: requests.cpu=2, used: requests.cpu=3, limited: requests.cpu=4`))
	items, err := e.Workload(t.Context(), deployment)
	if err != nil || len(items) != 1 {
		t.Fatalf("%d items, error %v, want one", len(items), err)
	}
	if want := "requests.cpu: needs 6 for 3 pods, 1 of 4 left (short 5)"; items[0].Verdict != report.VerdictNotCreated || items[0].Causes[0].Detail != want {
		t.Errorf("%s: %q, want NotCreated: %q", items[0].Verdict, items[0].Causes[0].Detail, want)
	}
	if want := `kubectl -n a patch resourcequota team --type=merge -p '{"spec":{"hard":{"requests.cpu":"9"}}}'`; len(items[0].Remedies) != 1 || items[0].Remedies[0].Command != want {
		t.Errorf("remedies %+v, want one with the command %s", items[0].Remedies, want)
	}
}

func TestAllGroupsAndCountsWhatARemedyFrees(t *testing.T) {
	objects := []snapshot.Object{
		build.Node("big").Capacity("cpu=8,memory=8Gi,pods=10").Taint("dedicated=gpu:NoSchedule").Obj(),
		build.Node("small").Capacity("cpu=1,memory=8Gi,pods=10").Obj(),
	}
	var pods []*corev1.Pod
	for _, name := range []string{"p1", "p2", "p3"} {
		pod := build.Pod("a", name).Request("cpu=3").Obj()
		pods, objects = append(pods, pod), append(objects, pod)
	}
	result, err := explainer(t, objects...).All(t.Context(), pods)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Items) != 3 || len(result.Groups) != 1 {
		t.Fatalf("%d items in %d groups, want 3 in 1", len(result.Items), len(result.Groups))
	}
	group := result.Groups[0]
	if group.Pods != 3 || group.Remedy == nil || group.Remedy.Description != "add a toleration for dedicated=gpu:NoSchedule" || group.RemedyFrees != 2 {
		t.Errorf("group %+v with remedy %+v, want 3 pods and a toleration that frees 2: the node has room for two", group, group.Remedy)
	}
	if want := "Pod/a/p3"; result.Items[2].Remedies[0].Changes[0].Object != want {
		t.Errorf("the third pod's remedy changes %s, want %s", result.Items[2].Remedies[0].Changes[0].Object, want)
	}
}

func TestAutoscalerNotes(t *testing.T) {
	pod := build.Pod("a", "p").Request("cpu=8").Obj()
	item := explainPod(t, pod, build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
		build.Event("a", "p.1", "Pod", "p", "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached"),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cluster-autoscaler-status"}, Data: map[string]string{
			"status": "autoscalerStatus: Running\nclusterWide:\n  health: {status: Healthy}\n  scaleUp: {status: NoActivity}\n"}})
	var got []string
	for _, note := range item.Autoscaler {
		got = append(got, note.Source+" "+note.Reason+": "+note.Message)
	}
	want := []string{
		"cluster-autoscaler NotTriggerScaleUp: pod didn't trigger scale-up: 1 max node group size reached",
		"cluster-autoscaler Status: Running, health Healthy, scale-up NoActivity",
	}
	if !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
}
