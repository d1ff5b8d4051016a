package simulate_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/stowage-dev/stowage/pkg/simulate"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func TestAlike(t *testing.T) {
	pod := func(name string) *build.PodBuilder { return build.Pod("a", name).Request("cpu=1").Label("index", name) }
	scratch := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
	}
	selecting := build.Pod("a", "selecting").PodAntiAffinity("index=p", corev1.LabelHostname).Obj()
	for name, tc := range map[string]struct {
		cluster []*corev1.Pod
		a, b    *corev1.Pod
		want    bool
	}{
		"a label that nobody selects":      {nil, pod("p").Obj(), pod("q").Obj(), true},
		"a label that a pod selects":       {[]*corev1.Pod{selecting}, pod("p").Obj(), pod("q").Obj(), false},
		"another request":                  {nil, pod("p").Obj(), pod("q").Request("cpu=2").Obj(), false},
		"another namespace":                {nil, build.Pod("a", "p").Obj(), build.Pod("b", "p").Obj(), false},
		"nominated":                        {nil, pod("p").Obj(), pod("q").Nominated("n").Obj(), false},
		"claims that carry the pod's name": {nil, pod("p").With(scratch).Obj(), pod("q").With(scratch).Obj(), false},
	} {
		t.Run(name, func(t *testing.T) {
			alike := simulate.NewAlike(tc.cluster)
			if got := alike.Key(tc.a) == alike.Key(tc.b); got != tc.want {
				t.Errorf("alike is %v, want %v", got, tc.want)
			}
		})
	}
}
