package explain_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func explainer(t *testing.T, objects ...snapshot.Object) *explain.Explainer {
	t.Helper()
	e, err := explain.New(t.Context(), build.Snapshot(objects...), explain.Options{Remedies: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func explainPod(t *testing.T, pod *corev1.Pod, objects ...snapshot.Object) report.PendingItem {
	t.Helper()
	item, err := explainer(t, append(objects, pod)...).Pod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func selector(list string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: build.Labels(list)}
}

// want says what an answer must hold: parts of the first causes' texts, in their
// order, and all remedies by their description.
type want struct {
	verdict  report.Verdict
	message  string
	causes   []string
	remedies []string
}

func (w want) check(t *testing.T, item report.PendingItem) {
	t.Helper()
	if w.verdict == "" {
		w.verdict = report.VerdictUnschedulable
	}
	if item.Verdict != w.verdict {
		t.Errorf("verdict %s, want %s (%s)", item.Verdict, w.verdict, item.Message)
	}
	if !strings.Contains(item.Message, w.message) {
		t.Errorf("message %q, want %q in it", item.Message, w.message)
	}
	for i, text := range w.causes {
		if i >= len(item.Causes) {
			t.Fatalf("%d causes, want %d: %+v", len(item.Causes), len(w.causes), item.Causes)
		}
		if got := item.Causes[i].Reason + ": " + item.Causes[i].Detail; !strings.Contains(got, text) {
			t.Errorf("cause %d is %q, want %q in it", i, got, text)
		}
	}
	var remedies []string
	for _, remedy := range item.Remedies {
		if !remedy.Verified {
			t.Errorf("remedy %q is not verified", remedy.Description)
		}
		remedies = append(remedies, remedy.Description)
	}
	if !slices.Equal(remedies, w.remedies) {
		t.Errorf("remedies\n%s\nwant\n%s\nnote: %s", strings.Join(remedies, "\n"), strings.Join(w.remedies, "\n"), item.RemedyNote)
	}
}

// TestGotWrongByOthers has, by name, what the tools that exist get wrong.
func TestGotWrongByOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		pod     *corev1.Pod
		objects []snapshot.Object
		want    want
	}{
		"every resource free on some node, never all on one": {
			pod: build.Pod("a", "p").Request("cpu=4,memory=4Gi,nvidia.com/gpu=1").Obj(),
			objects: []snapshot.Object{
				build.Node("cpu-rich").Capacity("cpu=16,memory=32Gi,pods=10,nvidia.com/gpu=1").Obj(),
				build.Node("gpu-rich").Capacity("cpu=16,memory=32Gi,pods=10,nvidia.com/gpu=4").Obj(),
				build.Pod("b", "gpu-eater").Request("cpu=1,nvidia.com/gpu=1").Node("cpu-rich").Obj(),
				build.Pod("b", "cpu-eater").Request("cpu=14").Node("gpu-rich").Obj(),
			},
			want: want{
				message: "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu.",
				causes:  []string{"never all on one: cpu on 1, memory on 2, nvidia.com/gpu on 1"},
				remedies: []string{
					"lower the request for cpu from 4 to 2",
					"add 1 node like cpu-rich (16 cpu, 32Gi memory, 1 nvidia.com/gpu)",
					"evict pod b/cpu-eater from node gpu-rich",
					"evict pod b/gpu-eater from node cpu-rich",
				},
			},
		},
		"several failures on one node": {
			pod: build.Pod("a", "p").Request("cpu=4").NodeSelector("disk", "ssd").Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=2,memory=8Gi,pods=10").Taint("dedicated=db:NoSchedule").Obj(),
			},
			want: want{
				causes: []string{"node(s) didn't match Pod's node affinity/selector: disk=ssd: no node has this label",
					"Insufficient cpu: asks 4; the largest node has 2 (n)", "node(s) had untolerated taint(s): dedicated=db:NoSchedule"},
			},
		},
		"anti-affinity with namespaceSelector": {
			pod: build.Pod("team-b", "p").Label("app", "db").With(func(p *corev1.Pod) {
				p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
					LabelSelector: selector("app=db"), NamespaceSelector: selector("tier=prod"), TopologyKey: corev1.LabelHostname,
				}}}}
			}).Obj(),
			objects: []snapshot.Object{
				build.Namespace("team-a", "tier=prod"), build.Namespace("team-b", "tier=test"),
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Pod("team-a", "db-0").Label("app", "db").Node("n").Obj(),
			},
			want: want{
				causes: []string{"node(s) didn't match pod anti-affinity rules: app=db by kubernetes.io/hostname in namespaces with tier=prod: pod team-a/db-0"},
				remedies: []string{
					"drop the required pod anti-affinity to app=db by kubernetes.io/hostname",
					"add 1 node like n (4 cpu, 8Gi memory)",
					"evict pod team-a/db-0 from node n",
				},
			},
		},
		"an existing pod's anti-affinity": {
			pod: build.Pod("a", "p").Label("app", "noisy").Obj(),
			objects: []snapshot.Object{
				build.Namespace("a", ""), build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Pod("a", "quiet").Node("n").PodAntiAffinity("app=noisy", corev1.LabelHostname).Obj(),
			},
			want: want{
				causes: []string{"node(s) didn't satisfy existing pods anti-affinity rules: by kubernetes.io/hostname: pod a/quiet"},
				remedies: []string{
					"add 1 node like n (4 cpu, 8Gi memory)",
					"evict pod a/quiet from node n",
				},
			},
		},
		"hostPort": {
			pod: build.Pod("a", "p").HostPort(80).Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Pod("b", "web").HostPort(80).Node("n").Obj(),
			},
			want: want{
				causes: []string{"node(s) didn't have free ports for the requested pod ports: 80/TCP is taken"},
				remedies: []string{
					"drop the host port 80/TCP",
					"add 1 node like n (4 cpu, 8Gi memory)",
					"evict pod b/web from node n",
				},
			},
		},
		"scheduling gates": {
			pod:     build.Pod("a", "p").Gate("kueue.x-k8s.io/admission").Obj(),
			objects: []snapshot.Object{build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj()},
			want: want{
				verdict: report.VerdictGated, message: "Scheduling is blocked due to non-empty scheduling gates",
				causes:   []string{"scheduling gates: kueue.x-k8s.io/admission (lifted by Kueue, when the workload is admitted to its queue)"},
				remedies: []string{"remove the scheduling gate kueue.x-k8s.io/admission by hand"},
			},
		},
		"pod-level resources": {
			pod: build.Pod("a", "p").Request("cpu=1").With(func(p *corev1.Pod) {
				p.Spec.Resources = &corev1.ResourceRequirements{Requests: build.Resources("cpu=6")}
			}).Obj(),
			objects: []snapshot.Object{build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj()},
			want: want{
				causes:   []string{"Insufficient cpu: asks 6; the largest node has 4 (n)"},
				remedies: []string{"lower the request for cpu from 6 to 4"},
			},
		},
		"sidecars' sums": {
			pod:     build.Pod("a", "p").Request("cpu=3").Sidecar("cpu=2").Init("cpu=1").Obj(),
			objects: []snapshot.Object{build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj()},
			want: want{
				causes:   []string{"Insufficient cpu: asks 5; the largest node has 4 (n)"},
				remedies: []string{"lower the request for cpu from 5 to 4 (container main to 2)"},
			},
		},
		"a cordoned node does not shadow the true cause": {
			pod: build.Pod("a", "p").Request("cpu=3").Obj(),
			objects: []snapshot.Object{
				build.Node("big").Capacity("cpu=8,memory=8Gi,pods=10").Cordon().Obj(),
				build.Node("small-1").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Node("small-2").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Pod("b", "u1").Request("cpu=2").Node("small-1").Obj(),
				build.Pod("b", "u2").Request("cpu=2").Node("small-2").Obj(),
			},
			want: want{
				message: "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.",
				causes:  []string{"Insufficient cpu: asks 3; 4 free in sum, at most 2 on one node (small-1); in use by b/u1 (2", "node(s) were unschedulable"},
				remedies: []string{
					"lower the request for cpu from 3 to 2",
					"uncordon node big",
					"add 1 node like small-1 (4 cpu, 8Gi memory)",
					"evict pod b/u1 from node small-1",
					"evict pod b/u2 from node small-2",
				},
			},
		},
		"a missing ResourceClaim": {
			pod: build.Pod("a", "p").ResourceClaim("gpu").Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.DeviceClass("gpu.example.com", "gpu.example.com"),
				build.ResourceSlice("n", "gpu.example.com", "gpu-0"),
			},
			want: want{
				verdict: report.VerdictGated, message: `could not find ResourceClaim "a/gpu"`,
				causes:   []string{"resource claim gpu does not exist"},
				remedies: []string{"create the resource claim a/gpu (one device of class gpu.example.com)"},
			},
		},
		"a claim that waits for a volume": {
			pod: build.Pod("a", "p").PVC("data").Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(), build.StorageClass("slow", "example.com/p", storagev1.VolumeBindingImmediate),
				build.PVC("a", "data", "slow", "1Gi", ""),
			},
			want: want{
				message:  "pod has unbound immediate PersistentVolumeClaims",
				causes:   []string{"data is not bound (storage class slow)"},
				remedies: []string{"provide a volume for the claim a/data (storage class slow)"},
			},
		},
		"a name that no node offers": {
			pod: build.Pod("a", "p").Request("nvidia.com/gpus=1").Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10,nvidia.com/gpu=2").Obj(),
			},
			want: want{causes: []string{"no node offers nvidia.com/gpus; did you mean nvidia.com/gpu?"}},
		},
		"a device plugin that does not run": {
			pod: build.Pod("a", "p").Request("nvidia.com/gpu=1").Obj(),
			objects: []snapshot.Object{
				build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj(),
				build.Pod("gpu-operator", "nvidia-driver-daemonset-x").Node("n").Phase(corev1.PodPending).Obj(),
			},
			want: want{causes: []string{"the driver pod gpu-operator/nvidia-driver-daemonset-x on node n is not ready (Pending)"}},
		},
	} {
		t.Run(name, func(t *testing.T) { tc.want.check(t, explainPod(t, tc.pod, tc.objects...)) })
	}
}

