package snapshot_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// twoPods is the dump that every accepted form below stands for, as kubectl
// prints it.
const twoPods = `apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata:
    name: n1
  status:
    allocatable:
      cpu: "4"
- apiVersion: v1
  kind: Pod
  metadata:
    name: b
    namespace: default
  spec:
    containers:
    - name: main
      resources:
        requests:
          cpu: 500m
- apiVersion: v1
  kind: Pod
  metadata:
    name: a
    namespace: team
  spec:
    nodeName: n1
    containers: []
kind: List
metadata:
  resourceVersion: ""
`

const (
	nodeJSON = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"allocatable":{"cpu":"4"}}}`
	podBJSON = `{"metadata":{"name":"b"},"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"500m"}}}]}}`
	podAJSON = `{"metadata":{"name":"a","namespace":"team"},"spec":{"nodeName":"n1","containers":[]}}`
)

// typed adds apiVersion and kind to a pod without.
func typed(pod string) string { return `{"apiVersion":"v1","kind":"Pod",` + pod[1:] }

func TestReadForms(t *testing.T) {
	for name, dump := range map[string]string{
		"list":                    twoPods,
		"windows line ends":       strings.ReplaceAll(twoPods, "\n", "\r\n"),
		"byte order mark":         "\ufeff" + twoPods,
		"no final line end":       strings.TrimSpace(twoPods),
		"separators and comments": "# dump\n---\n\n---\n# a comment\n" + twoPods + "...\n---\n",
		"indented items":          strings.NewReplacer("\n  ", "\n    ", "\n- ", "\n  - ").Replace(strings.Replace(twoPods, "metadata:\n  resourceVersion: \"\"\n", "", 1)),
		"comments between items":  strings.ReplaceAll(twoPods, "\n- ", "\n# next\n\n- "),
		"marker on its own line":  strings.ReplaceAll(twoPods, "\n- apiVersion", "\n-\n  apiVersion"),
		"JSON list":               `{"apiVersion":"v1","kind":"List","items":[` + nodeJSON + "," + typed(podBJSON) + "," + typed(podAJSON) + `]}`,
		"JSON list, kind last":    `{"apiVersion":"v1","items":[` + nodeJSON + "," + typed(podBJSON) + "," + typed(podAJSON) + `],"kind":"List"}`,
		"indented JSON":           "\n  " + nodeJSON + "\n\n\t" + typed(podBJSON) + typed(podAJSON) + "\n",
		"typed list":              `{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[` + podBJSON + "," + podAJSON + "]}\n" + nodeJSON,
		"typed list, kind last":   `{"items":[` + podBJSON + "," + podAJSON + `],"apiVersion":"v1","kind":"PodList"}` + nodeJSON,
		"JSON array":              "[" + nodeJSON + "," + typed(podBJSON) + "," + typed(podAJSON) + "]",
		"JSON documents in YAML":  nodeJSON + "\n---\n" + typed(podBJSON) + "\n--- " + typed(podAJSON) + "\n---\n",
		"flow style in YAML":      "items: [" + nodeJSON + "," + typed(podBJSON) + "," + typed(podAJSON) + "]\nkind: List\napiVersion: v1\n",
		"flow style items":        "items:\n- " + nodeJSON + "\n- " + typed(podBJSON) + "\n- " + typed(podAJSON) + "\nkind: List\n",
		"YAML and JSON":           "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {allocatable: {cpu: 4}}\n---\n" + typed(podBJSON) + typed(podAJSON),
		"YAML typed list":         "apiVersion: v1\nkind: PodList\nitems:\n- " + podBJSON + "\n- " + podAJSON + "\n---\n" + nodeJSON,
		"empty lists between":     `{"kind":"PodList","apiVersion":"v1","items":null}{"kind":"List","apiVersion":"v1","items":[]}` + "\n---\n" + twoPods,
	} {
		t.Run(name, func(t *testing.T) {
			for form, data := range map[string][]byte{"plain": []byte(dump), "gzip": pack(t, dump)} {
				s, err := snapshot.Read("dump", bytes.NewReader(data))
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				checkTwoPods(t, s)
			}
		})
	}
}

