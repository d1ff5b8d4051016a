package taint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest/fake"
	kubectltaint "k8s.io/kubectl/pkg/cmd/taint"
	cmdtesting "k8s.io/kubectl/pkg/cmd/testing"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/scheme"
	"pgregory.net/rapid"
)

// TestAgreesWithKubectl runs the command kubectl taint itself on the same node with
// the same arguments.
func TestAgreesWithKubectl(t *testing.T) {
	part := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	argument := rapid.Custom(func(t *rapid.T) string {
		return part("a", "b", "a", "b", "a", "b", "example.com/a", "example.com/a", "", "?").Draw(t, "key") +
			part("", "", "", "=1", "=1", "=2", "=", "=1=2", "=?").Draw(t, "value") +
			part(":NoSchedule", ":NoExecute", ":PreferNoSchedule", ":NoSchedule", ":NoExecute", ":PreferNoSchedule", ":Never", ":", "", "").Draw(t, "effect") +
			part("", "", "-").Draw(t, "removal")
	})
	taints := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) corev1.Taint {
		return corev1.Taint{
			Key:    part("a", "b", "example.com/a").Draw(t, "key"),
			Value:  part("", "1").Draw(t, "value"),
			Effect: rapid.SampledFrom(effects).Draw(t, "effect"),
		}
	}), 0, 4, func(taint corev1.Taint) string { return taint.Key + string(taint.Effect) })
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: taints.Draw(t, "taints")}}
		args := rapid.SliceOfN(argument.Filter(IsChange), 1, 3).Draw(t, "args")
		overwrite := rapid.Bool().Draw(t, "overwrite")
		want, wantErr := kubectl(node, args, overwrite)
		change, err := Parse(args)
		var got []corev1.Taint
		if err == nil {
			change.Overwrite = overwrite
			got, err = Apply(change, node)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, kubectl says %v", err, wantErr)
		}
		if wantErr != nil {
			return
		}
		changed++
		if diff := cmp.Diff(append([]corev1.Taint{}, want...), got); diff != "" {
			t.Errorf("taints (-kubectl +got):\n%s", diff)
		}
	})
	if changed == 0 && !testing.Short() { // -short draws a fifth of the cases
		t.Error("no arguments were valid")
	}
}

// kubectl is what kubectl taint would leave on the node.
func kubectl(node *corev1.Node, args []string, overwrite bool) (taints []corev1.Taint, err error) {
	factory := cmdtesting.NewTestFactory()
	defer factory.Cleanup()
	codec := scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion)
	factory.ClientConfigVal = cmdtesting.DefaultClientConfig()
	factory.Client = &fake.RESTClient{
		NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
		GroupVersion:         corev1.SchemeGroupVersion,
		Client: fake.CreateHTTPClient(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: cmdtesting.DefaultHeader(), Body: cmdtesting.ObjBody(codec, node)}, nil
		}),
	}
	// A command of kubectl ends the process on an error, or does what it is told here.
	cmdutil.BehaviorOnFatal(func(message string, _ int) { panic(errors.New(message)) })
	defer cmdutil.DefaultBehaviorOnFatal()
	defer func() {
		if fatal := recover(); fatal != nil {
			err = fatal.(error)
		}
	}()
	var out bytes.Buffer
	command := kubectltaint.NewCmdTaint(factory, genericiooptions.IOStreams{Out: &out, ErrOut: &bytes.Buffer{}})
	command.SetArgs(append([]string{"--dry-run=client", "--output=json", fmt.Sprintf("--overwrite=%t", overwrite), "--", "node", "n"}, args...))
	if err := command.Execute(); err != nil {
		return nil, err
	}
	var after corev1.Node
	if err := json.Unmarshal(out.Bytes(), &after); err != nil {
		return nil, err
	}
	return after.Spec.Taints, nil
}
