package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stowage-dev/stowage/pkg/workload"
)

func served(version string, names ...string) *metav1.APIResourceList {
	list := &metav1.APIResourceList{GroupVersion: version}
	for _, name := range names {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
	}
	return list
}

// TestUnjudged compares the table, and the webhook rules made of it, with clusters.
func TestUnjudged(t *testing.T) {
	cases := []struct {
		name   string
		served []*metav1.APIResourceList
		want   []string
	}{
		{"as declared", []*metav1.APIResourceList{
			served("apps/v1", "deployments", "deployments/scale", "daemonsets"),
			served("kubeflow.org/v1", "pytorchjobs", "pytorchjobs/scale"), served("kubeflow.org/v2beta1", "mpijobs"),
		}, nil},
		{"another version", []*metav1.APIResourceList{served("kubeflow.org/v3", "mpijobs")},
			[]string{"mpijobs.kubeflow.org: is declared in v1, v2beta1 and served in v3, so that none is ever seen"}},
		{"a door", []*metav1.APIResourceList{served("ray.io/v1", "rayclusters", "rayclusters/scale")},
			[]string{"rayclusters.ray.io/scale: is served and not judged: declare the kind with its scale path (--workload-kinds)"}},
	}
	rules := doorsOf(webhookConfiguration(Options{Kinds: workload.Default()}))
	for _, c := range cases {
		if diff := cmp.Diff(c.want, Unjudged(Doors(workload.Default()), c.served)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(len(c.want), len(Unjudged(rules, c.served))); diff != "" {
			t.Errorf("%s, by the rules (-want +got):\n%s", c.name, diff)
		}
	}
}
