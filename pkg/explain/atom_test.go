package explain

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

func TestUnion(t *testing.T) {
	a, b, c := atom{key: "a"}, atom{key: "b"}, atom{key: "c"}
	for name, tc := range map[string]struct {
		first, second fix
		want          []string
	}{
		"of nothing":                      {nil, fix{a}, []string{"a"}},
		"the same atom once":              {fix{a}, fix{a}, []string{"a"}},
		"sorted by key, whatever's first": {fix{c, a}, fix{b, c}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			first := slices.Clone(tc.first)
			var keys []string
			for _, x := range union(tc.first, tc.second) {
				keys = append(keys, x.key)
			}
			if !slices.Equal(keys, tc.want) {
				t.Errorf("keys %v, want %v", keys, tc.want)
			}
			for i := range first {
				if first[i].key != tc.first[i].key {
					t.Errorf("the first fix has changed to %v", tc.first)
				}
			}
		})
	}
}

func TestOffer(t *testing.T) {
	lower := func(loss float64, node string) candidate {
		return candidate{atoms: []atom{{key: "lower cpu", loss: loss}}, nodes: []string{node}}
	}
	for name, tc := range map[string]struct {
		offered []candidate
		loss    float64
		nodes   []string
	}{
		"one":                             {[]candidate{lower(0.5, "n")}, 0.5, []string{"n"}},
		"the least loss wins":             {[]candidate{lower(0.5, "n"), lower(0.2, "m")}, 0.2, []string{"n", "m"}},
		"a greater one keeps its node":    {[]candidate{lower(0.2, "n"), lower(0.5, "m")}, 0.2, []string{"n", "m"}},
		"of equal ones the first is kept": {[]candidate{lower(0.2, "n"), lower(0.2, "m")}, 0.2, []string{"n", "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			byKey := map[string]*candidate{}
			for _, c := range tc.offered {
				offer(byKey, c)
			}
			got := byKey["lower cpu"]
			if len(byKey) != 1 || got.loss() != tc.loss || !slices.Equal(got.nodes, tc.nodes) {
				t.Errorf("%d candidates, loss %v, nodes %v, want one of loss %v for %v", len(byKey), got.loss(), got.nodes, tc.loss, tc.nodes)
			}
		})
	}
}

// TestIDsTellHowMuch: the search merges by key, which leaves the amount out; the ID
// does not.
func TestIDsTellHowMuch(t *testing.T) {
	c := candidate{atoms: []atom{
		{kind: report.RemedyLowerRequest, key: "lower cpu", what: "cpu:3:2"},
		{kind: report.RemedyUncordon, key: "Uncordon n", what: "n"},
	}}
	if got, want := c.id(), "LowerRequest:cpu:3:2+Uncordon:n"; got != want {
		t.Errorf("ID %q, want %q", got, want)
	}
}

// TestTwoAtomsThatMakeOneList: the first makes the list, the second adds to it.
func TestTwoAtomsThatMakeOneList(t *testing.T) {
	c := candidate{atoms: []atom{
		addToleration(corev1.Taint{Key: "a", Effect: corev1.TaintEffectNoSchedule}),
		addToleration(corev1.Taint{Key: "b", Value: "1", Effect: corev1.TaintEffectNoSchedule}),
	}}
	changed, err := c.changed(&corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.Toleration{
		{Key: "a", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: "b", Operator: corev1.TolerationOpEqual, Value: "1", Effect: corev1.TaintEffectNoSchedule},
	}
	if !slices.Equal(changed.Spec.Tolerations, want) {
		t.Errorf("tolerations %v, want %v", changed.Spec.Tolerations, want)
	}
}
