package quota_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

func TestPodCharge(t *testing.T) {
	sidecar := container("sidecar", list("cpu", "1"), nil)
	sidecar.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	tests := map[string]struct {
		spec   corev1.PodSpec
		models workload.Models
		want   map[string]string
	}{
		"nothing asked": {
			spec: pod(nil),
			want: map[string]string{"pods": "1"},
		},
		"requests default to limits": {
			spec: pod(list("cpu", "2", "memory", "1Gi")),
			want: map[string]string{"pods": "1", "limits.cpu": "2", "requests.cpu": "2", "limits.memory": "1Gi", "requests.memory": "1Gi"},
		},
		"requests of their own": {
			spec: corev1.PodSpec{Containers: []corev1.Container{container("main", list("cpu", "2", "memory", "1Gi"), list("cpu", "500m"))}},
			want: map[string]string{"pods": "1", "limits.cpu": "2", "requests.cpu": "500m", "limits.memory": "1Gi", "requests.memory": "1Gi"},
		},
		"requests alone": {
			spec: corev1.PodSpec{Containers: []corev1.Container{container("main", nil, list("cpu", "1"))}},
			want: map[string]string{"pods": "1", "requests.cpu": "1"},
		},
		"containers add up": {
			spec: corev1.PodSpec{Containers: []corev1.Container{container("a", list("cpu", "1"), nil), container("b", list("cpu", "250m"), nil)}},
			want: map[string]string{"pods": "1", "limits.cpu": "1250m", "requests.cpu": "1250m"},
		},
		"the largest init container": {
			spec: corev1.PodSpec{
				InitContainers: []corev1.Container{container("a", list("cpu", "4"), nil), container("b", list("cpu", "3"), nil)},
				Containers:     []corev1.Container{container("main", list("cpu", "1"), nil)},
			},
			want: map[string]string{"pods": "1", "limits.cpu": "4", "requests.cpu": "4"},
		},
		"sidecars run beside the containers and later init containers": {
			spec: corev1.PodSpec{
				InitContainers: []corev1.Container{sidecar, container("init", list("cpu", "4"), nil)},
				Containers:     []corev1.Container{container("main", list("cpu", "2"), nil)},
			},
			want: map[string]string{"pods": "1", "limits.cpu": "5", "requests.cpu": "5"},
		},
		"overhead": {
			spec: corev1.PodSpec{Overhead: list("cpu", "250m"), Containers: []corev1.Container{container("main", list("cpu", "1"), nil)}},
			want: map[string]string{"pods": "1", "limits.cpu": "1250m", "requests.cpu": "1250m"},
		},
		"resources of the pod": {
			spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Requests: list("cpu", "3"), Limits: list("cpu", "4")},
				Containers: []corev1.Container{container("main", list("cpu", "1", "memory", "1Gi"), nil)},
			},
			want: map[string]string{"pods": "1", "limits.cpu": "4", "requests.cpu": "3", "limits.memory": "1Gi", "requests.memory": "1Gi"},
		},
		"limits of the pod are its requests": {
			spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Limits: list("cpu", "4", "memory", "8Gi", "hugepages-2Mi", "64Mi")},
				Containers: []corev1.Container{{Name: "main"}},
			},
			want: map[string]string{"pods": "1", "limits.cpu": "4", "requests.cpu": "4", "limits.memory": "8Gi", "requests.memory": "8Gi", "requests.hugepages-2Mi": "64Mi"},
		},
		"limits of the pod are no requests of what its containers request": {
			spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Requests: list("memory", "2Gi"), Limits: list("cpu", "4", "memory", "8Gi", "hugepages-2Mi", "64Mi")},
				Containers: []corev1.Container{container("main", list("hugepages-2Mi", "32Mi"), list("cpu", "1")), {Name: "side"}},
			},
			want: map[string]string{"pods": "1", "limits.cpu": "4", "requests.cpu": "1", "limits.memory": "8Gi", "requests.memory": "2Gi", "requests.hugepages-2Mi": "64Mi"},
		},
		"extended resources and huge pages count as requests": {
			spec: pod(list("nvidia.com/gpu", "2", "hugepages-2Mi", "64Mi")),
			want: map[string]string{"pods": "1", "requests.nvidia.com/gpu": "2", "requests.hugepages-2Mi": "64Mi"},
		},
		"models, each for its resources": {
			spec:   pod(list("cpu", "4", "memory", "1Gi", "nvidia.com/mig-1g.5gb", "2", "ephemeral-storage", "1Gi")),
			models: workload.Models{CPU: "A4", GPU: "A30", Memory: "DDR5"},
			want: map[string]string{
				"pods": "1", "limits.cpu": "4", "requests.cpu": "4", "limits.cpu.A4": "4", "requests.cpu.A4": "4",
				"limits.memory": "1Gi", "requests.memory": "1Gi", "limits.memory.DDR5": "1Gi", "requests.memory.DDR5": "1Gi",
				"requests.nvidia.com/mig-1g.5gb": "2", "requests.nvidia.com/mig-1g.5gb.A30": "2",
				"limits.ephemeral-storage": "1Gi", "requests.ephemeral-storage": "1Gi",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := quota.PodCharge(&corev1.Pod{Spec: test.spec}, test.models)
			if diff := cmp.Diff(test.want, text(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPodChargeLeavesPodAlone(t *testing.T) {
	p := &corev1.Pod{Spec: pod(list("cpu", "2"))}
	before := p.DeepCopy()
	quota.PodCharge(p, workload.Models{CPU: "A4"})
	if diff := cmp.Diff(before, p, sameLists); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// A pod that is being resized has, until that is done, the larger of both.
func TestPodChargeOfResize(t *testing.T) {
	p := &corev1.Pod{Spec: pod(list("cpu", "1"))}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", AllocatedResources: list("cpu", "3"),
		Resources: &corev1.ResourceRequirements{Requests: list("cpu", "3")}}}
	charge := quota.PodCharge(p, workload.Models{})
	if got := charge["requests.cpu"]; got.String() != "3" {
		t.Errorf("requests.cpu %s, want 3", &got)
	}
}

func TestCharge(t *testing.T) {
	node := func(name string, labels map[string]string, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
	}
	nodes := []*corev1.Node{
		node("plain", nil), node("gpu", map[string]string{"gpu": "yes"}),
		node("kept", nil, corev1.Taint{Key: "kept", Effect: corev1.TaintEffectNoSchedule}),
		node("cordoned", nil, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
	}
	template := func(spec corev1.PodSpec) *corev1.PodTemplateSpec { return &corev1.PodTemplateSpec{Spec: spec} }
	oneCPU, onGPU := pod(list("cpu", "1")), pod(list("cpu", "1"))
	onGPU.NodeSelector = map[string]string{"gpu": "yes"}
	tests := map[string]struct {
		sets                []workload.PodSet
		suspended, finished bool
		opts                quota.Options
		want                map[string]string
	}{
		"replicas": {
			sets: []workload.PodSet{{Replicas: 3, Template: template(oneCPU)}},
			want: map[string]string{"pods": "3", "limits.cpu": "3", "requests.cpu": "3"},
		},
		"sets add up": {
			sets: []workload.PodSet{{Replicas: 1, Template: template(oneCPU)}, {Replicas: 4, Template: template(pod(list("cpu", "500m")))}},
			want: map[string]string{"pods": "5", "limits.cpu": "3", "requests.cpu": "3"},
		},
		"no replicas":     {sets: []workload.PodSet{{Template: template(oneCPU)}}, want: map[string]string{}},
		"no sets":         {want: map[string]string{}},
		"suspended":       {suspended: true, sets: []workload.PodSet{{Replicas: 3, Template: template(oneCPU)}}, want: map[string]string{}},
		"finished":        {finished: true, sets: []workload.PodSet{{Replicas: 3, Template: template(oneCPU)}}, want: map[string]string{}},
		"surge ignored":   {sets: []workload.PodSet{{Replicas: 4, Surge: 1, Template: template(oneCPU)}}, want: map[string]string{"pods": "4", "limits.cpu": "4", "requests.cpu": "4"}},
		"surge counted":   {opts: quota.Options{Surge: true}, sets: []workload.PodSet{{Replicas: 4, Surge: 1, Template: template(oneCPU)}}, want: map[string]string{"pods": "5", "limits.cpu": "5", "requests.cpu": "5"}},
		"eligible nodes":  {opts: quota.Options{Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, Template: template(oneCPU)}}, want: map[string]string{"pods": "3", "limits.cpu": "3", "requests.cpu": "3"}},
		"selected nodes":  {opts: quota.Options{Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, Template: template(onGPU)}}, want: map[string]string{"pods": "1", "limits.cpu": "1", "requests.cpu": "1"}},
		"no nodes known":  {sets: []workload.PodSet{{PerNode: true, Template: template(oneCPU)}}, want: map[string]string{}},
		"surge of a node": {opts: quota.Options{Surge: true, Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, Surge: 1, Template: template(oneCPU)}}, want: map[string]string{"pods": "4", "limits.cpu": "4", "requests.cpu": "4"}},
		"no more surge than nodes": {
			opts: quota.Options{Surge: true, Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, Surge: 50, Template: template(oneCPU)}},
			want: map[string]string{"pods": "6", "limits.cpu": "6", "requests.cpu": "6"},
		},
		"surge of nodes, in percent": {
			opts: quota.Options{Surge: true, Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, SurgePercent: 34, Template: template(oneCPU)}},
			want: map[string]string{"pods": "5", "limits.cpu": "5", "requests.cpu": "5"},
		},
		"surge of nodes ignored": {
			opts: quota.Options{Nodes: nodes}, sets: []workload.PodSet{{PerNode: true, SurgePercent: 34, Template: template(oneCPU)}},
			want: map[string]string{"pods": "3", "limits.cpu": "3", "requests.cpu": "3"},
		},
		"no surge where no node is eligible": {
			opts: quota.Options{Surge: true}, sets: []workload.PodSet{{PerNode: true, SurgePercent: 100, Template: template(oneCPU)}},
			want: map[string]string{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &workload.Workload{PodSets: test.sets, Suspended: test.suspended, Finished: test.finished}
			if diff := cmp.Diff(test.want, text(quota.Charge(w, test.opts))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if charge := quota.Charge(nil, quota.Options{}); len(charge) > 0 {
		t.Errorf("no workload is charged %v", charge)
	}
}

func TestIncrease(t *testing.T) {
	got := quota.Increase(list("a", "1", "b", "2", "c", "3"), list("a", "1500m", "b", "1", "d", "4", "c", "3"))
	if diff := cmp.Diff(map[string]string{"a": "500m", "d": "4"}, text(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A model may be the rest of another resource's name: both charge the key, always alike.
func TestModelThatNamesAnotherResource(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
		"nvidia.com/mig-1g":     resource.MustParse("1"),
		"nvidia.com/mig-1g.5gb": resource.MustParse("8"),
	}}}}}}
	for range 100 {
		got := quota.PodCharge(pod, workload.Models{GPU: "5gb"})["requests.nvidia.com/mig-1g.5gb"]
		if got.String() != "9" {
			t.Fatalf("charges %s, want 8 of the resource and 1 of the model", &got)
		}
	}
}

