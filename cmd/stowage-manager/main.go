// Command stowage-manager is the in-cluster component.
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/stowage-dev/stowage/pkg/manager"
)

func main() {
	env := manager.NewEnv()
	if err := manager.NewCommand(env).ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(env.ErrOut, "error:", err)
		os.Exit(2)
	}
}
