package whypending

import (
	"cmp"
	"fmt"
	"strings"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// failureText is one plugin's rejection on one node, with its particulars in
// the place of the scheduler's words where there are any.
func failureText(failure report.Failure) string {
	particulars := particulars(failure.Detail)
	if len(particulars) == 0 {
		return strings.Join(failure.Reasons, ", ")
	}
	return strings.Join(particulars, ", ")
}

// particulars writes each thing that a detail names.
func particulars(d *report.Detail) []string {
	if d == nil {
		return nil
	}
	var texts []string
	add := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	for _, taint := range d.Taints {
		add("taint %s", taint.ToString())
	}
	for _, shortage := range d.Resources {
		add("%s %s free of %s, %s asked", shortage.Resource, shortage.Free, shortage.Capacity, shortage.Requested)
	}
	for _, mismatch := range d.Labels {
		add("%s", mismatchText(mismatch))
	}
	for _, port := range d.Ports {
		add("port %d/%s is taken", port.Port, port.Protocol)
	}
	for _, pod := range d.Pods {
		add("pod %s/%s", pod.Namespace, pod.Name)
	}
	for _, claim := range d.Claims {
		add("%s %s: %s", claim.Kind, claim.Name, claim.Problem)
	}
	for _, violation := range d.Spread {
		add("%s=%s holds %d, least %d, maxSkew %d", violation.TopologyKey, cmp.Or(violation.Domain, "<none>"), violation.Matching, violation.Minimum, violation.MaxSkew)
	}
	if d.Term != "" {
		add("term %s", d.Term)
	}
	if d.Note != "" {
		add("%s", d.Note)
	}
	return texts
}

// mismatchText writes a requirement and what the node has instead.
func mismatchText(m report.LabelMismatch) string {
	has := "<none>"
	if m.Has != nil {
		has = *m.Has
	}
	return fmt.Sprintf("%s %s (%s), has %s", m.Key, m.Operator, strings.Join(m.Values, ","), has)
}
