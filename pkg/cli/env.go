package cli

import (
	"os"
	"strconv"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/utils/clock"

	"github.com/stowage-dev/stowage/pkg/print"
)

// minWidth is the least width that human output is laid out for, in cells, and
// the width where stdout is no terminal.
const minWidth = 80

// Env is what a command touches of the world around it. Tests replace all of it.
type Env struct {
	genericiooptions.IOStreams
	// Clock times out-of-cluster matters only (how often to look again); ages are
	// counted from the snapshot's own time.
	Clock clock.Clock
	// LookupEnv reads the environment, as os.LookupEnv.
	LookupEnv func(key string) (string, bool)
	// Config are the kubeconfig flags, and the getter of clients.
	Config *genericclioptions.ConfigFlags
}

// NewEnv returns the process's own environment.
func NewEnv() Env {
	return Env{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Clock:     clock.RealClock{},
		LookupEnv: os.LookupEnv,
		Config:    genericclioptions.NewConfigFlags(true).WithDiscoveryBurst(300).WithDiscoveryQPS(50),
	}
}

// Width is the width of human output on stdout, in cells: the terminal's, and
// no less than 80.
func (e Env) Width() int {
	if file, ok := e.Out.(*os.File); ok && printers.IsTerminal(file) {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return max(width, minWidth)
		}
	}
	return minWidth
}

// TableWidth is the width of tables on stdout that are not cut where nobody looks at
// them: the terminal's, what the environment's COLUMNS says, or 0 for no limit.
func (e Env) TableWidth() int {
	if file, ok := e.Out.(*os.File); ok && printers.IsTerminal(file) {
		return e.Width()
	}
	given, _ := e.LookupEnv("COLUMNS")
	width, err := strconv.Atoi(given)
	if err != nil || width <= 0 {
		return 0
	}
	return max(width, minWidth)
}

// Progress returns a progress line on stderr; it draws nothing where stderr is
// no terminal.
func (e Env) Progress() *print.Progress {
	if !printers.IsTerminal(e.ErrOut) || e.dumb() {
		return &print.Progress{}
	}
	return print.NewProgress(e.ErrOut)
}

// dumb says whether the terminal cannot move its cursor.
func (e Env) dumb() bool {
	name, _ := e.LookupEnv("TERM")
	return name == "dumb"
}
