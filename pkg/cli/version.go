package cli

import (
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
	kubeversion "k8s.io/component-base/version"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/pkg/nearest"
)

// devel is the version of which nothing is known.
const devel = "(devel)"

// Version is what `version` prints.
type Version struct {
	// Client is the plugin's own version, "(devel)" when the build did not record it.
	Client string `json:"clientVersion"`
	// Scheduler is the Kubernetes version whose scheduler plugins are linked in.
	Scheduler string `json:"schedulerVersion"`
	// Commit is the source revision, empty when the build did not record it.
	Commit string `json:"gitCommit,omitempty"`
	Go     string `json:"goVersion"`
}

// ReadVersion returns the version of the running binary.
func ReadVersion() Version {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(info)
}

// versionOf reads what the Go toolchain recorded: the version that it makes of the repository's tag and commit or,
// where it made none, the commit.
func versionOf(info *debug.BuildInfo) Version {
	found := Version{Client: info.Main.Version, Scheduler: "v" + kubeversion.DefaultKubeBinaryVersion, Go: info.GoVersion}
	for _, dependency := range info.Deps {
		if dependency.Path == "k8s.io/kubernetes" {
			found.Scheduler = dependency.Version
		}
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	found.Commit = settings["vcs.revision"]
	if found.Client == "" || found.Client == devel {
		found.Client = devel
		if found.Commit != "" {
			found.Client = found.Commit[:min(12, len(found.Commit))] // as many digits as in Go's own versions
			if settings["vcs.modified"] == "true" {
				found.Client += "+dirty"
			}
		}
	}
	return found
}

// newVersionCommand returns the subcommand `version`.
func newVersionCommand(env Env) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:                   "version",
		DisableFlagsInUseLine: true,
		Short:                 "Print the version of the plugin and of the scheduler in it",
		Args:                  NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := ReadVersion()
			switch output {
			case "":
				_, err := fmt.Fprintf(env.Out, "Client Version: %s\nScheduler Version: %s\n", version.Client, version.Scheduler)
				return err
			case "json":
				encoder := json.NewEncoder(env.Out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(version)
			case "yaml":
				text, err := yaml.Marshal(version)
				if err != nil {
					return err
				}
				_, err = env.Out.Write(text)
				return err
			}
			return UsageErrorf(cmd, "--output %q: expected one of json, yaml%s", output, nearest.DidYouMean(output, versionFormats()))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "One of 'yaml' or 'json'.")
	complete(cmd, "output", versionFormats)
	return cmd
}

func versionFormats() []string { return []string{"json", "yaml"} }

// NoArgs refuses arguments, in kubectl's words.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageErrorf(cmd, "unexpected arguments: %v", args)
	}
	return nil
}
