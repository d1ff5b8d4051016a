package quota_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

func TestGroupsThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	refill := func(schedule, zone string) func(*group) {
		return func(g *group) { g.Spec.Refill = &stowagev1alpha1.Refill{Schedule: schedule, TimeZone: zone} }
	}
	none := func(*group) {}
	for _, c := range []struct {
		name   string
		hard   hard
		change func(*group)
		want   []string
	}{
		{"unknown key", hard{"limit.cpu": "1"}, none, []string{"spec.hard", "limit.cpu", "limits.cpu"}},
		{"nearly gpu", hard{"requests.nvidia.com/gpus ": "1"}, none, []string{"spec.hard", "requests.nvidia.com/gpu"}},
		{"limited extended resource", hard{"limits.nvidia.com/gpu": "1"}, none, []string{"spec.hard", "requests.nvidia.com/gpu"}},
		{"a count", hard{"count/deployments.apps": "1"}, none, []string{"spec.hard", "count/deployments.apps"}},
		{"negative", hard{"limits.cpu": "-1"}, none, []string{"spec.hard", "limits.cpu", "-1", "negative"}},
		{"absurd", hard{"limits.memory": "2E"}, none, []string{"spec.hard", "limits.memory", "absurd", "1e18"}},
		{"part of a pod", hard{"pods": "1500m"}, none, []string{"spec.hard", "pods", "whole"}},
		{"the same key twice", hard{"cpu": "1", "requests.cpu": "2"}, none, []string{"spec.hard", "cpu", "requests.cpu"}},
		{"its own parent", hard{"limits.cpu": "1"}, func(g *group) { g.Spec.ParentBizGroup = g.Name }, []string{"spec.parentBizGroup"}},
		{"no such parent", hard{"limits.cpu": "1"}, func(g *group) { g.Spec.ParentBizGroup = "nobody" }, []string{"spec.parentBizGroup", `"nobody"`}},
		{"never comes", hard{"limits.cpu": "1"}, refill("0 0 30 2 *", ""), []string{"spec.refill.schedule", "0 0 30 2 *", "never"}},
		{"no schedule", hard{"limits.cpu": "1"}, refill("each Monday", ""), []string{"spec.refill.schedule", "each Monday"}},
		{"no such zone", hard{"limits.cpu": "1"}, refill("0 0 * * 1", "Asia/Nowhere"), []string{"spec.refill.timeZone", "Asia/Nowhere"}},
		{"bad pattern", hard{"limits.cpu": "1"}, func(g *group) { g.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"nlp-["}} },
			[]string{"spec.allow.namespaces", "nlp-["}},
		{"bad surge", hard{"limits.cpu": "1"}, func(g *group) { g.Spec.Surge = "some" }, []string{"spec.surge", "some", "count"}},
		{"long name", hard{"limits.cpu": "1"}, func(g *group) { g.Name = strings.Repeat("n", 64) }, []string{"metadata.name", "63"}},
	} {
		g := newGroup(w.name("bad"), "", c.hard)
		c.change(g)
		err := w.Create(t.Context(), g)
		if err == nil {
			t.Errorf("%s: admitted", c.name)
			w.deleteAfter(g.Name)
			continue
		}
		for _, part := range c.want {
			if !contains(err.Error(), part) {
				t.Errorf("%s: refused with %q, which has no %q", c.name, err, part)
			}
		}
	}
}

// A typo in the parent's name is answered with the nearest there is.
func TestNearestParent(t *testing.T) {
	w := newWorld(t)
	ai := w.group("platform", "", hard{"limits.cpu": "10"})
	w.refusedWith(w.Create(t.Context(), newGroup(w.name("nlp"), ai[:3]+ai[4:], hard{"limits.cpu": "1"})), "spec.parentBizGroup", `"`+ai+`"`)
}

// An object near etcd's limit is judged as any other.
func TestHugeObject(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "1"})
	const size = 1_400_000
	huge := w.deployment("huge", nlp, 2, cpu("1"))
	huge.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "DATA", Value: strings.Repeat("x", size)}}
	w.refusedWith(w.Create(t.Context(), huge), "limits.cpu: needs 2, 1 of 1 left (short 1)")
	*huge.Spec.Replicas = 1
	w.create(huge)
	w.used(nlp, hard{"limits.cpu": "1"})
	w.admitted(update(w, huge, func(d *deployment) { *d.Spec.Replicas = 0 }))
	w.used(nlp, hard{"limits.cpu": "0"})
}

// Numbers that do not make sense in a workload are the API server's to refuse, or count as what they are.
func TestAbsurdWorkload(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "10"})
	most := w.deployment("most", nlp, 1<<31-1, cpu("1e15"))
	w.refusedWith(w.Create(t.Context(), most), "group "+nlp+": limits.cpu: needs ", "10 of 10 left")
	tiny := w.deployment("tiny", nlp, 1, corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1m")}})
	w.create(tiny)
	w.used(nlp, hard{"limits.cpu": "1m"})
}
