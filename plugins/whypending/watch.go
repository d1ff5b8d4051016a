package whypending

import (
	"context"
	"fmt"
	"slices"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
)

// watch answers, and answers again whenever the cluster changes; then it prints
// the items that are new or different, and says on stderr which ones are gone.
// It ends with the context.
func (o *Options) watch(ctx context.Context) error {
	// What makes or breaks a place for a pod.
	changes, err := o.Source.Watch(ctx, o.Env, "pods", "nodes", "persistentvolumeclaims", "resourcequotas")
	if err != nil {
		return err
	}
	var seen []report.PendingItem
	for first := true; ; first = false {
		snap, err := changes.Next(ctx)
		if err == nil {
			err = o.Source.Check(snap)
		}
		if err != nil {
			return err
		}
		answer, err := o.explain(ctx, snap, nil)
		if err != nil {
			return err
		}
		items := slices.Clone(answer.report.Items)
		if !first {
			changed, gone := cli.Compare(seen, items, identity)
			o.reportGone(gone)
			answer.assumptions, answer.notes, answer.report.Groups = nil, nil, nil
			answer.report.Items = changed
			o.Output.NoHeaders = true
		}
		if first || len(answer.report.Items) > 0 {
			if err := o.print(answer); err != nil {
				return err
			}
		}
		seen = items
	}
}

// identity tells items apart that stay the same one from answer to answer.
func identity(item report.PendingItem) string { return item.Namespace + "/" + label(item) }

// reportGone says which items are pending no more.
func (o *Options) reportGone(gone []report.PendingItem) {
	for _, item := range gone {
		fmt.Fprintf(o.ErrOut, "%s in namespace %s is no longer pending\n", label(item), item.Namespace)
	}
}
