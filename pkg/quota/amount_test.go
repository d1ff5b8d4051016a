package quota_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/stowage-dev/stowage/pkg/quota"
)

func TestAmount(t *testing.T) {
	tests := []struct{ key, quantity, want string }{
		{"limits.cpu", "12", "12"},
		{"limits.cpu", "500m", "0.5"},
		{"limits.cpu", "4250m", "4.25"},
		{"limits.cpu", "58500m", "58.5"},
		{"limits.cpu", "-2100m", "-2.1"},
		{"limits.cpu", "1234", "1234"},
		{"limits.cpu", "12345", "12345"},
		{"limits.cpu", "973500", "974k"},
		{"limits.cpu", "1M", "1M"},
		{"limits.cpu", "0", "0"},
		{"limits.cpu.A4", "1n", "<0.001"},
		{"limits.cpu", "-1n", ">-0.001"},
		{"cpu", "1Ki", "1024"},
		{"requests.nvidia.com/gpu", "36", "36"},
		{"requests.memory", "18280739Ki", "17.4Gi"},
		{"memory", "50500M", "47Gi"},
		{"memory.DDR5", "64Gi", "64Gi"},
		{"limits.memory", "419200Gi", "409Ti"},
		{"limits.memory", "8000000Gi", "7.63Pi"},
		{"limits.memory", "201326591840m", "192Mi"},
		{"limits.memory", "500m", "0.5"},
		{"limits.memory", "1000Mi", "1000Mi"},
		{"requests.ephemeral-storage", "1e18", "888Pi"},
		{"requests.hugepages-2Mi", "2048Mi", "2Gi"},
		{"requests.storage", "1000Gi", "1000Gi"},
		{"gold.storageclass.storage.k8s.io/requests.storage", "10Gi", "10Gi"},
		{"cash/limits.cpu", "859.5", "860"},
		{"cash/limits.cpu", "50000000", "50M"},
		{"cash/limits.memory", "100Ti", "100Ti"},
		{"pods", "50", "50"},
		{"requests.example.com/memory", "1k", "1000"},
	}
	for _, test := range tests {
		if got := quota.Amount(corev1.ResourceName(test.key), resource.MustParse(test.quantity)); got != test.want {
			t.Errorf("Amount(%s, %s) = %q, want %q", test.key, test.quantity, got, test.want)
		}
	}
}

func TestAmounts(t *testing.T) {
	tests := map[string]struct {
		quantities, want []string
	}{
		"three digits do":       {[]string{"12", "6"}, []string{"12", "6"}},
		"equal ones":            {[]string{"1k", "1000"}, []string{"1000", "1000"}},
		"a little more than":    {[]string{"100400m", "100"}, []string{"100.4", "100"}},
		"a core of very many":   {[]string{"1000001", "1M"}, []string{"1.000001M", "1M"}},
		"less than can be seen": {[]string{"1n", "0"}, []string{"<0.001", "0"}},
	}
	for name, test := range tests {
		var quantities []resource.Quantity
		for _, text := range test.quantities {
			quantities = append(quantities, resource.MustParse(text))
		}
		if got := quota.Amounts("limits.cpu", quantities...); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
