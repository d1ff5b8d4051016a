package taint

import (
	"math"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
	"pgregory.net/rapid"
)

var now = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// at is a NoExecute taint that came so many seconds before now.
func at(key string, ago int64) corev1.Taint {
	added := metav1.NewTime(now.Add(-time.Duration(ago) * time.Second))
	return corev1.Taint{Key: key, Effect: noExecuteTaint, TimeAdded: &added}
}

// timeless is one that does not say.
func timeless(key string) corev1.Taint { return corev1.Taint{Key: key, Effect: noExecuteTaint} }

// tolerates is a toleration of a key, for good.
func tolerates(key string) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
}

// during is one for so many seconds.
func during(key string, seconds int64) corev1.Toleration {
	toleration := tolerates(key)
	toleration.TolerationSeconds = &seconds
	return toleration
}

func podWith(tolerations ...corev1.Toleration) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Tolerations: tolerations}}
}

func list[T any](items ...T) []T { return items }

func TestStays(t *testing.T) {
	a, b := timeless("a"), timeless("b")
	valued := corev1.Taint{Key: "a", Value: "5", Effect: noExecuteTaint}
	cases := []struct {
		name        string
		tolerations []corev1.Toleration
		taints      []corev1.Taint
		stay        time.Duration
		evicted     bool
	}{
		{name: "no taints"},
		{name: "only taints that do not evict", taints: list(corev1.Taint{Key: "a", Effect: noSchedule}, corev1.Taint{Key: "b", Effect: preferNoSched})},
		{name: "not tolerated", taints: list(a), evicted: true},
		{name: "tolerated for good", tolerations: list(tolerates("a")), taints: list(a)},
		{name: "tolerated for a time", tolerations: list(during("a", 30)), taints: list(a), stay: 30 * time.Second, evicted: true},
		{name: "for no time", tolerations: list(during("a", 0)), taints: list(a), evicted: true},
		{name: "for less than none", tolerations: list(during("a", -5)), taints: list(a), evicted: true},
		{name: "for the longest time", tolerations: list(during("a", math.MaxInt64)), taints: list(a)},
		{name: "for more than a duration holds", tolerations: list(during("a", 9999999999)), taints: list(a)},
		{name: "for the longest time, and for a time", tolerations: list(during("a", math.MaxInt64), during("b", 300)), taints: list(a, b), stay: 300 * time.Second, evicted: true},
		{name: "all keys", tolerations: list(tolerates("")), taints: list(a, b)},
		{name: "one of two", tolerations: list(tolerates("a")), taints: list(a, b), evicted: true},
		{name: "one of two for a time", tolerations: list(during("a", 30)), taints: list(a, b), evicted: true},
		{name: "one for good, one for a time", tolerations: list(tolerates("a"), during("b", 30)), taints: list(a, b), stay: 30 * time.Second, evicted: true},
		{name: "the least of the times", tolerations: list(during("a", 30), during("b", 20)), taints: list(a, b), stay: 20 * time.Second, evicted: true},
		{name: "a toleration that is not used does not count", tolerations: list(during("a", 30), during("c", 5)), taints: list(a), stay: 30 * time.Second, evicted: true},
		{name: "the first that matches counts, not the longest", tolerations: list(during("a", 10), tolerates("a")), taints: list(a), stay: 10 * time.Second, evicted: true},
		{name: "nor the shortest", tolerations: list(tolerates("a"), during("a", 10)), taints: list(a)},
		{name: "a wildcard before", tolerations: list(during("", 10), tolerates("a")), taints: list(a), stay: 10 * time.Second, evicted: true},
		{name: "of the effect", tolerations: list(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Effect: noExecuteTaint}), taints: list(a)},
		{name: "of another effect", tolerations: list(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Effect: noSchedule}), taints: list(a), evicted: true},
		{name: "of the value", tolerations: list(corev1.Toleration{Key: "a", Value: "5"}), taints: list(valued)},
		{name: "of another value", tolerations: list(corev1.Toleration{Key: "a", Value: "6"}), taints: list(valued), evicted: true},
		{name: "of a greater value", tolerations: list(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpGt, Value: "4"}), taints: list(valued)},
		{name: "of a lesser value", tolerations: list(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpLt, Value: "4"}), taints: list(valued), evicted: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			stay, evicted := Stays(podWith(c.tolerations...), c.taints)
			if stay != c.stay || evicted != c.evicted {
				t.Errorf("got %v, %t, want %v, %t", stay, evicted, c.stay, c.evicted)
			}
		})
	}
}

