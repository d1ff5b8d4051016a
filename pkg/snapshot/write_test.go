package snapshot_test

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

func formats() []snapshot.Format {
	return []snapshot.Format{{}, {JSON: true}, {Gzip: true}, {JSON: true, Gzip: true}}
}

// checkRoundTrip writes, reads and writes again.
func checkRoundTrip(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	for _, format := range formats() {
		first := written(t, s, format)
		again, err := snapshot.Read(s.Source, bytes.NewReader(first))
		if err != nil {
			t.Fatalf("%+v: %v\n%s", format, err, first)
		}
		for _, k := range snapshot.Kinds() {
			if !equality.Semantic.DeepEqual(k.Objects(s), k.Objects(again)) {
				t.Errorf("%v %s", k, cmp.Diff(k.Objects(s), k.Objects(again)))
			}
		}
		if !equality.Semantic.DeepEqual(s, again) {
			t.Fatalf("%+v: read back another snapshot:\n%s", format, cmp.Diff(string(first), string(written(t, again, format))))
		}
		if second := written(t, again, format); !bytes.Equal(first, second) {
			t.Fatalf("%+v: written twice, differs (-first +second):\n%s", format, cmp.Diff(string(first), string(second)))
		}
	}
}

func written(t *testing.T, s *snapshot.Snapshot, format snapshot.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := snapshot.Write(&b, s, format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTripEmpty(t *testing.T) {
	checkRoundTrip(t, &snapshot.Snapshot{Source: "empty"})
}

func TestRoundTripInfo(t *testing.T) {
	checkRoundTrip(t, &snapshot.Snapshot{
		Source:        "cluster",
		ServerVersion: "v1.37.1",
		TakenAt:       build.Epoch,
		Ignored:       map[string]int{"Widget.example.com": 3},
		Missing:       []snapshot.Missing{{Resource: "nodes", Reason: "forbidden"}},
	})
}

// TestRoundTripRandom fills objects of every kind with random values.
func TestRoundTripRandom(t *testing.T) {
	for seed := range int64(20) {
		filler := newFiller(seed)
		s := &snapshot.Snapshot{Source: "random"}
		for _, k := range snapshot.Kinds() {
			o := k.New()
			if u, ok := o.(*unstructured.Unstructured); ok {
				u.SetGroupVersionKind(k.GroupVersionKind)
			} else {
				filler.Fill(o)
			}
			o.SetName("name")
			o.SetNamespace("")
			if k.Namespaced {
				o.SetNamespace("default")
			}
			k.Add(s, o)
		}
		s.Sort()
		checkRoundTrip(t, s)
	}
}

// newFiller fills objects with random values that the API's types can hold.
func newFiller(seed int64) *randfill.Filler {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), serializer.NewCodecFactory(scheme))
}

// TestKindsCoverSnapshot finds a list of Snapshot that the table of kinds forgot.
func TestKindsCoverSnapshot(t *testing.T) {
	s := &snapshot.Snapshot{}
	for _, k := range snapshot.Kinds() {
		o := k.New()
		switch o := o.(type) {
		case *unstructured.Unstructured:
			o.SetGroupVersionKind(k.GroupVersionKind)
		case *corev1.Event:
			o.Reason = "FailedScheduling"
		case *corev1.ConfigMap:
			o.Namespace, o.Name = snapshot.AutoscalerStatusNamespace, snapshot.AutoscalerStatusName
		}
		k.Add(s, o)
		if got := k.Objects(s); len(got) != 1 || got[0] != o {
			t.Errorf("%s: Objects after Add = %v", k.GroupResource(), got)
		}
	}
	v := reflect.ValueOf(*s)
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Pointer && field.Len() == 0 {
			t.Errorf("no kind adds to %s", v.Type().Field(i).Name)
		}
	}
}

// TestReduceTwice reduces what is reduced.
func TestReduceTwice(t *testing.T) {
	filler := newFiller(1)
	for _, k := range snapshot.Kinds() {
		if !k.Typed() {
			continue
		}
		for range 20 {
			once := k.New()
			filler.Fill(once)
			k.Reduce(once)
			twice := once.DeepCopyObject().(snapshot.Object)
			k.Reduce(twice)
			if !reflect.DeepEqual(once, twice) {
				t.Errorf("%s: reducing twice changes it again:\n%s", k.Kind, cmp.Diff(once, twice))
			}
		}
	}
}

// TestWriteYAMLEqualsJSON reads the YAML that Write makes by the YAML library.
func TestWriteYAMLEqualsJSON(t *testing.T) {
	odd := []string{"", "~", "null", "yes", "1", "1e3", "0x1", "a: b", "- a", "#", "a #b", "two\nlines\n", "tab\t", "\u00e9\u2028\u0085\ufeff\x7f\x01", "\U0001f6a2", "'\"\\", "2026-01-01", "=", "<<", " a ", "a:", "{}", "[", "%", "@", "`", "!a", "&a", "*a", "|", ">", "?", "-", "---"}
	node := build.Node("n").With(func(n *corev1.Node) {
		n.Annotations = map[string]string{}
		for _, text := range odd {
			if text != "<<" { // No key of Kubernetes; the library takes it for a merge.
				n.Annotations[text] = text
			}
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: text, Value: text})
		}
	}).Obj()
	s := build.Snapshot(node)
	checkRoundTrip(t, s)
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(written(t, s, snapshot.Format{}), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written(t, s, snapshot.Format{JSON: true}), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("YAML differs from JSON (-JSON +YAML):\n%s", diff)
	}
}

