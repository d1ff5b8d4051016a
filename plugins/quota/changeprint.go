package quota

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// preview shows on stderr what becomes of the group's keys and of what its parent,
// if it has one, has left.
func (o *changeOptions) preview(parent, old, group *quota.Group) error {
	theme := o.output.Color.Theme(o.Env)
	table := print.NewTable(
		print.Column{Title: "GROUP", Middle: true}, print.Column{Title: "KEY", Middle: true, Flexible: true},
		print.Column{Title: "BEFORE"}, print.Column{Title: "AFTER"}, print.Column{Title: "USED"},
	)
	before, after := corev1.ResourceList{}, quota.CanonicalList(group.Spec.Hard)
	if old != nil {
		before = quota.CanonicalList(old.Spec.Hard)
	}
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, key := range quota.Keys(both) {
		cells := print.Texts(group.Name, string(key), quantityOf(before, key), quantityOf(after, key), quantityOf(group.Status.Used, key))
		cells[3].Style = theme.Strong
		table.Append(cells...)
	}
	if err := table.Write(o.ErrOut, print.TableOptions{Width: o.Width(), Title: theme.Heading}); err != nil {
		return err
	}
	if parent == nil {
		return nil
	}
	return o.previewParent(parent, before, after, theme)
}

func (o *changeOptions) previewParent(parent *quota.Group, before, after corev1.ResourceList, theme print.Theme) error {
	table := print.NewTable(
		print.Column{Title: "PARENT", Middle: true}, print.Column{Title: "KEY", Middle: true, Flexible: true},
		print.Column{Title: "LEFT-BEFORE"}, print.Column{Title: "LEFT-AFTER"}, print.Column{Title: "HARD"},
	)
	for _, key := range quota.Keys(parent.Spec.Hard) {
		left := quota.Left(parent, key)
		then := left.DeepCopy()
		then.Sub(after[quota.Canonical(key)])
		then.Add(before[quota.Canonical(key)])
		cells := print.Texts(parent.Name, string(key), quota.Amount(key, left), quota.Amount(key, then), quantityOf(parent.Spec.Hard, key))
		cells[3].Style = theme.Strong
		if then.Sign() < 0 {
			cells[3].Style = theme.Bad
		}
		table.Append(cells...)
	}
	fmt.Fprintln(o.ErrOut)
	return table.Write(o.ErrOut, print.TableOptions{Width: o.Width(), Title: theme.Heading})
}

// quantityOf is a key's quantity for people, empty where the list has none.
func quantityOf(list corev1.ResourceList, key corev1.ResourceName) string {
	quantity, ok := list[key]
	if !ok {
		return ""
	}
	return quota.Amount(key, quantity)
}

// printChanged prints the group, or what was done in kubectl's words.
func (o *changeOptions) printChanged(group *quota.Group, done string) error {
	switch o.dryRun {
	case cmdutil.DryRunClient:
		done += " (dry run)"
	case cmdutil.DryRunServer:
		done += " (server dry run)"
	}
	if o.output.Name() || o.output.Human() {
		line := groupSingular + "/" + print.Escape(group.Name)
		if o.output.Human() {
			line += " " + done
		}
		_, err := fmt.Fprintln(o.Out, line)
		return err
	}
	content, err := toUnstructured(group)
	if err != nil {
		return err
	}
	return o.output.PrintReport(o.Out, content)
}
