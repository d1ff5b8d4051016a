package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestEligible(t *testing.T) {
	cases := []struct {
		name, spec, taints string
		want               bool
	}{
		{"any node", `{}`, ``, true},
		{"that node", `{nodeName: n1}`, ``, true},
		{"another node", `{nodeName: n2}`, ``, false},
		{"selector", `{nodeSelector: {pool: gpu}}`, ``, true},
		{"another selector", `{nodeSelector: {pool: cpu}}`, ``, false},
		{"affinity", `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms:
 [{matchExpressions: [{key: pool, operator: In, values: [cpu, gpu]}]}]}}}}`, ``, true},
		{"affinity to a name", `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms:
 [{matchFields: [{key: metadata.name, operator: In, values: [n2]}]}]}}}}`, ``, false},
		{"affinity that cannot be parsed", `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms:
 [{matchExpressions: [{key: pool, operator: Like, values: [gpu]}]}]}}}}`, ``, false},
		{"taint", `{}`, `[{key: gpu, effect: NoSchedule}]`, false},
		{"taint that evicts", `{}`, `[{key: gpu, effect: NoExecute}]`, false},
		{"taint that only asks", `{}`, `[{key: gpu, effect: PreferNoSchedule}]`, true},
		{"tolerated", `{tolerations: [{key: gpu, operator: Exists}]}`, `[{key: gpu, effect: NoSchedule}]`, true},
		{"one of two tolerated", `{tolerations: [{key: gpu, operator: Exists}]}`,
			`[{key: gpu, effect: NoSchedule}, {key: dedicated, effect: NoSchedule}]`, false},
		{"cordoned", `{}`, `[{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]`, true},
		{"not ready", `{}`, `[{key: node.kubernetes.io/not-ready, effect: NoExecute}]`, true},
		{"not ready, kept out", `{}`, `[{key: node.kubernetes.io/not-ready, effect: NoSchedule}]`, false},
		{"no network", `{}`, `[{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]`, false},
		{"no network, on the host's", `{hostNetwork: true}`, `[{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]`, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			template := &corev1.PodTemplateSpec{}
			parse(t, c.spec, &template.Spec)
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"pool": "gpu"}}}
			parse(t, c.taints, &node.Spec.Taints)
			tolerations := len(template.Spec.Tolerations)
			if got := Eligible(template, node); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
			if len(template.Spec.Tolerations) != tolerations {
				t.Error("the template has changed")
			}
		})
	}
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}