func TestWriteLayout(t *testing.T) {
	s := build.Snapshot(build.Namespace("team", "tier=1"), build.PriorityClass("high", 1000))
	s.TakenAt = build.Epoch
	const want = `apiVersion: v1
items:
- apiVersion: report.stowage.dev/v1alpha1
  kind: SnapshotInfo
  takenAt: "2026-01-01T00:00:00Z"
- apiVersion: v1
  kind: Namespace
  metadata:
    creationTimestamp: "2026-01-01T00:00:00Z"
    labels:
      kubernetes.io/metadata.name: team
      tier: "1"
    name: team
    uid: team
  spec: {}
  status:
    phase: Active
- apiVersion: scheduling.k8s.io/v1
  kind: PriorityClass
  metadata:
    creationTimestamp: "2026-01-01T00:00:00Z"
    name: high
    uid: high
  value: 1000
kind: List
metadata:
  resourceVersion: ""
`
	if diff := cmp.Diff(want, string(written(t, s, snapshot.Format{}))); diff != "" {
		t.Errorf("layout differs (-want +got):\n%s", diff)
	}
}

func TestReducePod(t *testing.T) {
	pod := build.Pod("ns", "p").Request("cpu=1").With(func(p *corev1.Pod) {
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
		p.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "long": strings.Repeat("x", 1<<12), "kept": "yes"}
		c := &p.Spec.Containers[0]
		c.Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}}
		c.Args = []string{"--token=secret"}
		p.Spec.Volumes = []corev1.Volume{
			{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
		}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled}, {Type: corev1.PodInitialized}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "plain"}, {Name: "resized", ImageID: "x", AllocatedResources: build.Resources("cpu=2")}}
	}).Obj()
	want := build.Pod("ns", "p").Request("cpu=1").PVC("data").With(func(p *corev1.Pod) {
		p.Annotations = map[string]string{"kept": "yes"}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "resized", AllocatedResources: build.Resources("cpu=2")}}
	}).Obj()
	s := build.Snapshot(pod)
	if diff := cmp.Diff(want, s.Pods[0]); diff != "" {
		t.Errorf("reduced pod differs (-want +got):\n%s", diff)
	}
}

func TestReduceKeepsWhatExplains(t *testing.T) {
	s := build.Snapshot(
		build.Event("ns", "a", "Pod", "p", "FailedScheduling", "0/1 nodes are available"),
		build.Event("ns", "b", "Pod", "p", "Pulled", "Container image already present"),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cluster-autoscaler-status"}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "settings"}},
	)
	if len(s.Events) != 1 || s.Events[0].Name != "a" {
		t.Errorf("Events = %v, want the one of the scheduler", s.Events)
	}
	if len(s.ConfigMaps) != 1 || s.ConfigMaps[0].Name != "cluster-autoscaler-status" {
		t.Errorf("ConfigMaps = %v, want cluster-autoscaler's", s.ConfigMaps)
	}
}

func TestRedact(t *testing.T) {
	secret := func(p *corev1.Pod) { p.Annotations = map[string]string{"owner": "secret"} }
	class := build.StorageClass("fast", "csi.example.com", "Immediate")
	class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true", "note": "secret"}
	s := build.Snapshot(
		class,
		build.Pod("ns", "p").Init("cpu=1").With(secret).Obj(),
		build.Deployment("ns", "d", 1, build.Pod("ns", "p").With(secret)),
	)
	before := written(t, s, snapshot.Format{})
	redacted := written(t, snapshot.Redact(s), snapshot.Format{})
	for _, word := range []string{"secret", "example.com/main", "example.com/init"} {
		if bytes.Contains(redacted, []byte(word)) {
			t.Errorf("%q is still there:\n%s", word, redacted)
		}
	}
	if !bytes.Contains(redacted, []byte(`storageclass.kubernetes.io/is-default-class: "true"`)) {
		t.Errorf("the default storage class is lost:\n%s", redacted)
	}
	if !bytes.Equal(before, written(t, s, snapshot.Format{})) {
		t.Error("Redact changed its argument")
	}
}

func TestNow(t *testing.T) {
	later := metav1.NewTime(build.Epoch.Add(3600e9))
	event := build.Event("ns", "e", "Pod", "p", "FailedScheduling", "")
	event.LastTimestamp = later
	s := build.Snapshot(build.Node("n").Obj(), event)
	if got := s.Now(); !got.Equal(&later) {
		t.Errorf("Now = %v, want the event's %v", got, later)
	}
	s.TakenAt = build.Epoch
	if got := s.Now(); !got.Equal(&build.Epoch) {
		t.Errorf("Now = %v, want TakenAt %v", got, build.Epoch)
	}
}
