package whypending

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

const (
	snapshotLong = `
		Write what every Stowage command reads of the cluster to stdout, as one
		gzipped list of objects in YAML. --snapshot reads it back, here or on
		another machine, and gives the same answers.

		Secrets are never read. --redact leaves out environment values, annotations
		and image names as well.`

	snapshotExamples = `
		# Write a dump, and ask it
		kubectl why-pending snapshot > fleet.yaml.gz
		kubectl why-pending --snapshot fleet.yaml.gz --all -A

		# A dump to attach to a bug report
		kubectl why-pending snapshot --redact > fleet.yaml.gz

		# Plain YAML, to read or to edit
		kubectl why-pending snapshot --gzip=false > fleet.yaml`
)

// snapshotOptions are the flags of `kubectl why-pending snapshot`.
type snapshotOptions struct {
	cli.Env
	source cli.SourceFlags
	redact bool
	format snapshot.Format
}

func newSnapshotCommand(env cli.Env) *cobra.Command {
	o := &snapshotOptions{Env: env, source: cli.SourceFlags{Finished: true}, format: snapshot.Format{Gzip: true}}
	cmd := &cobra.Command{
		Use:                   "snapshot",
		DisableFlagsInUseLine: true,
		Short:                 "Write the cluster to stdout, for --snapshot",
		Long:                  templates.LongDesc(snapshotLong),
		Example:               templates.Examples(snapshotExamples),
		Args:                  cli.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.source.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.redact, "redact", o.redact, "Leave out environment values, annotations and image names.")
	cmd.Flags().BoolVar(&o.format.Gzip, "gzip", o.format.Gzip, "Pack the output.")
	return cmd
}

func (o *snapshotOptions) validate() error {
	if o.format.Gzip && printers.IsTerminal(o.Out) {
		return errors.New("stdout is a terminal: redirect the gzipped snapshot to a file (> fleet.yaml.gz), or use --gzip=false")
	}
	return nil
}

func (o *snapshotOptions) run(ctx context.Context) error {
	progress := o.Progress()
	snap, err := o.source.Load(ctx, o.Env, progress)
	progress.Clear()
	if err != nil {
		return err
	}
	cli.Warn(o.ErrOut, cli.MissingNotes(snap))
	if o.redact {
		snap = snapshot.Redact(snap)
	}
	// What is packed is read by programs: JSON, which readers of YAML take as well,
	// is read three times as fast.
	o.format.JSON = o.format.Gzip
	return snapshot.Write(o.Out, snap, o.format)
}