func checkTwoPods(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	var got []string
	for _, p := range s.Pods {
		cpu := "none"
		for _, c := range p.Spec.Containers {
			cpu = c.Resources.Requests.Cpu().String()
		}
		got = append(got, fmt.Sprintf("%s/%s %s on %q", p.Namespace, p.Name, cpu, p.Spec.NodeName))
	}
	for _, n := range s.Nodes {
		got = append(got, fmt.Sprintf("%s %s", n.Name, n.Status.Allocatable.Cpu()))
	}
	want := []string{`default/b 500m on ""`, `team/a none on "n1"`, "n1 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects differ (-want +got):\n%s", diff)
	}
	if len(s.Ignored) != 0 {
		t.Errorf("Ignored = %v, want none", s.Ignored)
	}
}

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadErrors(t *testing.T) {
	badPod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"lots"}}}]}}`
	const hint = `expected Kubernetes objects in YAML or JSON, as "kubectl get ... -A -o yaml" prints them`
	for _, tc := range []struct{ name, dump, want string }{
		{"empty", "", "f: empty: " + hint},
		{"comments only", "# nothing\n---\n", "f: empty: " + hint},
		{"HTML", "<html><body>503</body></html>", "f: document 1: looks like HTML or XML: " + hint},
		{"binary", "\x7fELF\x02\x00\x00", "f: document 1: not text: " + hint},
		{"latin-1", "caf\xe9: 1\n", "f: document 1: not text: " + hint},
		{"prose", "Error from server (Forbidden)\n", "f: document 1: no object: " + hint},
		{"number", "12\n", "f: document 1: no object: " + hint},
		{"no kind", "a: b\n", "f: document 1: kind: required, every object of a dump names its kind"},
		{"no name", "kind: Pod\napiVersion: v1\n", "f: document 1: metadata.name: required, every object of a dump has a name"},
		{"items no list", `{"kind":"List","apiVersion":"v1","items":"a"}`, "f: document 1: items: expected a list"},
		{"item no object", `{"kind":"List","apiVersion":"v1","items":[1]}`, "f: document 1: items[0]: expected an object"},
		{"YAML item no object", "items:\n- a\nkind: List\n", "f: document 1: items[0]: expected an object"},
		{"bad YAML", "a: [b\n", "f: document 1: invalid YAML: line 1: did not find expected ',' or ']'"},
		{"bad YAML item", "items:\n- a: 1\n- a: [b\nkind: List\n", "f: document 1: items[1]: invalid YAML: line 1: did not find expected ',' or ']'"},
		{"bad YAML item of many", strings.Replace(twoPods, "name: b\n", "name: [b\n", 1), "f: document 1: items[1]: invalid YAML: line 4: did not find expected ',' or ']'"},
		{"truncated YAML item", "kind: List\nitems:\n- a: 1\n- a: 1\n  b: [c\n", "f: document 1: items[1]: invalid YAML: line 2: did not find expected ',' or ']'"},
		{"bad YAML after the items", "items:\n- a: 1\nkind: [List\n", "f: document 1: invalid YAML: line 3: did not find expected ',' or ']'"},
		{"bad JSON", `{"kind" "Pod"}`, "f: document 1: invalid JSON near byte 8: expected colon after object key"},
		{"truncated JSON", `{"kind":"List","apiVersion":"v1","items":[` + nodeJSON, "f: document 1: truncated: the file ends in the middle of an object"},
		{"truncated in an item", `{"kind":"List","apiVersion":"v1","items":[` + nodeJSON[:20], "f: document 1: truncated: the file ends in the middle of an object"},
		{"truncated YAML", twoPods[:strings.Index(twoPods, "kind: List")], "f: document 1: truncated: the list ends after 3 items without naming its kind"},
		{"third document", nodeJSON + nodeJSON + "\n---\n" + badPod,
			`f: document 3: spec.containers["main"].resources.requests.cpu: expected a quantity, such as 2, 500m or 4Gi, found "lots"`},
		{"item", `{"kind":"List","apiVersion":"v1","items":[` + nodeJSON + "," + badPod + "]}",
			`f: document 1: items[1]: spec.containers["main"].resources.requests.cpu: expected a quantity, such as 2, 500m or 4Gi, found "lots"`},
		{"wrong type", "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {nodeName: [n1]}\n", "f: document 1: spec.nodeName: expected a string, found array"},
		{"wrong type in a map", "kind: Pod\napiVersion: v1\nmetadata: {name: a, labels: {a.b/c: 1}}\n", `f: document 1: metadata.labels["a.b/c"]: expected a string, found number`},
		{"wrong type of an object", "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: none\n", "f: document 1: spec: expected an object, found string"},
		{"wrong time", "kind: Pod\napiVersion: v1\nmetadata: {name: a, creationTimestamp: today}\n",
			`f: document 1: metadata.creationTimestamp: parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := snapshot.Read("f", strings.NewReader(tc.dump))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error = %v\nwant    %s", err, tc.want)
			}
		})
	}
}

func TestReadTruncatedGzip(t *testing.T) {
	packed := pack(t, twoPods)
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"header", packed[:5], "f: truncated: the file ends in the middle of an object"},
		{"middle", packed[:len(packed)/2], "f: document 1: truncated: the file ends in the middle of an object"},
		{"checksum", append(bytes.Clone(packed[:len(packed)-8]), make([]byte, 8)...), "f: document 1: damaged: the gzip checksum does not match"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := snapshot.Read("f", bytes.NewReader(tc.data))
			if err == nil || err.Error() != tc.want {
				t.Errorf("error = %v\nwant    %s", err, tc.want)
			}
		})
	}
}

