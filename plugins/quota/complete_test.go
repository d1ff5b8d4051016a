package quota

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// TestKeysToCompleteDoNoHarm has somebody put a key into a group that a terminal would act on.
func TestKeysToCompleteDoNoHarm(t *testing.T) {
	group := func(name string, keys ...corev1.ResourceName) *quota.Group {
		g := &quota.Group{}
		g.Name, g.Spec.Hard = name, corev1.ResourceList{}
		for _, key := range keys {
			g.Spec.Hard[key] = resource.MustParse("1")
		}
		return g
	}
	groups := []*quota.Group{
		group("nlp", "pods", "limits.cpu", "limits.\x1b[2Jcpu"),
		group("web", "limits.memory"),
	}
	for _, tc := range []struct {
		group, prefix string
		want          []string
	}{
		{"nlp", "", []string{"limits.cpu", "pods"}},
		{"nlp", "limits.", []string{"limits.cpu"}},
		{"", "limits.", []string{"limits.cpu", "limits.memory"}},
	} {
		chosen := func(g *quota.Group) bool { return tc.group == "" || g.Name == tc.group }
		if diff := cmp.Diff(tc.want, keysOf(groups, chosen, tc.prefix)); diff != "" {
			t.Errorf("keys of %q that begin with %q (-want +got):\n%s", tc.group, tc.prefix, diff)
		}
	}
}
