package owner_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// manifest reads a manifest of package workload's.
func manifest(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "workload", "testdata", strings.ToLower(kind)+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = yaml.YAMLToJSON(data); err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return object
}

// Every kind of the table makes pods that can be told, but for those whose template is
// another object's.
func TestEveryKindMakesPods(t *testing.T) {
	elsewhere := map[string]bool{
		"TrainJob/node": true, "RayJob/submitter": true, "SparkApplication/driver": true, "SparkApplication/executor": true,
	}
	for _, kind := range workload.Default().All() {
		t.Run(kind.Kind, func(t *testing.T) {
			w, err := owner.Read(workload.Default(), manifest(t, kind.Kind))
			if err != nil || len(w.Sets) == 0 {
				t.Fatalf("%+v, error %v, want pod sets", w, err)
			}
			maker := newMaker()
			for i := range w.Sets {
				set := &w.Sets[i]
				if set.Elsewhere != elsewhere[kind.Kind+"/"+set.Name] {
					t.Errorf("set %q: elsewhere %t", set.Name, set.Elsewhere)
				}
				pod := maker.Replica(w, set, 0)
				if !strings.HasPrefix(pod.Name, w.Object.GetName()) || len(pod.Spec.Containers) == 0 || pod.Spec.NodeName != "" {
					t.Errorf("set %q: pod %q with %d containers on node %q", set.Name, pod.Name, len(pod.Spec.Containers), pod.Spec.NodeName)
				}
			}
		})
	}
}

// newMaker makes pods without the API's defaults.
func newMaker(objects ...snapshot.Object) *owner.Maker {
	snap := build.Snapshot(objects...)
	return owner.NewMaker(snap, owner.NewIndex(snap, workload.Default()), func(*corev1.Pod) {})
}

func TestTemplatesStandWhereTheTableSays(t *testing.T) {
	for kind, want := range map[string][]string{
		"Deployment":      {"spec/template"},
		"CronJob":         {"spec/jobTemplate/spec/template"},
		"Rollout":         {"spec/template"},
		"Pod":             {""},
		"TrainJob":        {""},
		"LeaderWorkerSet": {"spec/leaderWorkerTemplate/leaderTemplate", "spec/leaderWorkerTemplate/workerTemplate"},
		"JobSet":          {"spec/replicatedJobs/0/template/spec/template", "spec/replicatedJobs/1/template/spec/template"},
		"PyTorchJob":      {"spec/pytorchReplicaSpecs/Master/template", "spec/pytorchReplicaSpecs/Worker/template"},
	} {
		w, err := owner.Read(workload.Default(), manifest(t, kind))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, set := range w.Sets {
			got = append(got, strings.Join(set.TemplatePath, "/"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	if _, err := owner.Read(workload.Default(), &corev1.ConfigMap{}); !errors.Is(err, owner.ErrNoPods) {
		t.Errorf("error %v, want %v", err, owner.ErrNoPods)
	}
}

func TestTopFollowsEveryKind(t *testing.T) {
	rollout := manifest(t, "Rollout")
	rollout.SetNamespace("ns")
	lws := manifest(t, "LeaderWorkerSet")
	lws.SetNamespace("ns")
	for _, object := range []*unstructured.Unstructured{rollout, lws} {
		object.SetLabels(map[string]string{stowagev1alpha1.GroupLabel: "g"})
	}
	rs := build.ReplicaSet("ns", "web-1", "", 1, build.Pod("ns", ""))
	rs.OwnerReferences = build.Pod("ns", "").Owner("argoproj.io/v1alpha1", "Rollout", rollout.GetName()).Obj().OwnerReferences
	leaders := build.StatefulSet("ns", "serve", 1, build.Pod("ns", ""))
	leaders.OwnerReferences = build.Pod("ns", "").Owner("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", lws.GetName()).Obj().OwnerReferences
	leader := build.Pod("ns", "serve-0").Owner("apps/v1", "StatefulSet", "serve").Obj()
	workers := build.StatefulSet("ns", "serve-0", 1, build.Pod("ns", ""))
	workers.OwnerReferences = build.Pod("ns", "").Owner("v1", "Pod", "serve-0").Obj().OwnerReferences
	index := newMaker(rollout, lws, rs, leaders, leader, workers).Index()
	for want, pod := range map[string]*corev1.Pod{
		"Rollout/" + rollout.GetName():     build.Pod("ns", "web-1-a").Owner("apps/v1", "ReplicaSet", "web-1").Obj(),
		"LeaderWorkerSet/" + lws.GetName(): build.Pod("ns", "serve-0-1").Owner("apps/v1", "StatefulSet", "serve-0").Obj(),
		"ReplicaSet/gone":                  build.Pod("ns", "a").Owner("apps/v1", "ReplicaSet", "gone").Obj(),
		"Job/train":                        build.Pod("ns", "b").Owner("batch.volcano.sh/v1alpha1", "Job", "train").Obj(),
		"":                                 build.Pod("ns", "bare").Obj(),
	} {
		if got := index.Top(pod).String(); got != want {
			t.Errorf("pod %s: %q, want %q", pod.Name, got, want)
		}
	}
}
