package quota_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// absurd is more of anything than there is, as the API server accepts it; 2^63 + 2^60
// thousandths are 2^60 thousandths in 64 bits.
const absurd = "10376293541461622784"

// rat is the quantity as an exact number.
func rat(t rapid.TB, quantity resource.Quantity) *big.Rat {
	number, ok := new(big.Rat).SetString(quantity.AsDec().String())
	if !ok {
		t.Fatalf("%s is no number", quantity.String())
	}
	return number
}

// drawAmount draws an amount as people and attackers write it.
func drawAmount(t *rapid.T) resource.Quantity {
	return resource.MustParse(rapid.SampledFrom([]string{
		"1", "250m", "1n", "3.7", "64Ti", "1Ei", "7Ei", "1e18", "1e30", "10P", "9223372036854775807", absurd, "18446744073709551617", "1e21", "1000E",
	}).Draw(t, "amount"))
}

// Charges are sums of products of any size, and so are hours; neither wraps, and what
// the API server gives back of a status is what was written.
func TestAmountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		group := newGroup("nlp", "", list("limits.memory", "1e18", "cash/limits.memory", "1e18"))
		index := quota.NewIndex(table)
		want, wantHours := new(big.Rat), new(big.Rat)
		var runs []quota.Run
		for i := range rapid.IntRange(1, 5).Draw(t, "workloads") {
			amount, replicas := drawAmount(t), rapid.Int64Range(1, 1<<31-1).Draw(t, "replicas")
			w := &workload.Workload{
				Kind: table.Of(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind()), Name: string(rune('a' + i)), UID: types.UID(rune('a' + i)), Group: "nlp",
				PodSets: []workload.PodSet{{Replicas: replicas, Template: &corev1.PodTemplateSpec{Spec: pod(corev1.ResourceList{corev1.ResourceMemory: amount})}}},
			}
			index.Put(w)
			product := new(big.Rat).Mul(rat(t, amount), new(big.Rat).SetInt64(replicas))
			want.Add(want, product)
			runs = append(runs, quota.Run{Charge: quota.Charge(w, quota.Options{}), From: monday})
			wantHours.Add(wantHours, product)
		}
		quota.Accrue(group, runs, monday.Add(time.Hour))
		group.Status = quota.Settle(group, quota.Seen{Self: index.SelfUsed(group), Version: unseen}, metav1.NewTime(monday))
		data, err := json.Marshal(group)
		if err != nil {
			t.Fatal(err)
		}
		var back quota.Group
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[corev1.ResourceName]*big.Rat{"limits.memory": want, "cash/limits.memory": wantHours} {
			for what, got := range map[string]resource.Quantity{"counted": group.Status.Used[key], "read back": back.Status.Used[key]} {
				if rat(t, got).Cmp(want) != 0 {
					t.Fatalf("%s: %s as %s, want %s", key, what, got.String(), want.FloatString(9))
				}
			}
		}
		if left := quota.Left(&back, "limits.memory"); rat(t, left).Cmp(new(big.Rat).Sub(rat(t, group.Spec.Hard["limits.memory"]), want)) != 0 {
			t.Fatalf("left %s", left.String())
		}
	})
}

// An absurd amount is refused of any container and resource, whether the group limits
// that or not, with the field and the bound.
func TestAbsurdAmountsAreRefused(t *testing.T) {
	const path = "spec.template.spec."
	tests := map[string]struct {
		change func(*corev1.PodSpec)
		want   string
	}{
		"a limit": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = list("cpu", absurd) },
			path + "containers[0].resources.limits[cpu]: " + absurd + " is absurd: expected at most 1e18"},
		"a request": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Requests = list("example.com/x", "2E") },
			path + "containers[0].resources.requests[example.com/x]: 2E is absurd"},
		"of an init container": {func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{container("a", list("cpu", "1"), nil), container("b", list("memory", "1e30"), nil)}
		}, path + "initContainers[1].resources.limits[memory]: 1e30 is absurd"},
		"overhead": {func(s *corev1.PodSpec) { s.Overhead = list("cpu", "2e18") }, path + "overhead[cpu]: 2e18 is absurd"},
		"of the pod": {func(s *corev1.PodSpec) { s.Resources = &corev1.ResourceRequirements{Limits: list("cpu", "2e18")} },
			path + "resources.limits[cpu]: 2e18 is absurd"},
		"an exponent that nobody can write out": {func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Limits["memory"] = resource.MustParse("1e2147483647")
		},
			path + "containers[0].resources.limits[memory]: 10e2147483646 is absurd"},
		"as much as may be": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits["memory"] = resource.MustParse("1e18") }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("pods", "10"))})
			spec := pod(list("cpu", "1"))
			test.change(&spec)
			w := deployment(t, "nlp", 1, spec)
			w.PodSets[0].TemplatePath = []string{"spec", "template"}
			check := tree.CheckWorkload(quota.Change{New: w})
			if got := quota.Text(check); check.Allowed != (test.want == "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if check := tree.CheckWorkload(quota.Change{Old: scaled(w, 2), New: w}); !check.Allowed {
				t.Errorf("what is there may shrink: %v", check.Reasons)
			}
		})
	}
}

func TestAbsurdHard(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("ai", "", list("limits.cpu", "10"))})
	old := newGroup("nlp", "ai", list("limits.cpu", "5"))
	for _, amount := range []string{"2e18", "1e2147483647"} {
		group := old.DeepCopy()
		group.Spec.Hard = list("limits.cpu", amount, "limits.cpu.A4", amount)
		for what, check := range map[string]*report.QuotaCheck{"create": tree.CheckCreate(group), "update": tree.CheckUpdate(old, group)} {
			if got := quota.Text(check); !strings.Contains(got, "spec.hard[limits.cpu]: ") || !strings.Contains(got, "is absurd: expected at most 1e18") {
				t.Errorf("%s %s: got %q", what, amount, got)
			}
		}
	}
}

// What was stored before it could be refused is counted, however it is written.
func TestStoredAmountsThatCannotBeComputedWith(t *testing.T) {
	spec := pod(list("cpu", "1e2147483647"))
	spec.Overhead = list("memory", "1e2147483647")
	charge := quota.PodCharge(&corev1.Pod{Spec: spec}, workload.Models{})
	for _, key := range []corev1.ResourceName{"limits.cpu", "requests.cpu", "requests.memory"} {
		if amount := charge[key]; amount.Cmp(resource.MustParse("1e40")) != 0 {
			t.Errorf("%s: charges %s, want 1e40", key, &amount)
		}
	}
}

// The number of replicas that fit is exact, however small one is beside what is left.
func TestLargestFitOfSmallReplicas(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.memory", "1e18", "pods", "5"))})
	check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 6, pod(list("memory", "1n")))})
	if len(check.Exceeded) != 1 || *check.Exceeded[0].LargestFit != 5 {
		t.Errorf("got %+v", check.Exceeded)
	}
	tree = quota.NewTree([]*quota.Group{withUsed(newGroup("nlp", "", list("limits.memory", "1e18")), list("limits.memory", "1e18"))})
	old := deployment(t, "nlp", 1, pod(list("memory", "1e18")))
	check = tree.CheckWorkload(quota.Change{Old: old, New: deployment(t, "nlp", 2, pod(list("memory", "1e18")))})
	if len(check.Exceeded) != 1 || *check.Exceeded[0].LargestFit != 1 {
		t.Errorf("got %+v", check.Exceeded)
	}
}
