package lab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// Main is the body of a TestMain: it waits for its turn, starts a lab, sets *l to it, runs the tests, ends the lab
// and exits. With -short it starts nothing and *l stays nil; the tests that use it call Needed first.
func Main(m *testing.M, l **Lab, opts Options) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	os.Exit(run(m, l, opts))
}

// run is Main with a return, so that the lab is closed before the process exits.
func run(m *testing.M, l **Lab, opts Options) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done, err := turn(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer done()
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

// Needed skips a test that uses a lab when -short asks to do without.
func Needed(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, which -short asks to do without")
	}
}

// New starts a lab of one test's own, which ends with the test: for a package without Main.
func New(t testing.TB, opts Options) *Lab {
	t.Helper()
	Alone(t)
	l, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Alone waits for the turn of a test that starts a lab by other means than New, and keeps it until the test ends.
func Alone(t testing.TB) {
	t.Helper()
	Needed(t)
	done, err := turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
}

// turn waits until no other test of this user has a lab: go test runs as many packages at once as there are cores,
// and a control plane alone keeps more than one core busy.
func turn(ctx context.Context) (done func(), err error) {
	return lockFile(ctx, "turn.lock")
}
