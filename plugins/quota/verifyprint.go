package quota

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// print writes the report.
func (o *verifyOptions) print(verified *report.QuotaVerify) error {
	switch {
	case o.output.Name():
		return o.printNames(verified)
	case !o.output.Human():
		return o.output.PrintReport(o.Out, verified)
	case len(verified.Items) == 0:
		fmt.Fprintf(o.ErrOut, "No drift: the ledgers of %s agree with what is there\n", print.Count(verified.Groups, "group"))
		return nil
	}
	theme := o.output.Color.Theme(o.Env)
	table := print.NewTable(
		print.Column{Title: "GROUP", Middle: true}, print.Column{Title: "KEY", Middle: true},
		print.Column{Title: "LEDGER"}, print.Column{Title: "REALITY"}, print.Column{Title: "DRIFT"},
	)
	for _, item := range verified.Items {
		key := corev1.ResourceName(item.Key)
		amounts := quota.Amounts(key, item.Ledger, item.Reality)
		drift := quota.Amount(key, item.Drift)
		if item.Drift.Sign() > 0 {
			drift = "+" + drift
		}
		cells := print.Texts(item.Group, item.Key, amounts[0], amounts[1])
		table.Append(append(cells, print.Cell{Text: drift, Style: theme.Bad})...)
	}
	width := o.Width()
	if o.output.Wide() {
		width = 0
	}
	return table.Write(o.Out, print.TableOptions{Width: width, NoHeaders: o.output.NoHeaders, Title: theme.Heading})
}

// printNames writes one line a group that has drifted.
func (o *verifyOptions) printNames(verified *report.QuotaVerify) error {
	last := ""
	for _, item := range verified.Items {
		if item.Group == last {
			continue
		}
		last = item.Group
		if _, err := fmt.Fprintln(o.Out, groupSingular+"/"+print.Escape(item.Group)); err != nil {
			return err
		}
	}
	return nil
}
