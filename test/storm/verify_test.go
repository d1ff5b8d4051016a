package storm

import (
	"bytes"
	"strings"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/quota"
)

// verify is `kubectl quota verify`: what it says has drifted.
func (s *storm) verify() {
	s.t.Helper()
	var out bytes.Buffer
	env := cli.NewEnv()
	env.IOStreams = genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}
	cmd := quota.NewCommand(env)
	cmd.SetArgs([]string{"verify", "--exit-code", "--kubeconfig=" + cluster.Kubeconfig()})
	if err := cmd.ExecuteContext(s.t.Context()); err != nil {
		s.t.Errorf("kubectl quota verify: %v\n%s", err, out.String())
	}
}
