package rig

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/stowage-dev/stowage/pkg/manager"
	"github.com/stowage-dev/stowage/test/lab"
)

// clockEnv makes the test binary a manager, with the clock that it holds.
const clockEnv = "STOWAGE_RIG_MANAGER_CLOCK"

// Main is the body of a TestMain as lab.Main, in a lab whose controllers each have their own identity, as they
// have in a cluster: the component tells by it whose word on an owner counts (LabOptions). The test binary may also
// have been started as a manager; then it is one.
func Main(m *testing.M, l **lab.Lab, opts lab.Options) {
	if text, ok := os.LookupEnv(clockEnv); ok {
		os.Exit(runManager(text))
	}
	opts = LabOptions(opts)
	args := opts.ExtraArgs[lab.ControllerManager]
	if args["horizontal-pod-autoscaler-sync-period"] == "" {
		args["horizontal-pod-autoscaler-sync-period"] = "1s" // so that a test need not wait for 15 s
	}
	lab.Main(m, l, opts)
}

// LabOptions are opts of a lab that the component can run beside: its controllers each have their own identity.
func LabOptions(opts lab.Options) lab.Options {
	args := map[lab.Component]map[string]string{}
	maps.Copy(args, opts.ExtraArgs)
	args[lab.ControllerManager] = map[string]string{"use-service-account-credentials": "true"}
	maps.Copy(args[lab.ControllerManager], opts.ExtraArgs[lab.ControllerManager])
	opts.ExtraArgs = args
	return opts
}

// runManager is cmd/stowage-manager with a clock of ours.
func runManager(clockText string) (code int) {
	env := manager.NewEnv()
	var clock Clock
	if err := clock.UnmarshalText([]byte(clockText)); err != nil {
		fmt.Fprintln(env.ErrOut, "error:", err)
		return 1
	}
	env.Clock = scaled{Clock: clock}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := manager.NewCommand(env).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(env.ErrOut, "error:", err)
		return 1
	}
	return 0
}
