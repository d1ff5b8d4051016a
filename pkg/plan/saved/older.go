package saved

import (
	"bytes"
	"encoding/json"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// An older plan is one of before plans had a summary and fates; what it did not know was
// lines of text.

// fromOlder gives an older plan's JSON the form of a plan's.
func fromOlder(data []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	if fields["unknown"] == nil {
		return data, nil
	}
	var lines []string
	if err := json.Unmarshal(fields["unknown"], &lines); err != nil {
		return nil, err
	}
	unknown := make([]report.Unknown, len(lines))
	for i, line := range lines {
		unknown[i].Text = line
	}
	var err error
	if fields["unknown"], err = json.Marshal(unknown); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// asOlder is the JSON of an older plan as it was when it was sealed. What is cut out cannot
// stand in a string, where quotes are escaped.
func asOlder(data []byte, p *report.TaintPlan) ([]byte, error) {
	summary, err := json.Marshal(report.TaintSummary{})
	if err != nil {
		return nil, err
	}
	lines := make([]string, len(p.Unknown))
	for i, unknown := range p.Unknown {
		lines[i] = unknown.Text
	}
	before, err := json.Marshal(p.Unknown)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(lines)
	if err != nil {
		return nil, err
	}
	for _, change := range [][2]string{
		{`"summary":` + string(summary) + ",", ""},
		{`,"fate":""`, ""},
		{`"unknown":` + string(before), `"unknown":` + string(after)},
	} {
		data = bytes.ReplaceAll(data, []byte(change[0]), []byte(change[1]))
	}
	return data, nil
}
