package quota

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/kubectl/pkg/util/templates"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/nearest"
	"github.com/stowage-dev/stowage/pkg/quota"
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

	name    string
	percent float64
}

func newTreeCommand(env cli.Env) *cobra.Command {
	o := &treeOptions{Env: env, output: cli.NewOutputFlags()}
	cmd := &cobra.Command{
		Use:                   "tree [NAME]",
		DisableFlagsInUseLine: true,
		Short:                 "Show the groups, what they use and what is left",
		Long:                  templates.LongDesc(treeLong),
		Example:               templates.Examples(treeExamples),
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeGroup(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
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

func (o *treeOptions) complete(cmd *cobra.Command, args []string) (err error) {
	if o.name, err = atMostOneName(cmd, args); err != nil {
		return err
	}
	if o.over != "" {
		o.percent, err = strconv.ParseFloat(strings.TrimSuffix(o.over, "%"), 64)
		if err != nil || o.percent < 0 {
			return fmt.Errorf("--over %q: expected a share such as 80%%", o.over)
		}
	}
	if o.watch && o.source.Offline() {
		return cli.UsageErrorf(cmd, "--watch needs a cluster, and cannot be used with --snapshot")
	}
	return o.output.Validate()
}

// atMostOneName is the only argument; empty for none.
func atMostOneName(cmd *cobra.Command, args []string) (string, error) {
	switch len(args) {
	case 0:
		return "", nil
	case 1:
		return args[0], nil
	}
	return "", cli.UsageErrorf(cmd, "expected at most one group, got %d: %s", len(args), strings.Join(args, " "))
}

func (o *treeOptions) run(ctx context.Context) error {
	if o.watch {
		return o.follow(ctx)
	}
	report, now, err := o.ask(ctx)
	if err != nil {
		return err
	}
	return o.print(report, now)
}

// follow prints the tree, and then the groups that are new or different whenever
// groups change, until the context ends.
func (o *treeOptions) follow(ctx context.Context) error {
	changes, err := cli.Changes(ctx, o.Env, groupsResource())
	if err != nil {
		return err
	}
	var seen []reportv1alpha1.QuotaTreeItem
	for first := true; ; first = false {
		report, now, err := o.ask(ctx)
		if err != nil {
			return err
		}
		items := report.Items
		if !first {
			report.Items = changed(seen, items)
			o.output.NoHeaders = true
		}
		if first || len(report.Items) > 0 {
			if err := o.print(report, now); err != nil {
				return err
			}
		}
		seen = items
		if err := changes.Wait(ctx); err != nil {
			return err
		}
	}
}

// changed are the items that before lacks, or has otherwise; without their places
// in the tree, of which they are only parts.
func changed(before, after []reportv1alpha1.QuotaTreeItem) []reportv1alpha1.QuotaTreeItem {
	old := make(map[string]reportv1alpha1.QuotaTreeItem, len(before))
	for _, item := range before {
		old[item.Namespace+"/"+item.Name] = item
	}
	items := []reportv1alpha1.QuotaTreeItem{}
	for _, item := range after {
		if was, ok := old[item.Namespace+"/"+item.Name]; !ok || !equality.Semantic.DeepEqual(was, item) {
			item.Depth = 0
			items = append(items, item)
		}
	}
	return items
}

// ask loads the cluster or the dump and reports its tree as of now.
func (o *treeOptions) ask(ctx context.Context) (report *reportv1alpha1.QuotaTree, now time.Time, err error) {
	w, err := o.source.load(ctx, o.Env, "resourcequotas")
	if err != nil {
		return nil, now, err
	}
	report, err = o.report(w)
	return report, w.now(), err
}

func (o *treeOptions) report(w *world) (*reportv1alpha1.QuotaTree, error) {
	cli.Warn(o.ErrOut, append(w.notes, uncounted(w)...))
	report := newQuotaTree()
	if len(w.snap.BizGroupResourceQuotas) == 0 && o.name == "" {
		o.explainNone(w)
		report.Items = nativeItems(w.snap.ResourceQuotas)
	} else {
		items, err := o.groupItems(w)
		if err != nil {
			return nil, err
		}
		report.Items = items
	}
	if err := o.filter(report); err != nil {
		return nil, err
	}
	if o.output.SortBy == "" {
		return report, nil
	}
	for i := range report.Items {
		report.Items[i].Depth = 0
	}
	return report, cli.SortBy(report.Items, o.output.SortBy)
}

// uncounted warns of groups whose status is not of their spec.
func uncounted(w *world) []string {
	var names []string
	for _, group := range w.snap.BizGroupResourceQuotas {
		if !quota.Counted(group) {
			names = append(names, group.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	const most = 3
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return []string{fmt.Sprintf("%s: not counted yet, so what is used may be more than is shown; is the in-cluster component running? (kubectl quota status)", text)}
}

// explainNone says on stderr why the tree is one of ResourceQuotas, or empty.
func (o *treeOptions) explainNone(w *world) {
	where := w.snap.Source
	shown := "showing the namespaces' ResourceQuotas instead"
	if len(w.snap.ResourceQuotas) == 0 {
		shown = "and no ResourceQuota in any namespace"
	}
	fmt.Fprintf(o.ErrOut, "No business groups found in %s, %s. To install business groups: kubectl quota install\n", where, shown)
}

// groupItems are the groups to show, a parent before its children.
func (o *treeOptions) groupItems(w *world) ([]reportv1alpha1.QuotaTreeItem, error) {
	roots := w.tree.Roots()
	if o.name != "" {
		group, err := w.group(o.name)
		if err != nil {
			return nil, err
		}
		roots = []*quota.Group{group}
	}
	report := newTreeReporter(w)
	for _, root := range roots {
		report.add(root, 0)
	}
	if o.name == "" { // what is below no root: a cycle, which only a broken dump can have
		for _, group := range w.snap.BizGroupResourceQuotas {
			report.add(group, 0)
		}
	}
	return report.items, nil
}

// filter leaves the keys and groups that the flags ask for.
func (o *treeOptions) filter(report *reportv1alpha1.QuotaTree) error {
	if err := o.checkKeys(report); err != nil {
		return err
	}
	kept := []reportv1alpha1.QuotaTreeItem{}
	var path []int // the depths, in the whole tree, of the ancestors that are shown
	for _, item := range report.Items {
		item.Keys = slices.DeleteFunc(item.Keys, func(key reportv1alpha1.QuotaTreeKey) bool { return !o.wants(key.Key) })
		if len(item.Keys) == 0 && len(o.keys) > 0 || o.over != "" && !slices.ContainsFunc(item.Keys, o.isOver) {
			continue
		}
		for len(path) > 0 && path[len(path)-1] >= item.Depth {
			path = path[:len(path)-1]
		}
		path = append(path, item.Depth)
		item.Depth = len(path) - 1
		kept = append(kept, item)
	}
	report.Items = kept
	return nil
}

func (o *treeOptions) isOver(key reportv1alpha1.QuotaTreeKey) bool {
	return share(key)*100+rounding >= o.percent
}

func (o *treeOptions) wants(key string) bool {
	return len(o.keys) == 0 || slices.ContainsFunc(o.keys, func(wanted string) bool { return same(key, wanted) })
}

func same(a, b string) bool {
	return quota.Canonical(corev1.ResourceName(a)) == quota.Canonical(corev1.ResourceName(b))
}

// checkKeys refuses a --resource that no group has.
func (o *treeOptions) checkKeys(report *reportv1alpha1.QuotaTree) error {
	if len(o.keys) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, item := range report.Items {
		for _, key := range item.Keys {
			known[key.Key] = true
		}
	}
	names := sortedKeys(known)
	for _, wanted := range o.keys {
		if !slices.ContainsFunc(names, func(name string) bool { return same(name, wanted) }) {
			return fmt.Errorf("--resource %q: no group has this key, expected one of %s%s", wanted, strings.Join(names, ", "), nearest.DidYouMean(wanted, names))
		}
	}
	return nil
}
