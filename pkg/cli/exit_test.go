package cli_test

import (
	"errors"
	"io"
	"log"
	"os"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/stowage-dev/stowage/pkg/cli"
)

// What the libraries log of a failure, each in its way, is not beside the one line that we
// say of it.
func TestExecuteIsQuiet(t *testing.T) {
	failure := errors.New("the token has expired")
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	cmd := &cobra.Command{Use: "fail", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error {
		klog.ErrorS(failure, "Unexpected error when reading response body")
		klog.Warningf("watch ended: %v", failure)
		klog.FromContext(cmd.Context()).Error(failure, "Unexpected error when reading response body")
		runtime.HandleErrorWithContext(cmd.Context(), failure, "Failed")
		log.Print("Unsolicited response received on idle HTTP channel")
		return failure
	}}
	cmd.SetArgs([]string{})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	code := cli.Execute(cli.Env{IOStreams: streams}, cmd)
	klog.Flush()
	os.Stderr = stderr
	logged, err := io.ReadAll(closed(read, write))
	if err != nil {
		t.Fatal(err)
	}
	if code != cli.ExitError || len(logged) > 0 || errOut.String() != "error: the token has expired\n" {
		t.Errorf("exit code %d, %q, logged:\n%s", code, errOut, logged)
	}
}

// closed is r, once what is written to it has been closed.
func closed(r io.Reader, w io.Closer) io.Reader {
	_ = w.Close()
	return r
}