// What asks for less than nothing gives nothing back.
func TestNegativeRequestsChargeNothing(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("-1000")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("-1000")},
	}}}}}
	for key, quantity := range quota.PodCharge(pod, workload.Models{CPU: "A4"}) {
		if quantity.Sign() < 0 {
			t.Errorf("%s: charges %s", key, &quantity)
		}
	}
}

// A workload names a model where its group limits by model only; models come in families.
func TestModels(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{
		newGroup("models", "", list("requests.nvidia.com/gpu.A30", "8", "requests.nvidia.com/gpu.A100", "0")),
		newGroup("family", "", list("requests.nvidia.com/gpu.C", "2", "requests.nvidia.com/gpu.C.32GB", "8")),
	})
	gpus := func(group, model string) *workload.Workload {
		return with(deployment(t, group, 3, pod(list("nvidia.com/gpu", "1"))), func(w *workload.Workload) { w.Models.GPU = model })
	}
	for name, test := range map[string]struct {
		change        quota.Change
		refused, said string
	}{
		"a model":                    {quota.Change{New: gpus("models", "A30")}, "", ""},
		"none":                       {quota.Change{New: gpus("models", "")}, "limits requests.nvidia.com/gpu by model only (A100, A30), and the workload names no model: add the label biz.group.resource.quota/gpu-type: MODEL", ""},
		"another":                    {quota.Change{New: gpus("models", "T4")}, "", "model T4 of requests.nvidia.com/gpu is not limited and charges nothing: the group limits A100, A30"},
		"none any more":              {quota.Change{Old: gpus("models", "A30"), New: gpus("models", "")}, "the workload names no model", ""},
		"none before":                {quota.Change{Old: gpus("models", ""), New: gpus("models", "")}, "", ""},
		"of a family":                {quota.Change{New: gpus("family", "C.32GB")}, "requests.nvidia.com/gpu.C: needs 3, 2 of 2 left", ""},
		"a name that begins like it": {quota.Change{New: gpus("family", "C2")}, "", "model C2 of"},
	} {
		t.Run(name, func(t *testing.T) {
			check := tree.CheckWorkload(test.change)
			if text := quota.Text(check); check.Allowed != (test.refused == "") || !strings.Contains(text, test.refused) {
				t.Errorf("reasons %q, want %q", text, test.refused)
			}
			if text := strings.Join(check.Warnings, "\n"); (text == "") != (test.said == "") || !strings.Contains(text, test.said) {
				t.Errorf("warnings %q, want %q", text, test.said)
			}
		})
	}
}

