package quota

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// fieldManager names who writes a field of a group.
const fieldManager = "kubectl-quota"

// changeOptions are what create and set have in common: a group's new spec is
// shown, judged, confirmed and written.
type changeOptions struct {
	cli.Env
	output *cli.OutputFlags
	source sourceFlags
	yes    bool

	name   string
	dryRun cmdutil.DryRunStrategy
}

func (o *changeOptions) addFlags(cmd *cobra.Command) {
	o.output.AddFlags(cmd)
	o.source.SourceFlags.AddFlags(cmd)
	cmdutil.AddDryRunFlag(cmd)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", o.yes, "Do not ask.")
}

// Complete reads the group's name, which comes first, and what is only tried.
func (o *changeOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	if len(args) > 0 {
		o.name = args[0]
	}
	o.dryRun, err = cmdutil.GetDryRunStrategy(cmd)
	return err
}

// Validate refuses to write to a dump, and wrong output flags.
func (o *changeOptions) Validate(cmd *cobra.Command) error {
	if o.source.Offline() {
		return cli.UsageErrorf(cmd, "--snapshot: %s writes to a cluster, and cannot work on a dump; kubectl quota check --snapshot judges a group there", cmd.Name())
	}
	return o.output.Validate()
}

// load reads the cluster's groups, which must be served there.
func (o *changeOptions) load(ctx context.Context) (*state.State, error) {
	groups, err := o.source.loadGroups(ctx, o.Env)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(groups.Snapshot.Missing, func(m snapshot.Missing) bool { return m.Resource == groupResource }) {
		return nil, fmt.Errorf("%s is not served by %s: install the in-cluster component first (kubectl quota install)", groupResource, groups.Snapshot.Source)
	}
	return groups, nil
}

// change makes old, nil for none, into group: previewed, judged, confirmed, written.
func (o *changeOptions) change(ctx context.Context, groups *quota.Tree, old, group *quota.Group) error {
	if err := o.preview(groups.Group(group.Spec.ParentBizGroup), old, group); err != nil {
		return err
	}
	check := groups.CheckCreate(group)
	if old != nil {
		check = groups.CheckUpdate(old, group)
	}
	cli.Warn(o.ErrOut, check.Warnings)
	if !check.Allowed {
		return errors.New(strings.Join(check.Reasons, "; "))
	}
	if old != nil && equalHard(old, group) {
		return o.printChanged(group, "unchanged")
	}
	if o.dryRun == cmdutil.DryRunNone && !o.yes {
		verb := "Create"
		if old != nil {
			verb = "Change"
		}
		if err := o.Confirm(fmt.Sprintf("%s group %s?", verb, group.Name)); err != nil {
			return err
		}
	}
	written, err := o.write(ctx, old, group)
	if err != nil {
		return err
	}
	done := "created"
	if old != nil {
		done = "changed"
	}
	return o.printChanged(written, done)
}

func equalHard(a, b *quota.Group) bool {
	before, after := quota.CanonicalList(a.Spec.Hard), quota.CanonicalList(b.Spec.Hard)
	return len(quota.Increase(before, after)) == 0 && len(quota.Increase(after, before)) == 0 && len(a.Spec.Hard) == len(b.Spec.Hard)
}

// write sends the group, unless the dry run is the client's. What has changed since
// it was read is a conflict.
func (o *changeOptions) write(ctx context.Context, old, group *quota.Group) (*quota.Group, error) {
	if o.dryRun == cmdutil.DryRunClient {
		return group, nil
	}
	config, err := o.Config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	written, err := o.send(ctx, client.Resource(groupsResource()), old, group)
	if err != nil {
		return nil, err
	}
	result := &quota.Group{}
	return result, runtime.DefaultUnstructuredConverter.FromUnstructured(written.Object, result)
}

func (o *changeOptions) send(ctx context.Context, groups dynamic.ResourceInterface, old, group *quota.Group) (*unstructured.Unstructured, error) {
	var dryRun []string
	if o.dryRun == cmdutil.DryRunServer {
		dryRun = []string{metav1.DryRunAll}
	}
	if old == nil {
		content, err := toUnstructured(group)
		if err != nil {
			return nil, err
		}
		return groups.Create(ctx, content, metav1.CreateOptions{DryRun: dryRun, FieldManager: fieldManager})
	}
	patch, err := hardPatch(old, group)
	if err != nil {
		return nil, err
	}
	written, err := groups.Patch(ctx, group.Name, types.JSONPatchType, patch, metav1.PatchOptions{DryRun: dryRun, FieldManager: fieldManager})
	if err == nil {
		return written, nil
	}
	if now, lookErr := groups.Get(ctx, group.Name, metav1.GetOptions{}); lookErr == nil && now.GetGeneration() != old.Generation {
		return nil, fmt.Errorf("group %s: its spec has changed since it was read: look again, and repeat the command", group.Name)
	}
	return nil, err
}

// hardPatch is a JSON patch to the new hard, and of nothing else: a snapshot does not
// hold all of an object. It applies to the spec that was judged only, while the
// status may move on.
func hardPatch(old, group *quota.Group) ([]byte, error) {
	return json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": old.UID},
		{"op": "test", "path": "/metadata/generation", "value": old.Generation},
		{"op": "add", "path": "/spec/hard", "value": group.Spec.Hard}, // replaces what is there,
	})
}

// toUnstructured is the group as it is sent: the status is the controller's.
func toUnstructured(group *quota.Group) (*unstructured.Unstructured, error) {
	sent := group.DeepCopy()
	sent.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{}
	setType(sent)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(sent)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

func setType(group *quota.Group) {
	group.SetGroupVersionKind(stowagev1alpha1.GroupVersion.WithKind(stowagev1alpha1.BizGroupResourceQuotaKind))
}

// parseAmount reads "KEY=QUANTITY".
func parseAmount(flag, text string) (corev1.ResourceName, resource.Quantity, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return "", resource.Quantity{}, fmt.Errorf("%s %q: expected KEY=QUANTITY, such as limits.cpu=10", flag, text)
	}
	quantity, err := resource.ParseQuantity(value)
	if err != nil {
		return "", resource.Quantity{}, fmt.Errorf("%s %q: %q is no quantity, expected one such as 10, 500m or 64Gi", flag, text, value)
	}
	return corev1.ResourceName(key), quantity, nil
}
