package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
)

const (
	deleteLong = `
		Delete a business group. What it gives back to its parent is shown and judged
		first, as the admission webhook will, and then asked about.

		Only a leaf can be deleted, and only while no workloads charge it:
		--with-workloads deletes it all the same. The workloads run on, charge nothing,
		and cannot grow.`

	deleteExamples = `
		# Delete a group
		kubectl quota delete nlp

		# Though workloads charge it
		kubectl quota delete nlp --with-workloads`
)

// deleteOptions are the flags and arguments of `kubectl quota delete`.
type deleteOptions struct {
	changeOptions
	withWorkloads bool
}

func newDeleteCommand(env cli.Env) *cobra.Command {
	o := &deleteOptions{changeOptions: changeOptions{Env: env, output: cli.NewOutputFlags()}}
	cmd := &cobra.Command{
		Use:                   "delete NAME",
		DisableFlagsInUseLine: true,
		Short:                 "Delete a group, with a preview and the webhook's checks",
		Long:                  templates.LongDesc(deleteLong),
		Example:               templates.Examples(deleteExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeGroup(env),
		RunE:                  runE(o),
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.withWorkloads, "with-workloads", o.withWorkloads, "Delete the group though workloads charge it.")
	return cmd
}

// Complete reads the group's name.
func (o *deleteOptions) Complete(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.UsageErrorf(cmd, "expected the name of one group, found %d", len(args))
	}
	return o.changeOptions.Complete(cmd, args)
}

// Run deletes the group.
func (o *deleteOptions) Run(ctx context.Context) error {
	cluster, err := o.load(ctx)
	if err != nil {
		return err
	}
	group, err := cluster.Group(o.name)
	if err != nil {
		return err
	}
	doomed := group.DeepCopy()
	setType(doomed)
	if o.withWorkloads {
		metav1.SetMetaDataAnnotation(&doomed.ObjectMeta, stowagev1alpha1.DeleteWithWorkloadsAnnotation, "true")
	}
	if err := o.preview(cluster.Groups.Group(group.Spec.ParentBizGroup), group, without(doomed)); err != nil {
		return err
	}
	if check := cluster.Groups.CheckDelete(doomed); !check.Allowed {
		return errors.New(strings.Join(check.Reasons, "; ") + o.hint(doomed))
	}
	if o.dryRun == cmdutil.DryRunNone && !o.yes {
		if err := o.Confirm(fmt.Sprintf("Delete group %s, with its ledger and its hours?", o.name)); err != nil {
			return err
		}
	}
	if err := o.remove(ctx, group); err != nil {
		return err
	}
	return o.printChanged(doomed, "deleted")
}

// hint says how the group could be deleted all the same.
func (o *deleteOptions) hint(group *quota.Group) string {
	freed := group.DeepCopy()
	metav1.SetMetaDataAnnotation(&freed.ObjectMeta, stowagev1alpha1.DeleteWithWorkloadsAnnotation, "true")
	if o.withWorkloads || !quota.NewTree([]*quota.Group{freed}).CheckDelete(freed).Allowed {
		return ""
	}
	return " (--with-workloads)"
}

// without is the group with no quota.
func without(group *quota.Group) *quota.Group {
	group = group.DeepCopy()
	group.Spec.Hard = nil
	return group
}

// remove deletes the group that was looked at, unless the dry run is the client's. The
// webhook wants to read on it that its workloads are left.
func (o *deleteOptions) remove(ctx context.Context, group *quota.Group) error {
	if o.dryRun == cmdutil.DryRunClient {
		return nil
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	groups := client.Resource(groupsResource())
	var dryRun []string
	if o.dryRun == cmdutil.DryRunServer {
		dryRun = []string{metav1.DryRunAll}
	}
	if o.withWorkloads {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": group.UID, "annotations": map[string]string{stowagev1alpha1.DeleteWithWorkloadsAnnotation: "true"},
		}})
		if err != nil {
			return err
		}
		if _, err := groups.Patch(ctx, group.Name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRun, FieldManager: fieldManager}); err != nil {
			return err
		}
		if o.dryRun == cmdutil.DryRunServer { // the deletion would be judged by what stands there
			return nil
		}
	}
	return groups.Delete(ctx, group.Name, metav1.DeleteOptions{DryRun: dryRun, Preconditions: &metav1.Preconditions{UID: &group.UID}})
}