// TestCommandsAreQuoted: a dump may name a node anything.
func TestCommandsAreQuoted(t *testing.T) {
	item := explainPod(t, build.Pod("a", "p").Obj(), build.Node("n; reboot #'").Capacity("cpu=4,memory=8Gi,pods=10").Cordon().Obj())
	const want = `kubectl uncordon 'n; reboot #'\'''`
	if len(item.Remedies) == 0 || item.Remedies[0].Command != want {
		t.Errorf("remedies %+v, want the command %s first", item.Remedies, want)
	}
}

// TestCommandsForTemplates: a template lacks what admission added to the pod, and
// the patch of it must still set the pod's verified value.
func TestCommandsForTemplates(t *testing.T) {
	node := build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Obj()
	asking := func() *build.PodBuilder { return build.Pod("a", "").Request("cpu=5") }
	asksNothing := func() *build.PodBuilder { return build.Pod("a", "") }
	for name, tc := range map[string]struct {
		template func() *build.PodBuilder
		pod      func(*corev1.Pod)
		want     string
	}{
		"overhead of a runtime class": {
			asking, func(p *corev1.Pod) { p.Spec.Overhead = build.Resources("cpu=250m") },
			`kubectl -n a patch deployment web --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/resources/requests/cpu","value":"3750m"}]'`,
		},
		"requests by a limit range": {
			asksNothing, func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Requests = build.Resources("cpu=5,memory=9Gi")
			},
			`kubectl -n a patch deployment web --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/resources","value":{"requests":{"cpu":"4","memory":"8Gi"}}}]'`,
		},
		"an injected first container": {
			asking, func(p *corev1.Pod) {
				p.Spec.Containers = append([]corev1.Container{{Name: "proxy"}}, p.Spec.Containers...)
			},
			`kubectl -n a patch deployment web --type=json -p '[{"op":"add","path":"/spec/template/spec/containers/0/resources/requests/cpu","value":"4"}]'`,
		},
		"a container that the template has not": {
			asksNothing, func(p *corev1.Pod) {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Resources: corev1.ResourceRequirements{Requests: build.Resources("cpu=5")}})
			},
			`kubectl -n a edit deployment web # in its pod template: [{"op":"add","path":"/containers/1/resources/requests/cpu","value":"4"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := build.Deployment("a", "web", 1, tc.template())
			set := build.ReplicaSet("a", "web-1", "web", 1, tc.template())
			pod := tc.template().Owner("apps/v1", "ReplicaSet", "web-1").With(func(p *corev1.Pod) {
				p.Namespace, p.Name, p.UID = "a", "web-1-x", "web-1-x"
				tc.pod(p)
			}).Obj()
			item := explainPod(t, pod, node, deployment, set)
			if len(item.Remedies) == 0 || item.Remedies[0].Command != tc.want {
				t.Errorf("remedies %+v, want the command\n%s", item.Remedies, tc.want)
			}
		})
	}
}

func TestTwoChangesOfOneNode(t *testing.T) {
	item := explainPod(t, build.Pod("a", "p").Obj(),
		build.Node("n").Capacity("cpu=4,memory=8Gi,pods=10").Taint("dedicated=db:NoSchedule").Cordon().Obj())
	want{remedies: []string{
		"uncordon node n, and add a toleration for dedicated=db:NoSchedule",
		"uncordon node n, and remove the taint dedicated=db:NoSchedule from node n",
	}}.check(t, item)
}
