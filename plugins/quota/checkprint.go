package quota

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// print writes the verdicts.
func (o *checkOptions) print(list *report.QuotaCheckList) error {
	switch {
	case o.output.Name():
		for _, check := range list.Items {
			if _, err := fmt.Fprintln(o.Out, print.Escape(check.Object)); err != nil {
				return err
			}
		}
		return nil
	case !o.output.Human():
		var object runtime.Object = list
		if len(list.Items) == 1 && !strings.HasPrefix(o.output.Format, "custom-columns") {
			object = &list.Items[0]
		}
		return o.output.PrintReport(o.Out, object)
	}
	theme := o.output.Color.Theme(o.Env)
	for _, check := range list.Items {
		if err := writeCheck(o.Out, &check, theme, o.Width()); err != nil {
			return err
		}
	}
	return nil
}

// writeCheck draws a verdict: the object's line, then the reasons and warnings.
func writeCheck(out io.Writer, check *report.QuotaCheck, theme print.Theme, width int) error {
	verdict := theme.Good("admitted")
	if !check.Allowed {
		verdict = theme.Bad("refused ")
	}
	charged := ""
	if check.Group != "" {
		charged = "  " + theme.Faint("charges "+print.Escape(check.Group))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s%s\n", verdict, theme.Strong(print.Escape(check.Object)), charged)
	for _, reason := range check.Reasons {
		fmt.Fprintln(&b, print.Hang("  - ", print.Escape(reason), width, "    "))
	}
	for _, line := range users(check) {
		fmt.Fprintln(&b, theme.Faint(print.Hang("    ", print.Escape(line), width, "      ")))
	}
	for _, warning := range check.Warnings {
		fmt.Fprintln(&b, theme.Warn(print.Hang("  ! ", print.Escape(warning), width, "    ")))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// users says of each key that is short what uses most of it.
func users(check *report.QuotaCheck) []string {
	var lines []string
	for _, exceeded := range check.Exceeded {
		var most []string
		for _, user := range exceeded.Users {
			name := user.Object
			if group, ok := strings.CutPrefix(name, groupSingular+"/"); ok {
				name = "group " + group
			}
			most = append(most, name+" "+quota.Amount(corev1.ResourceName(exceeded.Key), user.Uses))
		}
		if len(most) > 0 {
			lines = append(lines, fmt.Sprintf("largest users of %s in group %s: %s", exceeded.Key, cmp.Or(exceeded.Group, check.Group), strings.Join(most, ", ")))
		}
	}
	return lines
}
