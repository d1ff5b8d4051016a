package quota

import (
	"fmt"

	reportv1alpha1 "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
)

// print writes the report.
func (o *verifyOptions) print(report *reportv1alpha1.QuotaVerify) error {
	switch {
	case o.output.Name():
		return o.printNames(report)
	case !o.output.Human():
		return o.output.PrintReport(o.Out, report)
	case len(report.Items) == 0:
		fmt.Fprintf(o.ErrOut, "No drift: the ledgers of %s agree with what is there\n", plural(report.Groups, "group"))
		return nil
	}
	theme := o.output.Color.Theme(o.Env)
	table := print.NewTable(
		print.Column{Title: "GROUP", Middle: true}, print.Column{Title: "KEY", Middle: true},
		print.Column{Title: "LEDGER"}, print.Column{Title: "REALITY"}, print.Column{Title: "DRIFT"},
	)
	for _, item := range report.Items {
		drift := item.Drift.String()
		if item.Drift.Sign() > 0 {
			drift = "+" + drift
		}
		cells := print.Texts(item.Group, item.Key, item.Ledger.String(), item.Reality.String())
		table.Append(append(cells, print.Cell{Text: drift, Style: theme.Bad})...)
	}
	width := o.Width()
	if o.output.Wide() {
		width = 0
	}
	return table.Write(o.Out, print.TableOptions{Width: width, NoHeaders: o.output.NoHeaders, Title: theme.Heading})
}

// printNames writes one line a group that has drifted.
func (o *verifyOptions) printNames(report *reportv1alpha1.QuotaVerify) error {
	last := ""
	for _, item := range report.Items {
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

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
