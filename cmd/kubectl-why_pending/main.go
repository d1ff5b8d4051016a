// Command kubectl-why_pending is `kubectl why-pending`.
package main

import (
	"os"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/whypending"
)

func main() {
	env := cli.NewEnv()
	os.Exit(cli.Execute(env, whypending.NewCommand(env)))
}
