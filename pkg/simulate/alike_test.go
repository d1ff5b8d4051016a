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
			alike := simulate.NewAlike(inTree(t), tc.cluster)
			if got := alike.Key(tc.a) == alike.Key(tc.b); got != tc.want {
				t.Errorf("alike is %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAlikeForFurtherPlugins: what a plugin that is not in-tree reads is not known.
func TestAlikeForFurtherPlugins(t *testing.T) {
	pod := func(name string) *build.PodBuilder { return build.Pod("a", name).Request("cpu=1") }
	annotated := func(p *corev1.Pod) { p.Annotations = map[string]string{"tier": "spot"} }
	for name, tc := range map[string]struct {
		b    *corev1.Pod
		want bool
	}{
		"another name":       {pod("q").Obj(), true},
		"another label":      {pod("q").Label("tier", "spot").Obj(), false},
		"another annotation": {pod("q").With(annotated).Obj(), false},
		"another owner":      {pod("q").Owner("apps/v1", "ReplicaSet", "web").Obj(), false},
	} {
		t.Run(name, func(t *testing.T) {
			if alike := simulate.NewAlike(further(t), nil); (alike.Key(pod("p").Obj()) == alike.Key(tc.b)) != tc.want {
				t.Errorf("alike is %v, want %v", !tc.want, tc.want)
			}
			if alike := simulate.NewAlike(inTree(t), nil); alike.Key(pod("p").Obj()) != alike.Key(tc.b) {
				t.Error("not alike to in-tree plugins")
			}
		})
	}
}
