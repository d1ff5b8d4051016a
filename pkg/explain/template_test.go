package explain

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestTemplateOps: a pod's operations in the template that it was made from, which lacks
// what admission added; no patch where an operation has no place there.
func TestTemplateOps(t *testing.T) {
	container := func(name, requests string) corev1.Container {
		return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: build.Resources(requests)}}
	}
	setCPU := op{Op: report.OpAdd, Path: "/containers/0/resources/requests/cpu", Value: "2"}
	setMemory := op{Op: report.OpAdd, Path: "/containers/0/resources/requests/memory", Value: "1Gi"}
	tolerate := func(list bool, key string) op {
		if list {
			return op{Op: report.OpAdd, Path: "/tolerations", Value: []any{key}}
		}
		return op{Op: report.OpAdd, Path: "/tolerations/-", Value: key}
	}
	spread := []corev1.TopologySpreadConstraint{{TopologyKey: "zone"}}
	for name, tc := range map[string]struct {
		pod, template corev1.PodSpec
		ops           []op
		want          string
	}{
		"equal specs": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3")}},
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3")}},
			[]op{setCPU}, `[{"op":"add","path":"/containers/0/resources/requests/cpu","value":"2"}]`,
		},
		"a container is found by its name": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3"), container("proxy", "cpu=1")}},
			corev1.PodSpec{Containers: []corev1.Container{container("b", "cpu=3"), container("a", "cpu=3")}},
			[]op{setCPU}, `[{"op":"add","path":"/containers/1/resources/requests/cpu","value":"2"}]`,
		},
		"an init container too": {
			corev1.PodSpec{InitContainers: []corev1.Container{container("i", "cpu=3")}},
			corev1.PodSpec{InitContainers: []corev1.Container{container("h", ""), container("i", "cpu=3")}},
			[]op{{Op: report.OpAdd, Path: "/initContainers/0/resources/requests/cpu", Value: "2"}},
			`[{"op":"add","path":"/initContainers/1/resources/requests/cpu","value":"2"}]`,
		},
		"requests that admission gave are made in one": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3,memory=2Gi")}},
			corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Resources: corev1.ResourceRequirements{Limits: build.Resources("cpu=3")}}}},
			[]op{setCPU, setMemory}, `[{"op":"add","path":"/containers/0/resources/requests","value":{"cpu":"2","memory":"1Gi"}}]`,
		},
		"resources that admission gave are made in one": {
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3,memory=2Gi")}},
			corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}},
			[]op{setCPU, {Op: report.OpAdd, Path: "/containers/0/resources/limits/cpu", Value: "2"}, setMemory},
			`[{"op":"add","path":"/containers/0/resources","value":{"limits":{"cpu":"2"},"requests":{"cpu":"2","memory":"1Gi"}}}]`,
		},
		"the first toleration makes the list": {
			corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "by admission"}}}, corev1.PodSpec{},
			[]op{tolerate(false, "a"), tolerate(false, "b")},
			`[{"op":"add","path":"/tolerations","value":["a"]},{"op":"add","path":"/tolerations/-","value":"b"}]`,
		},
		"an injected container has no place": {
			corev1.PodSpec{Containers: []corev1.Container{container("proxy", "cpu=3")}},
			corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu=3")}},
			[]op{setCPU}, "",
		},
		"a list that is longer has other indices": {
			corev1.PodSpec{TopologySpreadConstraints: append(spread, spread...)}, corev1.PodSpec{TopologySpreadConstraints: spread},
			[]op{tolerate(true, "a")}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := templateOps(&tc.pod, &tc.template, tc.ops)
			if ok != (tc.want != "") || ok && patchText("", got) != tc.want {
				t.Errorf("operations %s (%v), want %s", patchText("", got), ok, tc.want)
			}
		})
	}
}