func TestTolerates(t *testing.T) {
	hard, soft, harder := corev1.Taint{Key: "a", Effect: noSchedule}, corev1.Taint{Key: "a", Effect: preferNoSched}, timeless("a")
	cases := []struct {
		name        string
		tolerations []corev1.Toleration
		taints      []corev1.Taint
		want        bool
	}{
		{"no taints", nil, nil, true},
		{"NoSchedule", nil, list(hard), false},
		{"NoExecute", nil, list(harder), false},
		{"PreferNoSchedule keeps nobody away", nil, list(soft), true},
		{"tolerated", list(tolerates("a")), list(hard, harder), true},
		{"tolerated for no time", list(during("a", 0)), list(harder), true},
		{"another key", list(tolerates("b")), list(hard), false},
		{"one of two", list(tolerates("a")), list(hard, timeless("b")), false},
		{"the other effect", list(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Effect: noExecuteTaint}), list(hard), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Tolerates(c.tolerations, c.taints); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func TestEvict(t *testing.T) {
	bound := podWith(during("a", 300))
	bound.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-50 * time.Second))}}
	counting := func(left time.Duration) Eviction { return Eviction{Evicted: true, After: left, Counting: true} }
	cases := []struct {
		name          string
		pod           *corev1.Pod
		before, after []corev1.Taint
		want          Eviction
	}{
		{"nothing", podWith(), nil, nil, Eviction{}},
		{"set", podWith(), nil, list(timeless("a")), Eviction{Evicted: true}},
		{"set and tolerated", podWith(tolerates("a")), nil, list(timeless("a")), Eviction{}},
		{"set and borne", podWith(during("a", 300)), nil, list(timeless("a")), Eviction{Evicted: true, After: 300 * time.Second}},
		{"set and borne for more than a duration holds", podWith(during("a", 9999999999)), nil, list(timeless("a")), Eviction{}},
		{"removed", podWith(during("a", 300)), list(at("a", 100)), nil, Eviction{}},
		{"removed but for one that is tolerated", podWith(during("a", 300), tolerates("b")), list(at("a", 100), at("b", 100)), list(at("b", 100)), Eviction{}},
		{"as it was", podWith(during("a", 300)), list(at("a", 100)), list(at("a", 100)), counting(200 * time.Second)},
		{"as it was, without a time", podWith(during("a", 300)), list(timeless("a")), list(timeless("a")), counting(300 * time.Second)},
		{"a time to come", podWith(during("a", 300)), list(at("a", -100)), list(at("a", -100)), counting(300 * time.Second)},
		{"time is up", podWith(during("a", 300)), list(at("a", 400)), list(at("a", 400)), counting(0)},
		{"since the pod is on the node", bound, list(at("a", 100)), list(at("a", 100)), counting(250 * time.Second)},
		{"one more that is borne for longer", podWith(during("a", 300), during("b", 600)), list(at("a", 100)), list(timeless("b"), at("a", 100)), counting(200 * time.Second)},
		{"one more that is borne for less", podWith(during("a", 300), during("b", 10)), list(at("a", 100)), list(timeless("b"), at("a", 100)), counting(200 * time.Second)},
		{"one more that is borne for no time", podWith(during("a", 300), during("b", 0)), list(at("a", 100)), list(timeless("b"), at("a", 100)), counting(200 * time.Second)},
		{"one more that is not tolerated", podWith(during("a", 300)), list(at("a", 100)), list(timeless("b"), at("a", 100)), Eviction{Evicted: true}},
		{"another instead", podWith(during("a", 300), during("b", 10)), list(at("a", 100)), list(timeless("b")), counting(200 * time.Second)},
		{"the first of two began it", podWith(during("a", 300), during("b", 10)), list(at("b", 50), at("a", 100)), list(at("b", 50), at("a", 100)), counting(200 * time.Second)},
		{"what is tolerated for good begins nothing", podWith(tolerates("a"), during("b", 300)), list(at("a", 200), at("b", 100)), list(at("a", 200), at("b", 100)), counting(200 * time.Second)},
		{"two at once", podWith(during("a", 300), during("b", 200)), list(at("a", 100), at("b", 100)), list(at("a", 100), at("b", 100)), counting(100 * time.Second)},
		{"not to be here before", podWith(during("b", 300)), list(at("a", 100)), list(timeless("b")), Eviction{Evicted: true, After: 300 * time.Second}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Evict(c.pod, c.before, c.after, now)); diff != "" {
				t.Errorf("fate (-want +got):\n%s", diff)
			}
		})
	}
}

