package quota

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/templates"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
)

const (
	createLong = `
		Create a business group. What it takes of its parent is shown and judged first,
		as the admission webhook will, and then asked about.

		A child needs every key that its parent has. Without --hard, the group is a folder:
		it limits nothing, and holds other groups.`

	createExamples = `
		# A root
		kubectl quota create ai --hard limits.cpu=100,limits.memory=512Gi

		# A child with hours that start again each Monday, for namespaces nlp-*
		kubectl quota create nlp --parent ai --hard limits.cpu=10,limits.memory=64Gi,cash/limits.cpu=100 \
		  --refill '0 0 * * 1' --time-zone Asia/Shanghai --allow-namespace 'nlp-*'

		# Only try it
		kubectl quota create nlp --parent ai --hard limits.cpu=10,limits.memory=64Gi --dry-run=server`
)

// createOptions are the flags and arguments of `kubectl quota create`.
type createOptions struct {
	changeOptions
	parent, refill, timeZone string
	hard, allow              []string

	group *quota.Group
}

func newCreateCommand(env cli.Env) *cobra.Command {
	o := &createOptions{changeOptions: changeOptions{Env: env, output: cli.NewOutputFlags()}}
	cmd := &cobra.Command{
		Use:                   "create NAME [--hard KEY=QUANTITY,...] [--parent NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Create a group, with a preview and the webhook's checks",
		Long:                  templates.LongDesc(createLong),
		Example:               templates.Examples(createExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  runE(o),
	}
	o.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.parent, "parent", o.parent, "The group that this one's quota is taken out of. Without it, the group is a root.")
	flags.StringSliceVar(&o.hard, "hard", o.hard, "What the group may use: KEY=QUANTITY,... (limits.cpu=10,cash/limits.cpu=100).")
	flags.StringVar(&o.refill, "refill", o.refill, "When the hours used start again at 0, in Cron format ('0 0 * * 1': each Monday).")
	flags.StringVar(&o.timeZone, "time-zone", o.timeZone, "The time zone of --refill (Asia/Shanghai). Without it, UTC.")
	flags.StringSliceVar(&o.allow, "allow-namespace", o.allow, "Shell pattern of namespaces whose workloads may charge the group ('nlp-*'). May be given several times.")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("parent", cli.CompleteNames(env, groupsResource())))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("hard", completeKeys(env)))
	return cmd
}

// Complete reads the group that the flags describe.
func (o *createOptions) Complete(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.UsageErrorf(cmd, "expected the name of one group, found %d", len(args))
	}
	if err := o.changeOptions.Complete(cmd, args); err != nil {
		return err
	}
	hard, err := parseHard(o.hard)
	if err != nil {
		return err
	}
	o.group = o.describe(hard)
	return nil
}

// Validate also refuses a time zone without a refill.
func (o *createOptions) Validate(cmd *cobra.Command) error {
	if o.timeZone != "" && o.refill == "" {
		return fmt.Errorf("--time-zone %q: is of --refill, and needs it", o.timeZone)
	}
	return o.changeOptions.Validate(cmd)
}

// Run creates the group.
func (o *createOptions) Run(ctx context.Context) error {
	cluster, err := o.load(ctx)
	if err != nil {
		return err
	}
	if cluster.Groups.Group(o.name) != nil {
		return fmt.Errorf("%s %q already exists; kubectl quota set changes it", groupResource, o.name)
	}
	return o.change(ctx, cluster.Groups, nil, o.group)
}

// describe is the group that the flags describe, with that hard.
func (o *createOptions) describe(hard corev1.ResourceList) *quota.Group {
	group := &quota.Group{ObjectMeta: metav1.ObjectMeta{Name: o.name}}
	setType(group)
	group.Spec.ParentBizGroup = o.parent
	group.Spec.Hard = hard
	if o.refill != "" {
		group.Spec.Refill = &stowagev1alpha1.Refill{Schedule: o.refill, TimeZone: o.timeZone}
	}
	if len(o.allow) > 0 {
		group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: o.allow}
	}
	return group
}

// parseHard reads --hard.
func parseHard(texts []string) (corev1.ResourceList, error) {
	hard := corev1.ResourceList{}
	for _, text := range texts {
		key, quantity, err := parseAmount("--hard", text)
		if err != nil {
			return nil, err
		}
		if _, twice := hard[key]; twice {
			return nil, fmt.Errorf("--hard %q: %s is given twice", text, key)
		}
		hard[key] = quantity
	}
	return hard, nil
}
