package whypending

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
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
			o.reportGone(seen, items)
			answer.assumptions, answer.notes, answer.report.Groups = nil, nil, nil
			answer.report.Items = different(seen, items)
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

// different returns the items that before lacks, or has otherwise.
func different(before, after []report.PendingItem) []report.PendingItem {
	changed := []report.PendingItem{}
	for _, item := range after {
		i := slices.IndexFunc(before, func(old report.PendingItem) bool { return label(old) == label(item) })
		if i < 0 || !equality.Semantic.DeepEqual(before[i], item) {
			changed = append(changed, item)
		}
	}
	return changed
}

// reportGone says which items of before are pending no more.
func (o *Options) reportGone(before, after []report.PendingItem) {
	for _, old := range before {
		if !slices.ContainsFunc(after, func(item report.PendingItem) bool { return label(old) == label(item) }) {
			fmt.Fprintf(o.ErrOut, "%s in namespace %s is no longer pending\n", label(old), old.Namespace)
		}
	}
}