func TestReadIgnoresUnknownKinds(t *testing.T) {
	s, err := snapshot.Read("f", strings.NewReader(`
kind: Widget
apiVersion: example.com/v1
spec: {items: [1]}
---
kind: PodDisruptionBudget
apiVersion: policy/v1beta1
metadata: {name: old}
---
kind: WidgetList
apiVersion: example.com/v1
items:
- metadata: {name: a}
- metadata: {name: b}
---
kind: Endpoints
apiVersion: v1
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Widget.example.com": 3, "PodDisruptionBudget.policy/v1beta1": 1, "Endpoints": 1}
	if diff := cmp.Diff(want, s.Ignored); diff != "" {
		t.Errorf("Ignored differs (-want +got):\n%s", diff)
	}
}

func TestReadOlderVersions(t *testing.T) {
	s, err := snapshot.Read("f", strings.NewReader(`
kind: DeviceClass
apiVersion: resource.k8s.io/v1beta2
metadata: {name: gpu}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.DeviceClasses) != 1 || len(s.Ignored) != 0 {
		t.Errorf("DeviceClasses = %v, Ignored = %v, want one class read", s.DeviceClasses, s.Ignored)
	}
}

func TestReadLastOfDuplicatesWins(t *testing.T) {
	s, err := snapshot.Read("f", strings.NewReader(typed(podBJSON)+strings.Replace(typed(podBJSON), "500m", "2", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pods) != 1 || s.Pods[0].Spec.Containers[0].Resources.Requests.Cpu().String() != "2" {
		t.Errorf("Pods = %v, want the later one of the two", s.Pods)
	}
}

func TestReadPath(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := snapshot.ReadPath(dir, nil); err == nil || err.Error() != dir+": no .yaml, .yml, .json or .gz file in this folder" {
		t.Errorf("empty folder: error = %v", err)
	}
	write("nodes.json", nodeJSON)
	write("pods/a.yaml", typed(podAJSON))
	write("pods/b.yaml.gz", string(pack(t, typed(podBJSON))))
	write("README.md", "# not a dump")
	s, err := snapshot.ReadPath(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkTwoPods(t, s)

	write("pods/c.json", "{")
	want := filepath.Join(dir, "pods/c.json") + ": document 1: truncated: the file ends in the middle of an object"
	if _, err := snapshot.ReadPath(dir, nil); err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	if s, err = snapshot.ReadPath("-", strings.NewReader(twoPods)); err != nil {
		t.Fatal(err)
	}
	checkTwoPods(t, s)
	if _, err := snapshot.ReadPath(filepath.Join(dir, "none"), nil); !os.IsNotExist(err) {
		t.Errorf("missing file: error = %v", err)
	}
}

// TestReadLongLines reads lines longer than any buffer.
func TestReadLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<18)
	s, err := snapshot.Read("f", strings.NewReader("items:\n- kind: Pod\n  apiVersion: v1\n  metadata:\n    name: a\n  spec:\n    nodeName: "+long+"\nkind: List\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Pods[0].Spec.NodeName; got != long {
		t.Errorf("nodeName has %d bytes, want %d", len(got), len(long))
	}
}

// FuzzRead holds the reader to two promises: it never panics, and what it accepts
// survives writing and reading.
func FuzzRead(f *testing.F) {
	for _, dump := range []string{twoPods, nodeJSON + typed(podAJSON), "[" + nodeJSON + "]", "items: []\nkind: List\n", "--- {}\n", "- a\n", "{\"items\":[", "kind: PodList\nitems:\n- metadata: {name: a}\n"} {
		f.Add([]byte(dump))
	}
	f.Add([]byte(customs))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := snapshot.Read("f", bytes.NewReader(data))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		checkRoundTrip(t, s)
	})
}

func TestIndex(t *testing.T) {
	s, err := snapshot.Read("f", strings.NewReader(twoPods))
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Pod("team", "a"); p == nil || p.Name != "a" {
		t.Errorf("Pod(team, a) = %v", p)
	}
	if p := s.Pod("default", "a"); p != nil {
		t.Errorf("Pod(default, a) = %v, want nil", p)
	}
	if n := s.Node("n1"); n == nil {
		t.Error("Node(n1) = nil")
	}
	if got := s.PendingPods(""); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("PendingPods = %v, want b", got)
	}
	if !snapshot.Finished(&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}) {
		t.Error("a failed pod is not finished")
	}
}

