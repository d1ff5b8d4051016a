package quota

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
)

const (
	setLong = `
		Change what a business group may use. The group and what its parent has left
		are shown before and after, judged as the admission webhook will, and asked
		about.

		KEY=QUANTITY sets a key, KEY- removes it. Below what is used is allowed, with a
		warning: nothing new is then admitted until it fits.`

	setExamples = `
		# More cores, and no limit on pods
		kubectl quota set nlp limits.cpu=12 pods-

		# In a script
		kubectl quota set nlp limits.cpu=12 --yes -o yaml`
)

// setOptions are the flags and arguments of `kubectl quota set`.
type setOptions struct {
	changeOptions
	// edits are KEY=QUANTITY or KEY-.
	edits []string
}

func newSetCommand(env cli.Env) *cobra.Command {
	o := &setOptions{changeOptions: changeOptions{Env: env, output: cli.NewOutputFlags()}}
	cmd := &cobra.Command{
		Use:                   "set NAME (KEY=QUANTITY | KEY-)...",
		DisableFlagsInUseLine: true,
		Short:                 "Change what a group may use, with a preview and the webhook's checks",
		Long:                  templates.LongDesc(setLong),
		Example:               templates.Examples(setExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeSet(env),
		RunE:                  runE(o),
	}
	o.addFlags(cmd)
	return cmd
}

// Complete reads what is to be changed.
func (o *setOptions) Complete(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return cli.UsageErrorf(cmd, "expected the name of a group and at least one KEY=QUANTITY or KEY-")
	}
	o.edits = args[1:]
	return o.changeOptions.Complete(cmd, args)
}

// Run changes the group.
func (o *setOptions) Run(ctx context.Context) error {
	cluster, err := o.load(ctx)
	if err != nil {
		return err
	}
	old, err := cluster.Group(o.name)
	if err != nil {
		return err
	}
	group := old.DeepCopy()
	setType(group)
	if group.Spec.Hard == nil { // a folder
		group.Spec.Hard = corev1.ResourceList{}
	}
	for _, edit := range o.edits {
		if err := editHard(group.Spec.Hard, edit); err != nil {
			return err
		}
	}
	return o.change(ctx, cluster.Groups, old, group)
}

// editHard sets or removes a key of hard, under the name that it has there.
func editHard(hard corev1.ResourceList, edit string) error {
	if key, ok := strings.CutSuffix(edit, "-"); ok && !strings.Contains(edit, "=") {
		known, ok := keyIn(hard, corev1.ResourceName(key))
		if !ok {
			return fmt.Errorf("%q: the group has no key %s%s", edit, key, nearest.DidYouMean(key, keyNames(hard)))
		}
		delete(hard, known)
		return nil
	}
	key, quantity, err := parseAmount("argument", edit)
	if err != nil {
		return err
	}
	if known, ok := keyIn(hard, key); ok {
		key = known
	}
	hard[key] = quantity
	return nil
}

// keyIn finds the key of hard that means the same.
func keyIn(hard corev1.ResourceList, key corev1.ResourceName) (corev1.ResourceName, bool) {
	keys := quota.Keys(hard)
	i := slices.IndexFunc(keys, func(known corev1.ResourceName) bool { return quota.Canonical(known) == quota.Canonical(key) })
	if i < 0 {
		return "", false
	}
	return keys[i], true
}

func keyNames(hard corev1.ResourceList) []string {
	var names []string
	for _, key := range quota.Keys(hard) {
		names = append(names, string(key))
	}
	return names
}
