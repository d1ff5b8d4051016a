package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

const (
	podText     = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
	rolloutText = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r, namespace: web}\n"
	claimText   = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\n"
	widgetText  = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n"
)

// files are files of a folder, by path.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for path, text := range texts {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// read reads with stdin, and returns what each object is and what stderr has.
func read(options resource.FilenameOptions, stdin string) (objects []string, stderr string, err error) {
	streams, in, _, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	manifests, err := cli.ManifestReader{
		Files: options, Workloads: workload.Default(), Namespace: "nlp", Ignored: "not wanted",
		Also: func(kind snapshot.Kind) bool { return kind.Kind == "PersistentVolumeClaim" },
	}.Read(cli.Env{IOStreams: streams})
	for _, manifest := range manifests {
		kind := "no workload"
		if manifest.Workload != nil {
			kind = manifest.Workload.Kind
		}
		objects = append(objects, fmt.Sprintf("%T %s/%s %s", manifest.Object, manifest.Object.GetNamespace(), manifest.Object.GetName(), kind))
	}
	return objects, errOut.String(), err
}

// TestReadManifests reads from everywhere that kubectl reads from.
func TestReadManifests(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, podText) }))
	defer server.Close()
	folder := files(t, map[string]string{
		"a.yaml":         podText + "---\n" + rolloutText + "---\n" + claimText,
		"list.json":      `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "listed"}}]}`,
		"notes.txt":      "none of kubectl's",
		"deeper/b.yaml":  widgetText + "---\n" + podText,
		"deeper/b2.yaml": "",
	})
	nested := files(t, map[string]string{"lists.json": `{"apiVersion": "v1", "kind": "List", "items": [
		{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "listed"}}]},
		{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]}`})
	const (
		pod     = "*v1.Pod nlp/p Pod"
		listed  = "*v1.Pod nlp/listed Pod"
		rollout = "*unstructured.Unstructured web/r Rollout"
		claim   = "*v1.PersistentVolumeClaim nlp/c no workload"
	)
	for name, tc := range map[string]struct {
		options resource.FilenameOptions
		want    []string
		stderr  string
	}{
		"several documents": {resource.FilenameOptions{Filenames: []string{filepath.Join(folder, "a.yaml")}}, []string{pod, rollout, claim}, ""},
		"a list in JSON":    {resource.FilenameOptions{Filenames: []string{filepath.Join(folder, "list.json")}}, []string{listed}, ""},
		"lists in a list":   {resource.FilenameOptions{Filenames: []string{filepath.Join(nested, "lists.json")}}, []string{listed, pod}, ""},
		"a folder":          {resource.FilenameOptions{Filenames: []string{folder}}, []string{pod, rollout, claim, listed}, ""},
		"a folder and those below": {resource.FilenameOptions{Filenames: []string{folder}, Recursive: true}, []string{pod, rollout, claim, pod, listed},
			"Warning: " + folder + "/deeper/b.yaml: Widget.example.com \"w\" is ignored: not wanted\n"},
		"stdin and a file": {resource.FilenameOptions{Filenames: []string{"-", filepath.Join(folder, "list.json")}}, []string{rollout, listed}, ""},
		"a URL":            {resource.FilenameOptions{Filenames: []string{server.URL + "/pod.yaml"}}, []string{pod}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, stderr, err := read(tc.options, rolloutText)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("objects differ (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.stderr, stderr); diff != "" {
				t.Errorf("stderr differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadManifestsVersions reads a workload in any version of its kind.
func TestReadManifestsVersions(t *testing.T) {
	for version, want := range map[string]string{
		"v1": "", "v2beta1": "", "v3": `apiVersion "kubeflow.org/v3", expected "kubeflow.org/v1" or "kubeflow.org/v2beta1"`,
	} {
		text := "apiVersion: kubeflow.org/" + version + "\nkind: MPIJob\nmetadata: {name: m}\n"
		objects, _, err := read(resource.FilenameOptions{Filenames: []string{"-"}}, text)
		switch {
		case want == "" && (err != nil || len(objects) != 1):
			t.Errorf("%s: got %v, %v, want the job", version, objects, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)):
			t.Errorf("%s: got %v, want %s", version, err, want)
		}
	}
}

// TestReadManifestsRefuses names the file and the object of each mistake.
func TestReadManifestsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		podText + "---\n" + "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nspec: {nodeSelectors: {}}\n":     `FILE: Pod "q": strict decoding error: unknown field "spec.nodeSelectors"`,
		"apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: d}\n":                                   `FILE: Deployment "d": apiVersion "apps/v1beta1", expected "apps/v1"`,
		"apiVersion: argoproj.io/v1\nkind: Rollout\nmetadata: {name: r}\n":                                    `FILE: Rollout "r": apiVersion "argoproj.io/v1", expected "argoproj.io/v1alpha1"`,
		"apiVersion: v1\nmetadata: {name: d}\n":                                                               `unable to decode "FILE": Object 'Kind' is missing in '{"apiVersion":"v1","metadata":{"name":"d"}}'`,
		"apiVersion: v1\nkind: List\nitems: [null]\n":                                                         `FILE: items[0]: expected an object of a kind, found none`,
		"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: [{metadata: {name: x}}]}]\n": `FILE: items[0]: items[0]: expected an object of a kind, found none`,
		podText + "spec: {containers: [{name: c, resources: {requests: {cpu: 1core}}}]}\n":                    `FILE: Pod "p": spec.containers["c"].resources.requests.cpu: expected a quantity, such as 2, 500m or 4Gi, found "1core"`,
		podText + "spec: {containers: {name: c}}\n":                                                           `FILE: Pod "p": spec.containers: expected a list, found object`,
		podText + "---\na: b: c\n":                                                                            `error parsing FILE: error converting YAML to JSON: yaml: mapping values are not allowed in this context`,
	} {
		file := filepath.Join(files(t, map[string]string{"f.yaml": text}), "f.yaml")
		_, _, err := read(resource.FilenameOptions{Filenames: []string{file}}, "")
		if err == nil {
			t.Errorf("%q passes", text)
			continue
		}
		if diff := cmp.Diff(want, strings.ReplaceAll(err.Error(), file, "FILE")); diff != "" {
			t.Error(diff)
		}
	}
}
