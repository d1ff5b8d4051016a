// Command kubectl-taint_plan is `kubectl taint-plan`.
package main

import (
	"os"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/taintplan"
)

func main() {
	env := cli.NewEnv()
	os.Exit(cli.Execute(env, taintplan.NewCommand(env)))
}
