package explain

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// TestLowered: the pod asks exactly what is free after the operations, by the scheduler's
// own count, and no container is lowered to nothing.
func TestLowered(t *testing.T) {
	pod := func() *build.PodBuilder { return build.Pod("a", "p") }
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		name corev1.ResourceName
		free int64
		want string
	}{
		"one container": {pod().Request("cpu=3").Obj(), "cpu", 2000,
			`[{"op":"add","path":"/containers/0/resources/requests/cpu","value":"2"}]`},
		"a limit only is a request": {pod().Limit("cpu=3").Obj(), "cpu", 2000,
			`[{"op":"add","path":"/containers/0/resources/requests","value":{"cpu":"2"}}]`},
		"a device's limit goes with its request": {pod().Request("nvidia.com/gpu=4").Obj(), "nvidia.com/gpu", 1,
			`[{"op":"add","path":"/containers/0/resources/requests/nvidia.com~1gpu","value":"1"},` +
				`{"op":"add","path":"/containers/0/resources/limits/nvidia.com~1gpu","value":"1"}]`},
		"overhead is not lowered": {pod().Request("cpu=3").Overhead("cpu=500m").Obj(), "cpu", 2000,
			`[{"op":"add","path":"/containers/0/resources/requests/cpu","value":"1500m"}]`},
		"the largest of several gives up all": {pod().Request("cpu=3").With(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "b", Resources: corev1.ResourceRequirements{Requests: build.Resources("cpu=1")}})
		}).Obj(), "cpu", 2000,
			`[{"op":"add","path":"/containers/0/resources/requests/cpu","value":"1"}]`},
		"a sidecar counts beside": {pod().Request("cpu=3").Sidecar("cpu=1").Obj(), "cpu", 2000,
			`[{"op":"add","path":"/containers/0/resources/requests/cpu","value":"1"}]`},
		"an init container by itself": {pod().Request("cpu=1").Init("cpu=3").Obj(), "cpu", 2000,
			`[{"op":"add","path":"/initContainers/0/resources/requests/cpu","value":"2"}]`},
		"an init container over the sidecars before it": {pod().Request("cpu=1").Sidecar("cpu=1").Init("cpu=3").Obj(), "cpu", 3000,
			`[{"op":"add","path":"/initContainers/1/resources/requests/cpu","value":"2"}]`},
		"resources of the pod": {pod().Request("cpu=1").With(func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: build.Resources("cpu=6")}
		}).Obj(), "cpu", 4000,
			`[{"op":"add","path":"/resources/requests/cpu","value":"4"}]`},
		"not below the containers' sum": {pod().Request("cpu=5").With(func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: build.Resources("cpu=6")}
		}).Obj(), "cpu", 4000, ""},
		"not to nothing":               {pod().Request("cpu=3").Sidecar("cpu=2").Obj(), "cpu", 2000, ""},
		"not where overhead takes all": {pod().Request("cpu=3").Overhead("cpu=2").Obj(), "cpu", 2000, ""},
		"no init container to nothing": {pod().Sidecar("cpu=2").Init("cpu=1").Obj(), "cpu", 2000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ops, ok := lowered(&tc.pod.Spec, tc.name, tc.free)
			if ok != (tc.want != "") {
				t.Fatalf("lowered: %v by %s, want %s", ok, patchText("", ops), tc.want)
			}
			if !ok {
				return
			}
			if got := patchText("", ops); got != tc.want {
				t.Errorf("operations\n%s\nwant\n%s", got, tc.want)
			}
			changed, err := applyOps(tc.pod, ops)
			if err != nil {
				t.Fatal(err)
			}
			if asks := podAmount(changed, tc.name); asks != tc.free {
				t.Errorf("the pod asks %d, want %d", asks, tc.free)
			}
		})
	}
}