// What is needed for an update's surge is said, and how many replicas fit with theirs.
func TestSurgeIsSaid(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "14"))
	group.Spec.Surge = "count"
	w := with(deployment(t, "nlp", 4, pod(list("cpu", "3"))), func(w *workload.Workload) {
		w.PodSets[0].Surge, w.PodSets[0].SurgeAt = 1, new(intstr.FromString("25%"))
	})
	check := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: w})
	want := "group nlp: limits.cpu: needs 15 (3 of it for the surge of an update), 14 of 14 left (short 1); largest that fits: 3 replicas"
	if text := quota.Text(check); text != want {
		t.Errorf("said %q, want %q", text, want)
	}
}

// Of what a change needs more, it says how much is for the surge: not the whole surge.
func TestSurgeOfAChangeIsSaid(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("limits.cpu", "18")), list("limits.cpu", "18"))
	group.Spec.Surge = "count"
	sized := func(replicas, surge int64, cpu string) *workload.Workload {
		return with(deployment(t, "nlp", replicas, pod(list("cpu", cpu))), func(w *workload.Workload) { w.PodSets[0].Surge = surge })
	}
	tests := map[string]struct {
		after *workload.Workload
		want  string
	}{
		"larger pods":  {sized(4, 1, "4"), "needs 5 (1 of it for the surge of an update)"},
		"more surge":   {sized(4, 4, "3"), "needs 9 (9 of it for the surge of an update)"},
		"more of both": {sized(5, 2, "3"), "needs 6 (3 of it for the surge of an update)"},
		"more pods":    {sized(5, 1, "3"), "needs 3,"},
	}
	for name, test := range tests {
		check := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{Old: sized(4, 1, "3"), New: test.after})
		if text := quota.Text(check); !strings.Contains(text, test.want) {
			t.Errorf("%s: said %q, want %q", name, text, test.want)
		}
	}
}

