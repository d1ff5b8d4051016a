package quota_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

func TestModelChargesItsBaseToo(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10", "limits.cpu.A4": "4"})
	onA4 := w.deployment("a4", nlp, 2, cpu("2"))
	onA4.Labels = labelled(nlp, model("A4"))
	w.create(onA4)
	w.used(nlp, hard{"limits.cpu": "4", "limits.cpu.A4": "4"})

	more := w.deployment("more-a4", nlp, 1, cpu("1"))
	more.Labels = labelled(nlp, model("A4"))
	w.refusedWith(w.Create(t.Context(), more), "group "+nlp+": limits.cpu.A4: needs 1, 0 of 4 left (short 1); largest that fits: 0 replicas")

	others := w.deployment("others", nlp, 6, cpu("1"))
	others.Labels = labelled(nlp, model("A3"))
	w.create(others)
	w.used(nlp, hard{"limits.cpu": "10", "limits.cpu.A4": "4"})
	w.refusedWith(w.Create(t.Context(), w.deployment("any", nlp, 1, cpu("1"))), "group "+nlp+": limits.cpu: needs 1, 0 of 10 left (short 1)")
}

func TestModelAboveItsBaseIsPointless(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10", "limits.cpu.A4": "100"})
	w.warned("limits.cpu.A4", "100", "limits.cpu", "10")

	onA4 := w.deployment("a4", nlp, 11, cpu("1"))
	onA4.Labels = labelled(nlp, model("A4"))
	w.refusedWith(w.Create(t.Context(), onA4), "group "+nlp+": limits.cpu: needs 11, 10 of 10 left (short 1)")
	*onA4.Spec.Replicas = 10
	w.create(onA4)
}

func TestEachModelLabelIsOfItsResource(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{
		"limits.cpu": "10", "limits.cpu.A4": "10", "limits.memory": "10Gi", "limits.memory.A4": "10Gi",
		"requests.nvidia.com/gpu": "8", "requests.nvidia.com/gpu.A30": "2", "pods": "50",
	})
	train := w.deployment("train", nlp, 2, corev1.ResourceRequirements{
		Limits: hard{"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}.list(),
	})
	train.Labels = labelled(nlp, map[string]string{stowagev1alpha1.GPUTypeLabel: "A30", stowagev1alpha1.MemoryTypeLabel: "A4"})
	w.create(train)
	w.used(nlp, hard{
		"limits.cpu": "2", "limits.cpu.A4": "0", "limits.memory": "2Gi", "limits.memory.A4": "2Gi",
		"requests.nvidia.com/gpu": "2", "requests.nvidia.com/gpu.A30": "2", "pods": "2",
	})
	more := w.deployment("more", nlp, 1, train.Spec.Template.Spec.Containers[0].Resources)
	more.Labels = train.Labels
	w.refusedWith(w.Create(t.Context(), more), "group "+nlp+": requests.nvidia.com/gpu.A30: needs 1, 0 of 2 left (short 1)")
	more.Labels = labelled(nlp, map[string]string{stowagev1alpha1.GPUTypeLabel: "T4"})
	w.create(more)
	w.used(nlp, hard{"requests.nvidia.com/gpu": "3", "requests.nvidia.com/gpu.A30": "2"})
}

// Moving to another model grows the one and frees the other.
func TestChangingTheModel(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10", "limits.cpu.A4": "4", "limits.cpu.A3": "1"})
	web := w.deployment("web", nlp, 2, cpu("1"))
	web.Labels = labelled(nlp, model("A3"))
	w.refusedWith(w.Create(t.Context(), web), "limits.cpu.A3: needs 2, 1 of 1 left (short 1)")
	web.Labels = labelled(nlp, model("A4"))
	w.create(web)
	w.used(nlp, hard{"limits.cpu": "2", "limits.cpu.A4": "2", "limits.cpu.A3": "0"})

	w.refusedWith(update(w, web, func(d *deployment) { d.Labels[stowagev1alpha1.CPUTypeLabel] = "A3" }), "limits.cpu.A3: needs 2, 1 of 1 left (short 1)")
	w.admitted(update(w, web, func(d *deployment) { *d.Spec.Replicas = 1 }))
	w.used(nlp, hard{"limits.cpu.A4": "1"})
	w.admitted(update(w, web, func(d *deployment) { d.Labels[stowagev1alpha1.CPUTypeLabel] = "A3" }))
	w.used(nlp, hard{"limits.cpu": "1", "limits.cpu.A4": "0", "limits.cpu.A3": "1"})
}

