// Command kubectl-taint_plan is `kubectl taint-plan`.
package main

import (
	"os"
	"runtime/debug"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/taintplan"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // a plan ends with the process, and makes much garbage beside a heap as large as the cluster
	}
	env := cli.NewEnv()
	os.Exit(cli.Execute(env, taintplan.NewCommand(env)))
}
