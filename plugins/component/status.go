package component

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/pkg/print"
)

const (
	statusLong = `
		Show how the in-cluster component is: its Deployment, its leader, the webhook
		configuration, the certificates, and whether the groups are counted.`

	statusExamples = `
		# Is all well?
		kubectl %[1]s status --exit-code`
)

// statusOptions are the flags of status.
type statusOptions struct {
	cli.Env
	output   *cli.OutputFlags
	plugin   string
	exitCode bool
}

// newStatusCommand returns the command status of the plugin of that name.
func newStatusCommand(env cli.Env, plugin string) *cobra.Command {
	o := &statusOptions{Env: env, output: cli.NewOutputFlags(), plugin: plugin}
	o.output.Unnamed = true
	cmd := &cobra.Command{
		Use:                   "status",
		DisableFlagsInUseLine: true,
		Short:                 "Show how the in-cluster component is",
		Long:                  templates.LongDesc(statusLong),
		Example:               examples(statusExamples, plugin),
		Args:                  cli.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.output.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	o.output.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", o.exitCode, "Exit with 0 when all is well, 1 when not, and 2 on an error.")
	return cmd
}

// Run looks at the component, and prints what it finds.
func (o *statusOptions) Run(ctx context.Context) error {
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	status, err := install.ReadStatus(ctx, config, namespace(o.Env), o.Clock.Now())
	if err != nil {
		return err
	}
	if err := o.print(status); err != nil {
		return err
	}
	if o.exitCode && len(status.Problems) > 0 {
		return cli.ErrNo
	}
	return nil
}

func (o *statusOptions) print(status *install.Status) error {
	if !o.output.Human() {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
		if err != nil {
			return err
		}
		return o.output.PrintReport(o.Out, &unstructured.Unstructured{Object: content})
	}
	if !status.Installed() {
		_, err := fmt.Fprintf(o.Out, "not installed: kubectl %s install\n", o.plugin)
		return err
	}
	theme := o.output.Color.Theme(o.Env)
	if err := o.table(status).Write(o.Out, print.TableOptions{Width: o.Width(), NoHeaders: o.output.NoHeaders, Title: theme.Heading}); err != nil {
		return err
	}
	for _, problem := range status.Problems {
		if _, err := fmt.Fprintln(o.Out, theme.Bad("!")+" "+print.Escape(problem)); err != nil {
			return err
		}
	}
	cli.Warn(o.ErrOut, status.Unknown)
	return nil
}

// table has a row for each part that was found.
func (o *statusOptions) table(status *install.Status) *print.Table {
	now := o.Clock.Now()
	table := print.NewTable(print.Column{Title: "PART"}, print.Column{Title: "STATE"}, print.Column{Title: "DETAIL", Flexible: true})
	if d := status.Deployment; d != nil {
		table.Append(print.Texts("deployment", fmt.Sprintf("%d/%d ready", d.Ready, d.Replicas), fmt.Sprintf("%s, %d updated", d.Image, d.Updated))...)
	}
	if l := status.Leader; l != nil {
		table.Append(print.Texts("leader", "renewed "+print.Age(l.Renewed.Time, now)+" ago", l.Holder)...)
	}
	if w := status.Webhooks; w != nil {
		state := "no CA bundle"
		if w.Trusted {
			state = "configured"
		}
		table.Append(print.Texts("webhooks", state, fmt.Sprintf("%d entries", w.Entries))...)
	}
	if c := status.Certificate; c != nil {
		table.Append(print.Texts("certificate", "until "+c.NotAfter.UTC().Format(time.DateOnly), "its CA until "+c.CANotAfter.UTC().Format(time.DateOnly))...)
	}
	if r := status.Resource; r != nil {
		state := "not served"
		if r.Established {
			state = "served"
		}
		table.Append(print.Texts("resource", state, strings.Join(r.Versions, ", "))...)
	}
	if g := status.Groups; g != nil {
		detail := fmt.Sprintf("%d overcommitted, %d out of hours, %d reservations (%d expired)", g.Overcommitted, g.CashExhausted, g.Reservations, g.Expired)
		table.Append(print.Texts("groups", fmt.Sprintf("%d/%d counted", g.Counted, g.Total), detail)...)
	}
	return table
}
