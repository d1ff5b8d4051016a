package quota_test

import (
	"fmt"
	"strings"

	"github.com/stowage-dev/stowage/test/command"
)

func describeCases() []command.Case {
	return []command.Case{
		onGroups("describe", "describe", "nlp"),
		onGroups("describe-two", "describe", "vision", "ads"),
		onGroups("describe-wide", "describe", "nlp", "-o", "wide"),
		{Name: "describe-hostile", Args: []string{"describe", "a", "--snapshot", "testdata/dumps/hostile.yaml"}},
		{Name: "describe-strangers", Args: []string{"describe", "nlp", "--snapshot", "testdata/dumps/strangers.yaml"}},
		{Name: "describe-many", Args: []string{"describe", "busy", "--snapshot", "-"}, Stdin: busy()},
	}
}

// busy is a dump of a group with more workloads and children than are shown, of which the last
// by name are the largest.
func busy() string {
	var b strings.Builder
	b.WriteString("apiVersion: stowage.dev/v1alpha1\nkind: BizGroupResourceQuota\nmetadata: {name: busy}\nspec: {hard: {limits.cpu: '500', pods: 5k}}\n" +
		"status: {lastReconcileTime: \"2026-03-02T09:29:00.000000Z\", used: {limits.cpu: '480', pods: '200'}}\n")
	for i := range 23 {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%02d, namespace: ns, labels: {biz.group.resource.quota: busy}}\n", i)
		fmt.Fprintf(&b, "spec: {containers: [{name: main, image: a, resources: {limits: {cpu: %dm}}}]}\n", 500*(i+1))
		fmt.Fprintf(&b, "---\napiVersion: stowage.dev/v1alpha1\nkind: BizGroupResourceQuota\nmetadata: {name: team-%02d, annotations: {stowage.dev/display-name: 第%d组}}\n", i, i)
		fmt.Fprintf(&b, "spec: {parentBizGroup: busy, hard: {limits.cpu: '%d', pods: '%d'}}\n", i, 40-i)
	}
	return b.String()
}

// describeMistakes get one clear line each.
func describeMistakes() []command.Case {
	return []command.Case{
		bad("describe", "describe"),
		bad("describe-group", "describe", "visoin"),
		bad("describe-output", "describe", "nlp", "-o", "json"),
	}
}
