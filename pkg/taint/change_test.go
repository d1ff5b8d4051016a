package taint

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

const (
	noSchedule     = corev1.TaintEffectNoSchedule
	preferNoSched  = corev1.TaintEffectPreferNoSchedule
	noExecuteTaint = corev1.TaintEffectNoExecute
)

func TestIsChange(t *testing.T) {
	for arg, want := range map[string]bool{
		"nodes": false, "gpu-1": false, "10.0.0.1": false, "": false,
		"a=b:NoSchedule": true, "a:NoSchedule": true, "a:NoSchedule-": true, "a-": true, "a=b": true, "-": true,
	} {
		if got := IsChange(arg); got != want {
			t.Errorf("IsChange(%q) = %t, want %t", arg, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	cases := []struct {
		name string
		args []string
		want Change
	}{
		{"each effect", []string{"a=b:NoSchedule", "a=b:PreferNoSchedule", "a=b:NoExecute"}, Change{Add: []corev1.Taint{
			{Key: "a", Value: "b", Effect: noSchedule}, {Key: "a", Value: "b", Effect: preferNoSched}, {Key: "a", Value: "b", Effect: noExecuteTaint}}}},
		{"no value", []string{"a:NoSchedule"}, Change{Add: []corev1.Taint{{Key: "a", Effect: noSchedule}}}},
		{"an empty value", []string{"a=:NoSchedule"}, Change{Add: []corev1.Taint{{Key: "a", Effect: noSchedule}}}},
		{"a prefix", []string{"example.com/gpu=a100:NoExecute"}, Change{Add: []corev1.Taint{{Key: "example.com/gpu", Value: "a100", Effect: noExecuteTaint}}}},
		{"remove a key", []string{"a-"}, Change{Remove: []report.TaintKey{{Key: "a"}}}},
		{"remove an effect", []string{"a:NoSchedule-"}, Change{Remove: []report.TaintKey{{Key: "a", Effect: noSchedule}}}},
		{"remove whatever the value", []string{"a=b:NoSchedule-"}, Change{Remove: []report.TaintKey{{Key: "a", Effect: noSchedule}}}},
		{"a key that ends in a dash but for one", []string{"a-b-"}, Change{Remove: []report.TaintKey{{Key: "a-b"}}}},
		{"set one effect, remove another", []string{"a:NoExecute", "a:NoSchedule-"}, Change{
			Add: []corev1.Taint{{Key: "a", Effect: noExecuteTaint}}, Remove: []report.TaintKey{{Key: "a", Effect: noSchedule}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const expected = ", expected KEY=VALUE:EFFECT, KEY:EFFECT, KEY:EFFECT- or KEY-"
	const name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
	cases := []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "at least one taint update is required"},
		{"no effect", []string{"a=b"}, "invalid taint spec: a=b" + expected},
		{"unknown effect", []string{"a=b:NoScheduel"}, `invalid taint effect: NoScheduel, unsupported taint effect; did you mean "NoSchedule"?`},
		{"an effect like none", []string{"a=b:Evict"}, "invalid taint effect: Evict, unsupported taint effect, expected NoSchedule, PreferNoSchedule, NoExecute"},
		{"an empty effect", []string{"a=b:"}, "invalid taint effect: , unsupported taint effect, expected NoSchedule, PreferNoSchedule, NoExecute"},
		{"an unknown effect to remove", []string{"a:NoExec-"}, "invalid taint effect: NoExec, unsupported taint effect, expected NoSchedule, PreferNoSchedule, NoExecute"},
		{"two effects", []string{"a=b:NoSchedule:NoExecute"}, "invalid taint spec: a=b:NoSchedule:NoExecute" + expected},
		{"two values", []string{"a=b=c:NoSchedule"}, "invalid taint spec: a=b=c:NoSchedule" + expected},
		{"a value to remove, without effect", []string{"a=b-"}, "invalid taint spec: a=b" + expected},
		{"a bad key", []string{"-a=b:NoSchedule"}, "invalid taint spec: -a=b:NoSchedule, " + name},
		{"a bad value", []string{"a=-:NoSchedule"}, "invalid taint spec: a=-:NoSchedule, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
		{"the same twice", []string{"a=b:NoSchedule", "a=c:NoSchedule"}, "duplicated taints with the same key and effect: a=c:NoSchedule"},
		{"set and remove", []string{"a=b:NoSchedule", "a:NoSchedule-"}, "can not both modify and remove the following taint(s) in the same command: a:NoSchedule"},
		{"set and remove the key", []string{"a=b:NoSchedule", "c:NoExecute", "a-", "c-"}, "can not both modify and remove the following taint(s) in the same command: a, c"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.args)
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApply(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
	gpu := corev1.Taint{Key: "gpu", Value: "a100", Effect: noSchedule, TimeAdded: &since}
	old := corev1.Taint{Key: "old", Effect: noExecuteTaint, TimeAdded: &since}
	cases := []struct {
		name      string
		before    []corev1.Taint
		args      []string
		overwrite bool
		want      []corev1.Taint
		err       string
	}{
		{name: "the new first", before: []corev1.Taint{gpu, old}, args: []string{"b:NoSchedule", "a=1:NoExecute"},
			want: []corev1.Taint{{Key: "b", Effect: noSchedule}, {Key: "a", Value: "1", Effect: noExecuteTaint}, gpu, old}},
		{name: "a key with another effect", before: []corev1.Taint{gpu}, args: []string{"gpu=a100:NoExecute"},
			want: []corev1.Taint{{Key: "gpu", Value: "a100", Effect: noExecuteTaint}, gpu}},
		{name: "already there", before: []corev1.Taint{gpu, old}, args: []string{"gpu=a100:NoSchedule", "new:NoSchedule", "old:NoExecute"},
			err: "node n already has gpu,old taint(s) with same effect(s) and --overwrite is false"},
		{name: "overwritten", before: []corev1.Taint{old, gpu}, args: []string{"gpu=h100:NoSchedule"}, overwrite: true,
			want: []corev1.Taint{{Key: "gpu", Value: "h100", Effect: noSchedule}, old}},
		{name: "overwritten by the same keeps its time", before: []corev1.Taint{old, gpu}, args: []string{"gpu=a100:NoSchedule"}, overwrite: true,
			want: []corev1.Taint{gpu, old}},
		{name: "removed by effect", before: []corev1.Taint{gpu, {Key: "gpu", Effect: noExecuteTaint}}, args: []string{"gpu:NoExecute-"},
			want: []corev1.Taint{gpu}},
		{name: "removed by key", before: []corev1.Taint{gpu, old, {Key: "gpu", Effect: noExecuteTaint}}, args: []string{"gpu-"},
			want: []corev1.Taint{old}},
		{name: "the last one removed", before: []corev1.Taint{gpu}, args: []string{"gpu-"}, want: []corev1.Taint{}},
		{name: "set one and remove another", before: []corev1.Taint{gpu, old}, args: []string{"new:NoExecute", "old-"},
			want: []corev1.Taint{{Key: "new", Effect: noExecuteTaint}, gpu}},
		{name: "not there", before: []corev1.Taint{gpu, old}, args: []string{"gup-"}, err: `node n: taint "gup" not found: there are gpu=a100:NoSchedule, old:NoExecute`},
		{name: "not with that effect", before: []corev1.Taint{gpu}, args: []string{"gpu:NoExecute-"}, err: `node n: taint "gpu:NoExecute" not found: there are gpu=a100:NoSchedule`},
		{name: "removed already", before: []corev1.Taint{gpu}, args: []string{"gpu-", "gpu:NoSchedule-"}, err: `node n: taint "gpu:NoSchedule" not found: there are none`},
		{name: "none to remove", args: []string{"gpu-"}, err: `node n: taint "gpu" not found: there are none`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			change, err := Parse(c.args)
			if err != nil {
				t.Fatal(err)
			}
			change.Overwrite = c.overwrite
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: c.before}}
			unchanged := node.DeepCopy()
			got, err := Apply(change, node)
			if text := message(err); text != c.err {
				t.Fatalf("error %q, want %q", text, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("taints (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(unchanged, node); diff != "" {
				t.Errorf("the node has changed (-want +got):\n%s", diff)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSame(t *testing.T) {
	since := metav1.Now()
	a, b := corev1.Taint{Key: "a", Value: "1", Effect: noSchedule}, corev1.Taint{Key: "b", Effect: noSchedule}
	aged, other, effect := a, a, a
	aged.TimeAdded, other.Value, effect.Effect = &since, "2", noExecuteTaint
	cases := []struct {
		name string
		a, b []corev1.Taint
		want bool
	}{
		{"none", nil, []corev1.Taint{}, true},
		{"another order and time", []corev1.Taint{a, b}, []corev1.Taint{b, aged}, true},
		{"fewer", []corev1.Taint{a, b}, []corev1.Taint{a}, false},
		{"more", []corev1.Taint{a}, []corev1.Taint{a, b}, false},
		{"another value", []corev1.Taint{a}, []corev1.Taint{other}, false},
		{"another effect", []corev1.Taint{a}, []corev1.Taint{effect}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Same(c.a, c.b); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func TestDifference(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"nothing":              {"a=1:NoExecute b:NoSchedule", "b:NoSchedule a=1:NoExecute", ""},
		"set":                  {"", "a=1:NoExecute b:NoSchedule", "a=1:NoExecute b:NoSchedule"},
		"removed":              {"a=1:NoExecute b:NoSchedule", "", "a:NoExecute- b:NoSchedule-"},
		"another value":        {"a=1:NoExecute", "a=2:NoExecute", "a=2:NoExecute"},
		"another effect":       {"a=1:NoExecute", "a=1:NoSchedule", "a=1:NoSchedule a:NoExecute-"},
		"set, removed, beside": {"a:NoExecute x:NoSchedule", "x:NoSchedule b:NoExecute", "b:NoExecute a:NoExecute-"},
	} {
		t.Run(name, func(t *testing.T) {
			from, _ := Parse(strings.Fields(test.from)) // no taints are no change
			to, _ := Parse(strings.Fields(test.to))
			if got := strings.Join(Difference(from.Add, to.Add), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
