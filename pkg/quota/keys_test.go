package quota_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/stowage-dev/stowage/pkg/quota"
)

func TestCanonical(t *testing.T) {
	for key, want := range map[corev1.ResourceName]corev1.ResourceName{
		"cpu":                        "requests.cpu",
		"memory":                     "requests.memory",
		"cpu.A4":                     "requests.cpu.A4",
		"cash/cpu":                   "cash/requests.cpu",
		"cash/memory.A4":             "cash/requests.memory.A4",
		"limits.cpu":                 "limits.cpu",
		"requests.cpu":               "requests.cpu",
		"cpus":                       "cpus",
		"ephemeral-storage":          "ephemeral-storage",
		"pods":                       "pods",
		"requests.nvidia.com/gpu":    "requests.nvidia.com/gpu",
		"requests.example.com/cpu.x": "requests.example.com/cpu.x",
	} {
		if got := quota.Canonical(key); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestValidateKey(t *testing.T) {
	for _, key := range []corev1.ResourceName{
		"pods", "cpu", "memory", "requests.cpu", "limits.cpu", "requests.memory", "limits.memory",
		"requests.ephemeral-storage", "limits.ephemeral-storage",
		"limits.cpu.A4", "cpu.A4", "requests.memory.DDR5-4800", "limits.cpu.Xeon_8480.v2",
		"requests.nvidia.com/gpu", "requests.nvidia.com/gpu.A30", "requests.nvidia.com/mig-1g.5gb", "requests.nvidia.com/mig-1g.5gb.A30",
		"requests.hugepages-2Mi",
		"cash/limits.cpu", "cash/limits.cpu.A4", "cash/cpu", "cash/pods", "cash/requests.nvidia.com/gpu.A30", "cash/requests.nvidia.com/mig-1g.5gb",
	} {
		if err := quota.ValidateKey(key); err != nil {
			t.Errorf("ValidateKey(%q): %v", key, err)
		}
	}
	for key, want := range map[corev1.ResourceName]string{
		"":                            `expected "requests.RESOURCE"`,
		"gpu":                         `expected "requests.RESOURCE"`,
		"nvidia.com/gpu":              `expected "requests.RESOURCE"`,
		"ephemeral-storage":           `expected "requests.RESOURCE"`,
		"services":                    `expected "requests.RESOURCE"`,
		"count/deployments.apps":      `expected "requests.RESOURCE"`,
		"pods.A4":                     `expected "requests.RESOURCE"`,
		"Limits.cpu":                  `expected "requests.RESOURCE"`,
		"cash/":                       `expected "requests.RESOURCE"`,
		"cash/cash/limits.cpu":        `expected "requests.RESOURCE"`,
		"limits.":                     "is no compute resource",
		"limits.cpus":                 "is no compute resource",
		"requests.storage":            "is no compute resource",
		"limits.cpu.":                 "a model must follow",
		"limits.cpu.-A4":              "can be no label's value",
		"limits.cpu.a b":              "can be no label's value",
		"limits.ephemeral-storage.A4": "comes in no models",
		"requests.hugepages-2Mi.A4":   "is no size of huge pages",
		"requests.hugepages-":         "is no size of huge pages",
		"limits.nvidia.com/gpu":       "write requests.nvidia.com/gpu",
		"requests.nvidia.com/gpu.":    "is no resource name",
		"requests.nvidia.com/":        "is no resource name",
		"requests./gpu":               "is no resource name",
		"requests.a/b/c":              "is no resource name",
		corev1.ResourceName("limits.cpu." + strings.Repeat("x", 64)): "can be no label's value",
	} {
		if err := quota.ValidateKey(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ValidateKey(%q): got %v, want an error with %q", key, err, want)
		}
	}
}

func TestValidateQuantity(t *testing.T) {
	for _, test := range []struct {
		key      corev1.ResourceName
		quantity string
		want     string // of the error; empty for none
	}{
		{"limits.cpu", "0", ""},
		{"limits.cpu", "1500m", ""},
		{"limits.cpu", "0.1", ""},
		{"limits.memory", "64Gi", ""},
		{"limits.cpu", "1e18", ""},
		{"limits.cpu", "-1", "is negative"},
		{"cash/limits.cpu", "-1m", "is negative"},
		{"limits.cpu", "1001P", "is absurd"},
		{"cash/limits.cpu", "2E", "is absurd"},
		{"cash/limits.cpu", "0.5", ""},
		{"cash/requests.nvidia.com/gpu", "0.5", ""},
		{"cash/pods", "0.25", ""},
		{"pods", "50", ""},
		{"pods", "1k", ""},
		{"pods", "1.5", "is no whole number"},
		{"requests.nvidia.com/gpu", "8", ""},
		{"requests.nvidia.com/gpu", "8000m", ""},
		{"requests.nvidia.com/gpu", "500m", "is no whole number"},
		{"requests.nvidia.com/gpu", "1.9999", "is no whole number"},
		{"requests.nvidia.com/gpu.A30", "1.5", "is no whole number"},
		{"pods", "1e18", ""},
	} {
		err := quota.ValidateQuantity(test.key, resource.MustParse(test.quantity))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("ValidateQuantity(%s, %s): got %v, want %q", test.key, test.quantity, err, test.want)
		}
	}
}

func TestParentOf(t *testing.T) {
	for _, test := range []struct {
		key  corev1.ResourceName
		keys []corev1.ResourceName
		want corev1.ResourceName
	}{
		{"limits.cpu.A4", []corev1.ResourceName{"limits.cpu", "limits.cpu.A4"}, "limits.cpu"},
		{"limits.cpu.A4", []corev1.ResourceName{"limits.cpu.A4", "requests.cpu"}, ""},
		{"limits.cpu", []corev1.ResourceName{"limits.cpu", "limits.cpu.A4"}, ""},
		{"requests.cpu.A4", []corev1.ResourceName{"cpu"}, "cpu"},
		{"cpu.A4", []corev1.ResourceName{"requests.cpu"}, "requests.cpu"},
		{"cash/limits.cpu.A4", []corev1.ResourceName{"limits.cpu", "cash/limits.cpu"}, "cash/limits.cpu"},
		{"cash/limits.cpu.A4", []corev1.ResourceName{"limits.cpu"}, ""},
		{"requests.nvidia.com/mig-1g.5gb.A30", []corev1.ResourceName{"requests.nvidia.com/mig-1g.5gb", "requests.nvidia.com/gpu"}, "requests.nvidia.com/mig-1g.5gb"},
		{"requests.a.b/c.d.M", []corev1.ResourceName{"requests.a.b/c.d", "requests.a.b/c"}, "requests.a.b/c.d"},
		{"requests.a.b/c.d.M", []corev1.ResourceName{"requests.a.b/c", "requests.a.b/c.d"}, "requests.a.b/c.d"},
		{"requests.nvidia.com/gpus", []corev1.ResourceName{"requests.nvidia.com/gpu"}, ""},
	} {
		if got := quota.ParentOf(test.key, test.keys); got != test.want {
			t.Errorf("ParentOf(%s, %v) = %q, want %q", test.key, test.keys, got, test.want)
		}
	}
}

func TestHasCash(t *testing.T) {
	if quota.HasCash(newGroup("nlp", "", list("limits.cpu", "1"))) {
		t.Error("a group without cash keys has cash")
	}
	if !quota.HasCash(newGroup("nlp", "", list("limits.cpu", "1", "cash/limits.cpu", "0"))) {
		t.Error("a group with a cash key has none")
	}
}
