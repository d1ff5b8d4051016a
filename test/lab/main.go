package lab

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// Main is the body of a TestMain: it starts a lab, sets *l to it, runs the tests, ends the lab and exits.
func Main(m *testing.M, l **Lab, opts Options) {
	os.Exit(run(m, l, opts))
}

// run is Main with a return, so that the lab is closed before the process exits.
func run(m *testing.M, l **Lab, opts Options) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	started, err := Start(ctx, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stop() // from here a signal kills the process, and with it the lab
	defer func() {
		if err := started.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	*l = started
	return m.Run()
}
