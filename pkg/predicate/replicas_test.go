package predicate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// drawPod draws from few values, so that neighbours are often equal, or nearly.
func drawPod(t *rapid.T) *corev1.Pod {
	amounts := rapid.SampledFrom([]string{"", "cpu=1", "cpu=1000m", "cpu=2", "cpu=1,memory=1Gi", "cpu=1,example.com/gpu=2"})
	list := func(label string) corev1.ResourceList {
		if amount := amounts.Draw(t, label); amount != "" {
			return build.Resources(amount)
		}
		return nil
	}
	rarely := func(label string) bool { return rapid.IntRange(0, 9).Draw(t, label) == 0 }
	pod := build.Pod("ns", "p").Obj()
	pod.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: list("main")}}}
	if rarely("second container") {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "second", Resources: corev1.ResourceRequirements{Requests: list("second")}})
	}
	if rarely("init container") {
		init := corev1.Container{Name: "init", Resources: corev1.ResourceRequirements{Requests: list("init")}}
		if rapid.Bool().Draw(t, "sidecar") {
			init.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		pod.Spec.InitContainers = []corev1.Container{init}
	}
	if rarely("status") {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "main", AllocatedResources: list("allocated"), Resources: &corev1.ResourceRequirements{Requests: list("in force")},
		}}
	}
	if rarely("refused resize") {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible}}
	}
	if rarely("overhead") {
		pod.Spec.Overhead = list("overhead")
	}
	if rarely("pod level") {
		pod.Spec.Resources = &corev1.ResourceRequirements{Requests: list("pod level")}
	}
	return pod
}

// TestReplicasShareOnlyWhatIsEqual: whatever a pod takes over from the one before
// it is what the framework would have summed for it.
func TestReplicasShareOnlyWhatIsEqual(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		var known replicas
		for range rapid.IntRange(2, 6).Draw(t, "pods") {
			pod, last := drawPod(t), known.last
			got := known.info(pod)
			if last != nil && got.requests.Resource == last.requests.Resource {
				shared++
			}
			own, err := framework.NewPodInfo(pod)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(own.CalculateResource(), got.CalculateResource()); diff != "" {
				t.Fatalf("requests differ (-framework +taken over):\n%s\npod: %v\nlast: %v", diff, pod, last)
			}
		}
	})
	if shared == 0 && !testing.Short() { // -short draws a fifth of the cases
		t.Error("no pod took over the sum of the one before it, want some")
	}
}
