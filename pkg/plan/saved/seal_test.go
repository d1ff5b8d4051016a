package saved_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// sealed is a plan with something in every field that is special to write.
func sealed(t *testing.T) *report.TaintPlan {
	t.Helper()
	old := build.Taint("old:NoExecute")
	old.TimeAdded = &metav1.Time{Time: time.Date(2026, 5, 1, 12, 0, 0, 0, time.FixedZone("", 7200))}
	p := &report.TaintPlan{
		Cluster:       "0a1b",
		ServerVersion: "v1.37.1",
		TakenAt:       metav1.Date(2026, 5, 2, 8, 30, 0, 0, time.UTC),
		Change:        report.TaintChange{Add: []corev1.Taint{build.Taint("a=b:NoExecute")}},
		Nodes: []report.TaintedNode{{
			Name: "n1", UID: "n1", Wave: 1,
			Before: []corev1.Taint{old}, After: []corev1.Taint{build.Taint("a=b:NoExecute"), old},
		}},
		Evictions: []report.Eviction{{Namespace: "nlp", Name: "web-0", Node: "n1", Wave: 1, AfterSeconds: 30, Marks: []report.Mark{report.MarkBare}}},
		Stranded:  []report.StrandedPod{},
		Waves:     [][]string{{"n1"}},
		Unknown:   []report.Unknown{{Resource: "nodes", Text: "nothing: \"quoted\""}},
	}
	if err := saved.Seal(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func toYAML(t *testing.T, p *report.TaintPlan) string {
	t.Helper()
	data, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReadGivesBackWhatWasSealed(t *testing.T) {
	p := sealed(t)
	asJSON, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"YAML": toYAML(t, p), "JSON": string(asJSON), "YAML with a comment": "# why\n" + toYAML(t, p)} {
		t.Run(name, func(t *testing.T) {
			got, err := saved.Read("plan.yaml", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("read (-sealed +read):\n%s", diff)
			}
		})
	}
}

func TestSealLeavesDriftOut(t *testing.T) {
	p := sealed(t)
	p.Drift = []report.Drift{{Object: "node/n1"}}
	if _, err := saved.Read("plan.yaml", strings.NewReader(toYAML(t, p))); err != nil {
		t.Errorf("a plan with its drift: %v", err)
	}
}

// An older plan, without a summary and fates, can be undone, and not be applied.
func TestReadOlder(t *testing.T) {
	for _, name := range []string{"older.yaml", "older-unknown.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := saved.Read("plan.yaml", bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "summary is missing") {
			t.Errorf("%s: error %v, want that it has no summary", name, err)
		}
		p, err := saved.ReadToUndo("plan.yaml", bytes.NewReader(data))
		if err != nil || len(p.Nodes) != 1 || len(p.Nodes[0].After) != 1 {
			t.Errorf("%s: %+v, error %v, want its node", name, p, err)
		}
		edited := bytes.Replace(data, []byte("key: x"), []byte("key: z"), 1)
		if _, err := saved.ReadToUndo("plan.yaml", bytes.NewReader(edited)); err == nil || !strings.Contains(err.Error(), "it was edited") {
			t.Errorf("%s: error %v, want that it was edited", name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	text := toYAML(t, sealed(t))
	edit := func(old, with string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the plan has no %q:\n%s", old, text)
		}
		return strings.Replace(text, old, with, 1)
	}
	const hint = `expected a plan, as "kubectl taint-plan --out" writes it`
	for name, test := range map[string]struct{ text, want string }{
		"an empty file":    {"", "plan.yaml: kind \"\": " + hint},
		"no object":        {"- a\n", "plan.yaml: " + hint},
		"no YAML":          {"a: [", hint},
		"another kind":     {edit("kind: TaintPlan", "kind: PendingReport"), `plan.yaml: kind "PendingReport": ` + hint},
		"another version":  {edit("/v1alpha1", "/v1"), `plan.yaml: apiVersion "report.stowage.dev/v1": expected "report.stowage.dev/v1alpha1"; make the plan again with this version of the command`},
		"no summary":       {"apiVersion: report.stowage.dev/v1alpha1\nkind: TaintPlan\nchecksum: sha256:00\nunknown: [a line]\n", "plan.yaml: summary is missing: the plan was made by another version of the command"},
		"an unknown field": {edit("evictions:", "evicted:"), `plan.yaml: unknown field "evicted": ` + hint},
		"a repeated field": {text + "cluster: b\n", `"cluster"`},
		"a wrong type":     {edit("afterSeconds: 30", "afterSeconds: soon"), `evictions.afterSeconds`},
		"no checksum":      {edit("checksum: ", "# "), "plan.yaml: checksum is empty: " + hint},
		"an edited node":   {edit("- n1", "- n2"), "it was edited after it was saved; make the plan again"},
		"an edited taint":  {edit("value: b", "value: c"), "it was edited after it was saved"},
		"an edited time":   {edit("afterSeconds: 30", "afterSeconds: 3"), "it was edited after it was saved"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := saved.Read("plan.yaml", strings.NewReader(test.text))
			if err == nil {
				t.Fatal("read without an error")
			}
			if got := err.Error(); !strings.Contains(got, test.want) || !strings.HasPrefix(got, "plan.yaml: ") || strings.Contains(got, "\n") {
				t.Errorf("got %q, want one line with %q", got, test.want)
			}
		})
	}
}

func TestReadNamesTheFileThatCannotBeRead(t *testing.T) {
	_, err := saved.Read("plan.yaml", iotest.ErrReader(errors.New("is a directory")))
	if err == nil || err.Error() != "plan.yaml: is a directory" {
		t.Errorf("got %v, want the file and the cause", err)
	}
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		cluster types.UID
		version string
		want    string
	}{
		"the same":           {"0a1b", "v1.37.1", ""},
		"another patch":      {"0a1b", "v1.37.4-gke.100", ""},
		"both unknown":       {"", "", ""},
		"another cluster":    {"9f", "v1.37.1", `cluster: the plan is for the cluster whose namespace kube-system has the UID "0a1b", and this one's has "9f"; check --context`},
		"another minor":      {"0a1b", "v1.38.0", "serverVersion: the plan is for v1.37.1, and the server is v1.38.0; make the plan again"},
		"no version at all":  {"0a1b", "master", `the server's version: could not parse "master" as version`},
		"only version known": {"", "v1.36.0", "serverVersion: the plan is for v1.37.1, and the server is v1.36.0; make the plan again"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := saved.Check(sealed(t), test.cluster, test.version); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCheckUnknownCluster checks that a plan of no known cluster knows its nodes.
func TestCheckUnknownCluster(t *testing.T) {
	p := &report.TaintPlan{Nodes: []report.TaintedNode{{Name: "a", UID: "a-1"}, {Name: "b"}}}
	const want = "nodes[1].uid: node b has none, and without it or the UID of the namespace kube-system nothing tells that the plan is for this cluster; make the plan again, from the cluster or a dump that has them"
	for _, clusters := range [][2]types.UID{{"", "9f"}, {"9f", ""}, {"", ""}} {
		p.Cluster = clusters[0]
		if err := saved.Check(p, clusters[1], ""); err == nil || err.Error() != want {
			t.Errorf("plan of %q on %q: got %v, want %q", clusters[0], clusters[1], err, want)
		}
	}
	p.Cluster = "9f"
	if err := saved.Check(p, "9f", ""); err != nil {
		t.Error("its own cluster:", err)
	}
	p.Cluster, p.Nodes[1].UID = "", "b-1"
	if err := saved.Check(p, "9f", ""); err != nil {
		t.Error("nodes that are known:", err)
	}
}
