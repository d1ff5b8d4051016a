package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestAmounts reads what Spark's driver and executors ask for.
func TestAmounts(t *testing.T) {
	cases := []struct {
		patch, set string
		requests   corev1.ResourceName
		want       string // "" for none
		limits     corev1.ResourceName
		limit      string
	}{
		{``, "driver", "memory", "3Gi", "memory", "3Gi"}, // half of 2g more
		{``, "executor", "memory", "9Gi", "memory", "9Gi"},
		{``, "driver", "cpu", "1", "cpu", ""},
		{``, "executor", "cpu", "4", "cpu", "5"},
		{``, "executor", "nvidia.com/gpu", "", "nvidia.com/gpu", "1"},
		{``, "driver", "nvidia.com/gpu", "", "nvidia.com/gpu", ""},
		{`{spec: {executor: {memoryLimit: 12g}}}`, "executor", "memory", "9Gi", "memory", "12Gi"},
		{`{spec: {memoryOverheadFactor: null, driver: {memory: 10g}}}`, "driver", "memory", "14Gi", "memory", "14Gi"}, // Python
		{`{spec: {type: Scala, memoryOverheadFactor: null, driver: {memory: 10g}}}`, "driver", "memory", "11Gi", "memory", "11Gi"},
		{`{spec: {type: Scala, memoryOverheadFactor: null, driver: {memory: 10005m}}}`, "driver", "memory", "11005Mi", "memory", "11005Mi"}, // whole ones
		{`{spec: {type: Java, memoryOverheadFactor: null, driver: {memory: null}}}`, "driver", "memory", "1408Mi", "memory", "1408Mi"},
		{`{spec: {driver: {memory: "512", memoryOverhead: 1048576k}}}`, "driver", "memory", "1536Mi", "memory", "1536Mi"},
	}
	kind := kindNamed(t, "SparkApplication")
	for _, c := range cases {
		w, err := kind.Read(patched(t, manifest(t, kind), c.patch))
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range w.PodSets {
			if set.Name != c.set {
				continue
			}
			resources := set.Template.Spec.Containers[0].Resources
			if got := amountOf(resources.Requests, c.requests); got != c.want {
				t.Errorf("%s %s: requests %s %q, want %q", c.patch, c.set, c.requests, got, c.want)
			}
			if got := amountOf(resources.Limits, c.limits); got != c.limit {
				t.Errorf("%s %s: limits %s %q, want %q", c.patch, c.set, c.limits, got, c.limit)
			}
		}
	}
}

func amountOf(amounts corev1.ResourceList, name corev1.ResourceName) string {
	quantity, ok := amounts[name]
	if !ok {
		return ""
	}
	return quantity.String()
}

func TestAmountErrors(t *testing.T) {
	kind := kindNamed(t, "SparkApplication")
	for patch, want := range map[string]string{
		`{spec: {driver: {memory: lots}}}`:                                 `spec.driver.memory: expected an amount, found "lots"`,
		`{spec: {driver: {cores: -1}}}`:                                    `driver: requests of container driver[cpu] is negative: expected 0 or more`,
		`{spec: {memoryOverheadFactor: "-1"}}`:                             `spec.memoryOverheadFactor: expected a factor from 0 to 1000, found "-1"`,
		`{spec: {executor: {memoryOverhead: {}}}}`:                         `spec.executor.memoryOverhead: expected an amount, found "map[]"`,
		`{spec: {driver: {labels: {a: 1}}}}`:                               `spec.driver.labels: a: expected a string, found number`,
		`{spec: {dynamicAllocation: {enabled: true, maxExecutors: null}}}`: `spec.dynamicAllocation.maxExecutors: must be given: what holds without it stands elsewhere`,
	} {
		_, err := kind.Read(patched(t, manifest(t, kind), patch))
		if message(err) != want {
			t.Errorf("%s: got %q, want %q", patch, message(err), want)
		}
	}
}

// TestPodsLabels reads the labels of pods whose template is no template.
func TestPodsLabels(t *testing.T) {
	kind := kindNamed(t, "SparkApplication")
	w, err := kind.Read(manifest(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.PodSets[0].Template.Labels["biz.group.resource.quota/cpu-type"]; got != "A4" {
		t.Errorf("driver: got model %q, want A4", got)
	}
}