// tolerations are random ones, among them such as match the same taint.
func tolerations() *rapid.Generator[[]corev1.Toleration] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Toleration {
		toleration := corev1.Toleration{
			Key:      rapid.SampledFrom(list("a", "b", "c", "")).Draw(t, "key"),
			Operator: rapid.SampledFrom(list(corev1.TolerationOpExists, corev1.TolerationOpEqual, "")).Draw(t, "operator"),
			Effect:   rapid.SampledFrom(list("", "", noExecuteTaint, noSchedule)).Draw(t, "effect"),
		}
		if toleration.Operator != corev1.TolerationOpExists {
			toleration.Value = rapid.SampledFrom(list("", "1")).Draw(t, "value")
		}
		if rapid.Bool().Draw(t, "for a time") {
			seconds := rapid.Int64Range(-2, 20).Draw(t, "seconds")
			toleration.TolerationSeconds = &seconds
		}
		return toleration
	}), 0, 6)
}

func anyTaint() *rapid.Generator[corev1.Taint] {
	return rapid.Custom(func(t *rapid.T) corev1.Taint {
		return corev1.Taint{
			Key:    rapid.SampledFrom(list("a", "b", "c")).Draw(t, "key"),
			Value:  rapid.SampledFrom(list("", "", "1")).Draw(t, "value"),
			Effect: rapid.SampledFrom(list(noExecuteTaint, noExecuteTaint, noSchedule, preferNoSched)).Draw(t, "effect"),
		}
	})
}

// controller is what the taint-eviction controller holds of one pod: when it began to
// count, and when it deletes the pod (processPodOnNode in k8s.io/kubernetes
// pkg/controller/tainteviction, whose matching of tolerations it calls).
type controller struct {
	created, fires int64
	scheduled      bool
}

// see is a change of the node's taints at a time, in seconds.
func (c *controller) see(pod *corev1.Pod, taints []corev1.Taint, now int64) {
	executing := []corev1.Taint{}
	for _, taint := range taints {
		if taint.Effect == corev1.TaintEffectNoExecute {
			executing = append(executing, taint)
		}
	}
	if len(executing) == 0 {
		*c = controller{}
		return
	}
	all, used := v1helper.GetMatchingTolerations(logr.Discard(), executing, pod.Spec.Tolerations)
	if !all {
		*c = controller{now, now, true}
		return
	}
	least := minimum(used)
	if least < 0 {
		*c = controller{}
		return
	}
	if c.scheduled && c.created+least < now+least {
		return
	}
	*c = controller{now, now + least, true}
}

// minimum is getMinTolerationTime of that package, in seconds; -1 is for good.
func minimum(used []corev1.Toleration) int64 {
	least := int64(math.MaxInt64)
	for _, toleration := range used {
		if toleration.TolerationSeconds != nil {
			least = min(least, max(0, *toleration.TolerationSeconds))
		}
	}
	if least == math.MaxInt64 {
		return -1
	}
	return least
}

// TestEvictAgreesWithTheController lets taints come one after another and then changes
// them in any way.
func TestEvictAgreesWithTheController(t *testing.T) {
	counted := 0
	rapid.Check(t, func(t *rapid.T) {
		pod := podWith(tolerations().Draw(t, "tolerations")...)
		var taints []corev1.Taint
		var real controller
		for _, ago := range list[int64](9, 6, 3)[rapid.IntRange(0, 3).Draw(t, "earlier changes"):] {
			taint := anyTaint().Draw(t, "taint")
			if find(taints, taint) >= 0 {
				continue
			}
			added := metav1.NewTime(now.Add(-time.Duration(ago) * time.Second))
			taint.TimeAdded = &added
			taints = append(taints, taint)
			real.see(pod, taints, -ago)
		}
		if real.scheduled && real.fires <= 0 {
			t.Skip("the pod is gone")
		}
		var after []corev1.Taint
		for _, taint := range taints {
			if rapid.Bool().Draw(t, "keep") {
				after = append(after, taint)
			}
		}
		for _, taint := range rapid.SliceOfN(anyTaint(), 0, 2).Draw(t, "new") {
			if find(after, taint) < 0 {
				after = append(after, taint)
			}
		}
		waited := real.scheduled
		real.see(pod, after, 0)
		got := Evict(pod, taints, after, now)
		if got.Evicted != real.scheduled || got.Evicted && got.After != time.Duration(real.fires)*time.Second {
			t.Errorf("got %+v, the controller has %+v", got, real)
		}
		if got.Counting != (waited && real.scheduled && real.created < 0) {
			t.Errorf("got %+v, the controller has %+v", got, real)
		}
		if got.Counting {
			counted++
		}
	})
	if counted == 0 && !testing.Short() { // -short draws a fifth of the cases
		t.Error("no pod was being counted down")
	}
}
