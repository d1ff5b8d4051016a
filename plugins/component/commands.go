package component

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
)

// Commands are install, uninstall and status, for the plugin of that name after kubectl
// ("quota").
func Commands(env cli.Env, plugin string) []*cobra.Command {
	return []*cobra.Command{newInstallCommand(env, plugin), newUninstallCommand(env, plugin), newStatusCommand(env, plugin)}
}

// examples are a command's, with the plugin's name in the place of %[1]s.
func examples(text, plugin string) string { return templates.Examples(fmt.Sprintf(text, plugin)) }

// longDesc is a command's long description, likewise.
func longDesc(text, plugin string) string { return templates.LongDesc(fmt.Sprintf(text, plugin)) }