// TestReadFurther reads objects of a kind that the table lacks for whom asks for it, and
// else those of a business group alone.
func TestReadFurther(t *testing.T) {
	const dump = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: free}\n---\n" +
		"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: tied, labels: {biz.group.resource.quota: nlp}}\n"
	labelled := snapshot.Labelled(schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}, "rollouts")
	every := labelled
	every.Label = ""
	for _, tc := range []struct {
		further []snapshot.Kind
		want    int
	}{{nil, 1}, {[]snapshot.Kind{labelled}, 1}, {[]snapshot.Kind{every}, 2}} {
		s, err := snapshot.Read("dump", strings.NewReader(dump), tc.further...)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Others) != tc.want {
			t.Errorf("%d further kinds: %d rollouts, want %d", len(tc.further), len(s.Others), tc.want)
		}
	}
}

// TestWith adds to a snapshot that others hold.
func TestWith(t *testing.T) {
	s := build.Snapshot(build.Pod("a", "b").Obj(), build.Pod("a", "d").Obj())
	with, err := s.With(build.Pod("a", "c").Obj(), build.Pod("a", "d").Label("app", "x").Obj(), build.PVC("a", "claim", "fast", "1Gi", ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pods) != 2 || len(s.PersistentVolumeClaims) != 0 || s.Pods[1].Labels["app"] != "" {
		t.Errorf("the snapshot has changed: %d pods, %d claims", len(s.Pods), len(s.PersistentVolumeClaims))
	}
	if len(with.Pods) != 3 || with.Pods[1].Name != "c" || with.Pods[2].Labels["app"] != "x" || with.Pods[0] != s.Pods[0] || len(with.PersistentVolumeClaims) != 1 {
		t.Errorf("With has %d pods and %d claims, want b, c, the new d and the claim", len(with.Pods), len(with.PersistentVolumeClaims))
	}
	if _, err := s.With(&metav1.PartialObjectMetadata{}); err == nil {
		t.Error("an object of no kind passes")
	}
}
