package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestLimitRangesByHand applies LimitRanges that no API server has filled in.
func TestLimitRangesByHand(t *testing.T) {
	cpu := func(text string) corev1.ResourceList { return corev1.ResourceList{"cpu": resource.MustParse(text)} }
	tests := map[string]struct {
		item            corev1.LimitRangeItem
		limit, requests string
	}{
		"the most is the default":       {corev1.LimitRangeItem{Max: cpu("2")}, "2", "2"},
		"a default is asked for":        {corev1.LimitRangeItem{Max: cpu("2"), Default: cpu("1")}, "1", "1"},
		"a request of its own":          {corev1.LimitRangeItem{Default: cpu("1"), DefaultRequest: cpu("500m")}, "1", "500m"},
		"the least is asked for":        {corev1.LimitRangeItem{Min: cpu("250m")}, "0", "250m"},
		"the least, or rather the most": {corev1.LimitRangeItem{Min: cpu("250m"), Max: cpu("2")}, "2", "2"},
	}
	for name, test := range tests {
		test.item.Type = corev1.LimitTypeContainer
		spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}
		ApplyLimitRanges(&spec, []*corev1.LimitRange{{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{test.item}}}})
		got := spec.Containers[0].Resources
		if diff := cmp.Diff([]string{test.limit, test.requests}, []string{got.Limits.Cpu().String(), got.Requests.Cpu().String()}); diff != "" {
			t.Errorf("%s: limit and request (-want +got):\n%s", name, diff)
		}
	}
}