// LimitRanges and runtime classes add to what a template's pods charge.
func TestDefaultsAreCharged(t *testing.T) {
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: list("cpu", "500m"), DefaultRequest: list("cpu", "100m"),
	}}}}
	class := &nodev1.RuntimeClass{Overhead: &nodev1.Overhead{PodFixed: list("cpu", "250m")}}
	defaults := workload.Defaults{Limits: []*corev1.LimitRange{limits}, Classes: map[string]*nodev1.RuntimeClass{"kata": class}}
	spec := corev1.PodSpec{Containers: []corev1.Container{container("main", nil, nil), container("side", list("cpu", "1"), nil)}}
	w := deployment(t, "nlp", 3, spec)
	w.PodSets[0].Template.Spec.RuntimeClassName = new("kata")
	charge := quota.Charge(w, quota.Options{Defaults: defaults})
	if diff := cmp.Diff(text(list("limits.cpu", "5250m", "requests.cpu", "4050m", "pods", "3")), text(charge)); diff != "" {
		t.Errorf("charge (-want +got):\n%s", diff)
	}
	check := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "6"))}).CheckWorkload(quota.Change{New: w, Defaults: defaults})
	if !check.Allowed {
		t.Errorf("refused: %s", quota.Text(check))
	}
	if len(w.PodSets[0].Template.Spec.Containers[0].Resources.Limits) > 0 {
		t.Error("the template is changed")
	}
}

// What only a LimitRange gives comes in models as what the template asks for does.
func TestDefaultsNameNoModel(t *testing.T) {
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: list("cpu", "500m", "nvidia.com/gpu", "1"),
	}}}}
	defaults := workload.Defaults{Limits: []*corev1.LimitRange{limits}}
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu.A4", "10", "requests.nvidia.com/gpu.A30", "2"))})
	w := deployment(t, "nlp", 1, pod(nil))
	want := `group nlp: limits limits.cpu by model only (A4), and the workload names no model: add the label biz.group.resource.quota/cpu-type: MODEL to it, or to its pods' template
group nlp: limits requests.nvidia.com/gpu by model only (A30), and the workload names no model: add the label biz.group.resource.quota/gpu-type: MODEL to it, or to its pods' template`
	if diff := cmp.Diff(want, quota.Text(tree.CheckWorkload(quota.Change{New: w, Defaults: defaults}))); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	named := with(w, func(w *workload.Workload) { w.Models = workload.Models{CPU: "A4", GPU: "A30"} })
	if check := tree.CheckWorkload(quota.Change{New: named, Defaults: defaults}); !check.Allowed {
		t.Errorf("named, refused: %s", quota.Text(check))
	}
}