func TestShortNamesAreRequests(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"cpu": "3", "memory": "1Gi"})
	web := w.deployment("web", nlp, 1, corev1.ResourceRequirements{Requests: hard{"cpu": "2", "memory": "1Gi"}.list(), Limits: hard{"cpu": "9"}.list()})
	w.create(web)
	w.used(nlp, hard{"cpu": "2", "memory": "1Gi"})
	w.refusedWith(update(w, web, func(d *deployment) { *d.Spec.Replicas = 2 }), "group "+nlp+": cpu: needs 2, 1 of 3 left (short 1)", "memory: needs 1Gi, 0 of 1Gi left (short 1Gi)")
}

// A pod counts as the scheduler counts it: init containers beside the largest sum, sidecars in it, overhead on top.
func TestPodCountsAsForTheScheduler(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"requests.cpu": "10"})
	web := w.deployment("web", nlp, 2, cpu("1"))
	always := corev1.ContainerRestartPolicyAlways
	web.Spec.Template.Spec.InitContainers = []corev1.Container{
		{Name: "sidecar", Image: "example.com/app", Resources: cpu("500m"), RestartPolicy: &always},
		{Name: "init", Image: "example.com/app", Resources: cpu("2")},
	}
	w.create(web)
	w.used(nlp, hard{"requests.cpu": "5"}) // 2 x max(1 + 0.5, 0.5 + 2)
}

func TestContainersMustSayWhatIsLimited(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10", "requests.memory": "10Gi"})
	none := w.deployment("none", nlp, 1, corev1.ResourceRequirements{})
	w.refused(w.Create(t.Context(), none),
		"group "+nlp+": must specify limits.cpu for: main", "group "+nlp+": must specify requests.memory for: main")
	half := w.deployment("half", nlp, 1, corev1.ResourceRequirements{Requests: hard{"cpu": "1", "memory": "1Gi"}.list()})
	w.refused(w.Create(t.Context(), half), "group "+nlp+": must specify limits.cpu for: main")
	w.create(w.deployment("whole", nlp, 1, corev1.ResourceRequirements{Limits: hard{"cpu": "1", "memory": "1Gi"}.list()}))
	w.used(nlp, hard{"limits.cpu": "1", "requests.memory": "1Gi"})
}

func TestLabelOfNoGroup(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	mistyped := w.deployment("web", nlp[:len(nlp)-1], 1, cpu("1"))
	w.refusedWith(w.Create(t.Context(), mistyped), stowagev1alpha1.GroupLabel, `"`+nlp[:len(nlp)-1]+`"`, nlp)
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(mistyped), mistyped); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the refused deployment: %v, want NotFound", err)
	}
}

func TestRefusalAsInTheSpecification(t *testing.T) {
	w := newWorld(t)
	ai := w.group("ai", "", hard{"limits.cpu": "30"})
	nlp := w.group("nlp", ai, hard{"limits.cpu": "10"})
	vision := w.group("vision", ai, hard{"limits.cpu": "20"})
	w.create(w.deployment("first", nlp, 1, cpu("4")))
	want := "group " + nlp + ": limits.cpu: needs 12, 6 of 10 left (short 6); largest that fits: 4 replicas; sibling " + vision + " has 20 idle"
	text := ""
	if !w.eventually(func(ctx context.Context) (bool, error) { // what siblings have, each manager sees for itself
		text, _ = refusal(w.Create(ctx, w.deployment("second", nlp, 8, cpu("1500m"))))
		return strings.HasPrefix(text, want), nil // and then who uses it
	}) {
		t.Fatalf("refused with\n%q, want\n%q", text, want)
	}
	w.create(w.deployment("second", nlp, 4, cpu("1500m")))
	w.used(nlp, hard{"limits.cpu": "10"})
}
