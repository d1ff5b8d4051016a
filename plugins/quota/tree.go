package quota

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

const (
	treeLong = `
		Show the tree of business groups: for each, the keys of its quota that are
		used most, what is used of them, and what is left.

		USE is drawn on a terminal: what the group's own workloads use, then what it
		has given to its children, then what was just admitted. Of a "cash/" key,
		LEFT are hours, with how long they last while the group's pods run as they
		do now.

		With a name, that group and all below it. In a cluster without groups, the
		namespaces' ResourceQuotas are shown.`

	treeExamples = `
		# The whole tree
		kubectl quota tree

		# One group and what is below it, with every key
		kubectl quota tree ai -o wide

		# Who is short of GPUs
		kubectl quota tree --resource requests.nvidia.com/gpu --over 80%

		# Follow changes
		kubectl quota tree --watch`
)

// treeOptions are the flags and arguments of `kubectl quota tree`.
type treeOptions struct {
	cli.Env
	output *cli.OutputFlags
	source sourceFlags
	// keys limits the tree to these keys, over to groups with a key of which at
	// least that share is used ("80%").
	keys  []string
	over  string
	watch bool

	name      string
	selection state.Selection
	// flat leaves the places in the tree out: of what has changed, only parts are shown.
	flat bool
	// whole is the tree before the selection.
	whole []report.QuotaTreeItem
}

func newTreeCommand(env cli.Env) *cobra.Command {
	o := &treeOptions{Env: env, output: cli.NewOutputFlags()}
	o.source.Strangers = true
	cmd := &cobra.Command{
		Use:                   "tree [NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Show the groups, what they use and what is left",
		Long:                  templates.LongDesc(treeLong),
		Example:               templates.Examples(treeExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeGroup(env),
		RunE:                  runE(o),
	}
	o.output.AddFlags(cmd)
	o.source.AddFlags(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&o.keys, "resource", o.keys, "Show only this key (limits.cpu). May be given several times.")
	flags.StringVar(&o.over, "over", o.over, "Show only groups with a key of which at least this share is used (80%).")
	flags.BoolVarP(&o.watch, "watch", "w", o.watch, "After the tree, print groups as they change, until Ctrl-C.")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("resource", completeKeys(env)))
	return cmd
}

// Complete reads the group's name and what is to be selected.
func (o *treeOptions) Complete(cmd *cobra.Command, args []string) (err error) {
	o.selection.Keys = o.keys
	if o.over != "" {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(o.over, "%"), 64)
		if err != nil || percent < 0 {
			return fmt.Errorf("--over %q: expected a share such as 80%%", o.over)
		}
		o.selection.Over = &percent
	}
	o.name, err = atMostOne(cmd, args)
	o.source.named = args
	return err
}

// Validate refuses to follow a dump, and wrong output flags.
func (o *treeOptions) Validate(cmd *cobra.Command) error {
	if o.watch && o.source.Offline() {
		return cli.UsageErrorf(cmd, "--watch needs a cluster, and cannot be used with --snapshot")
	}
	return o.output.Validate()
}

// Run prints the tree, and with --watch goes on printing what changes.
func (o *treeOptions) Run(ctx context.Context) error {
	if o.watch {
		return o.follow(ctx)
	}
	groups, err := o.source.load(ctx, o.Env, "resourcequotas")
	if err != nil {
		return err
	}
	tree, err := o.report(groups)
	if err != nil {
		return err
	}
	return o.print(tree, groups.Now)
}

// follow prints the tree, and then the groups that are new or different whenever
// groups change, until the context ends.
func (o *treeOptions) follow(ctx context.Context) error {
	next, err := o.source.watch(ctx, o.Env, "resourcequotas")
	if err != nil {
		return err
	}
	var seen []report.QuotaTreeItem
	for first := true; ; first = false {
		groups, err := next(ctx)
		if err != nil {
			return err
		}
		tree, err := o.report(groups)
		if err != nil {
			return err
		}
		items := tree.Items
		if !first {
			tree.Items = changed(seen, items)
			o.output.NoHeaders, o.flat = true, true
		}
		if first || len(tree.Items) > 0 {
			if err := o.print(tree, groups.Now); err != nil {
				return err
			}
		}
		seen = items
	}
}

// changed are the items that before lacks, or has otherwise.
func changed(before, after []report.QuotaTreeItem) []report.QuotaTreeItem {
	items, _ := cli.Compare(before, after, func(item report.QuotaTreeItem) string { return item.Namespace + "/" + item.Name })
	return items
}

func (o *treeOptions) report(groups *state.State) (*report.QuotaTree, error) {
	cli.Warn(o.ErrOut, uncounted(groups))
	if len(groups.Snapshot.BizGroupResourceQuotas) == 0 && o.name == "" {
		o.explainNone(groups.Snapshot)
	}
	tree, err := groups.Tree(o.name)
	if err != nil {
		return nil, err
	}
	tree.Warnings = slices.Concat(notes(groups), uncounted(groups))
	o.whole = slices.Clone(tree.Items)
	if err := state.Select(tree, o.selection); err != nil {
		return nil, fmt.Errorf("--resource %w", err)
	}
	return tree, cli.SortBy(tree.Items, o.output.SortBy)
}

// explainNone says on stderr why the tree is one of ResourceQuotas, or empty.
func (o *treeOptions) explainNone(snap *snapshot.Snapshot) {
	shown := "showing the namespaces' ResourceQuotas instead"
	if len(snap.ResourceQuotas) == 0 {
		shown = "and no ResourceQuota in any namespace"
	}
	fmt.Fprintf(o.ErrOut, "No business groups found in %s, %s. %s\n", print.Escape(snap.Source), shown, firstStep(snap))
}

// firstStep is what to do where there is no group yet.
func firstStep(snap *snapshot.Snapshot) string {
	const create = "kubectl quota create NAME --hard limits.cpu=100,limits.memory=512Gi"
	switch {
	case slices.ContainsFunc(snap.Missing, func(m snapshot.Missing) bool {
		return m.Resource == groupResource && m.Reason == snapshot.NotServed
	}):
		return "The in-cluster component is not installed: kubectl quota install"
	case snap.ServerVersion != "": // all that is served was looked at
		return "To create the first one: " + create
	}
	return "To create one: " + create + " (once the in-cluster component is installed: kubectl quota install)"
}
