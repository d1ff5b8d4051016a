// Command kubectl-quota is `kubectl quota`.
package main

import (
	"os"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/plugins/quota"
)

func main() {
	env := cli.NewEnv()
	os.Exit(cli.Execute(env, quota.NewCommand(env)))
}
