package quota_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

func TestCheckCreate(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{
		withUsed(newGroup("ai", "", list("limits.cpu", "10", "cash/limits.cpu", "100")), list("limits.cpu", "4", "cash/limits.cpu", "30")),
		newGroup("vision", "ai", list("limits.cpu", "8", "cash/limits.cpu", "1")),
		newGroup("short", "", list("cpu", "10")),
		withUsed(newGroup("over", "", list("limits.cpu", "20")), list("limits.cpu", "30")),
		newGroup("folder", "", nil),
		newGroup("below-over", "over", list("limits.cpu", "20")),
	})
	tests := map[string]struct {
		parent         string
		hard           corev1.ResourceList
		reasons, warns []string
	}{
		"a root":                    {hard: list("limits.cpu", "1000000")},
		"what the parent has left":  {parent: "ai", hard: list("limits.cpu", "6", "cash/limits.cpu", "70")},
		"nothing of what it has":    {parent: "ai", hard: list("limits.cpu", "0", "cash/limits.cpu", "0")},
		"keys of its own":           {parent: "ai", hard: list("limits.cpu", "1", "cash/limits.cpu", "1", "pods", "5000", "limits.cpu.A4", "1")},
		"another spelling":          {parent: "short", hard: list("requests.cpu", "10")},
		"too much in any spelling":  {parent: "short", hard: list("requests.cpu", "11"), reasons: []string{"group short: cpu: needs 11, 10 of 10 left (short 1)"}},
		"more than the parent left": {parent: "ai", hard: list("limits.cpu", "7", "cash/limits.cpu", "1"), reasons: []string{"group ai: limits.cpu: needs 7, 6 of 10 left (short 1)"}},
		"more hours than it left":   {parent: "ai", hard: list("limits.cpu", "1", "cash/limits.cpu", "71"), reasons: []string{"group ai: cash/limits.cpu: needs 71, 70 of 100 left (short 1)"}},
		"lacks keys of the parent": {parent: "ai", hard: list("pods", "1"), reasons: []string{
			"spec.hard: lacks cash/limits.cpu, which its parent ai has: give every key of the parent",
			"spec.hard: lacks limits.cpu, which its parent ai has: give every key of the parent",
		}},
		"no such parent":            {parent: "ia", hard: list("limits.cpu", "1"), reasons: []string{`spec.parentBizGroup: there is no group "ia"; did you mean "ai"?`}},
		"its own parent":            {parent: "new", hard: list("limits.cpu", "1"), reasons: []string{"spec.parentBizGroup: a group cannot be its own parent; leave it empty for a root"}},
		"bytes in thousandths":      {hard: list("limits.cpu", "500m", "requests.memory", "500m"), warns: []string{`spec.hard[requests.memory]: 500m is 0.5 bytes, as "m" is a thousandth: 500Mi is 500 mebibytes`}},
		"below one that is over":    {parent: "below-over", hard: list("limits.cpu", "1"), warns: []string{"group over: limits.cpu: 30 of 20 used: nothing below it grows until it fits"}},
		"a folder":                  {},
		"below a folder":            {parent: "folder", hard: list("limits.cpu", "1000")},
		"a folder below one":        {parent: "folder"},
		"a folder below keys":       {parent: "short", reasons: []string{"spec.hard: lacks cpu, which its parent short has: give every key of the parent"}},
		"a model above all models":  {hard: list("limits.cpu", "10", "limits.cpu.A4", "100"), warns: []string{"spec.hard[limits.cpu.A4]: 100 is above limits.cpu (10), which counts the same use: it never limits anything"}},
		"a model of as much as all": {hard: list("limits.cpu", "10", "limits.cpu.A4", "10")},
		"a model and nothing else":  {hard: list("limits.cpu.A4", "10"), warns: []string{"spec.hard: limits limits.cpu by model only: a workload that names no model is refused, and other models are not limited; add limits.cpu to limit all of them"}},
		"hours of a model alone":    {hard: list("cash/requests.nvidia.com/gpu.A100", "10"), warns: []string{"spec.hard: limits requests.nvidia.com/gpu by model only: a workload that names no model is refused, and other models are not limited; add cash/requests.nvidia.com/gpu to limit all of them"}},
		"a model, and hours of all": {hard: list("limits.cpu.A4", "10", "cash/limits.cpu.A4", "10", "cash/limits.cpu", "10")},
		"MIG's name has a dot":      {hard: list("requests.nvidia.com/mig-1g.5gb", "10")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := tree.CheckCreate(newGroup("new", test.parent, test.hard))
			if diff := cmp.Diff(test.reasons, check.Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("reasons: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.warns, check.Warnings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings: -want +got:\n%s", diff)
			}
			if check.Allowed != (len(test.reasons) == 0) || check.Object != "bizgroupresourcequota.stowage.dev/new" || check.Group != test.parent {
				t.Errorf("allowed %t, object %q, group %q", check.Allowed, check.Object, check.Group)
			}
		})
	}
}

// A4 at 100 above cpu at 10 is allowed, and cpu is what limits it.
func TestPointlessModelKeyNeverLimits(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10", "limits.cpu.A4", "100"))
	w := deployment(t, "nlp", 11, pod(list("cpu", "1")))
	w.Models.CPU = "A4"
	want := []string{"group nlp: limits.cpu: needs 11, 10 of 10 left (short 1); largest that fits: 10 replicas"}
	if diff := cmp.Diff(want, quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: w}).Reasons); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCheckUpdate(t *testing.T) {
	tree := func() *quota.Tree {
		pending := newGroup("busy", "", list("limits.cpu", "10"))
		quota.Reserve(pending, stowagev1alpha1.Reservation{
			UID: "r1", Object: stowagev1alpha1.ObjectReference{Resource: quota.GroupResource, Name: "unborn", UID: "u"}, Amounts: list("limits.cpu", "1"),
		})
		quota.Reserve(pending, stowagev1alpha1.Reservation{
			UID: "r2", Object: stowagev1alpha1.ObjectReference{Resource: quota.GroupResource, Name: "prepared", UID: "v"}, Amounts: list("limits.cpu", "1", "pods", "5"),
		})
		return quota.NewTree([]*quota.Group{
			withUsed(newGroup("ai", "", list("limits.cpu", "20")), list("limits.cpu", "14")),
			withUsed(newGroup("nlp", "ai", list("limits.cpu", "10")), list("limits.cpu", "7")),
			newGroup("vision", "ai", list("limits.cpu", "4", "pods", "10")),
			newGroup("orphan", "gone", list("limits.cpu", "4")),
			newGroup("aliases", "", list("cpu", "10")),
			newGroup("child", "aliases", list("cpu", "1")),
			pending,
		})
	}
	tests := map[string]struct {
		name           string
		change         func(*quota.Group)
		reasons, warns []string
	}{
		"nothing":                        {name: "nlp", change: func(*quota.Group) {}},
		"as much more as the parent has": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard = list("limits.cpu", "16") }},
		"more than that": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard = list("limits.cpu", "17") },
			reasons: []string{"group ai: limits.cpu: needs 7, 6 of 20 left (short 1)"}},
		"less": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard = list("limits.cpu", "7") }},
		"less than used": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard = list("limits.cpu", "6500m") },
			warns: []string{"group nlp: limits.cpu: 6.5 is below the 7 in use: nothing in it or below it grows until it fits"}},
		"a key that the parent lacks": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard["pods"] = list("pods", "5")["pods"] }},
		"without a key of the parent": {name: "nlp", change: func(g *quota.Group) { g.Spec.Hard = list("pods", "5") },
			reasons: []string{"spec.hard: lacks limits.cpu, which its parent ai has: give every key of the parent"}},
		"no parent any more": {name: "nlp", change: func(g *quota.Group) { g.Spec.ParentBizGroup = "" },
			reasons: []string{`spec.parentBizGroup: never changes (it is "ai"): create a new group under "" and move the workloads there`}},
		"a parent that is gone": {name: "orphan", change: func(g *quota.Group) { g.Spec.Hard = list("limits.cpu", "400") }},
		"a key that children lack": {name: "ai", change: func(g *quota.Group) { g.Spec.Hard["pods"] = list("pods", "5")["pods"] },
			reasons: []string{"spec.hard: a new key must be in every child first: pods is not in nlp"}},
		"another spelling is no new key": {name: "aliases", change: func(g *quota.Group) { g.Spec.Hard = list("requests.cpu", "10") }},
		"a key that a child on its way lacks": {name: "busy", change: func(g *quota.Group) { g.Spec.Hard["pods"] = list("pods", "5")["pods"] },
			reasons: []string{"spec.hard: a new key must be in every child first: pods is not in unborn"}},
		"only its labels": {name: "nlp", change: func(g *quota.Group) { g.Labels = map[string]string{"a": "b"} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := tree()
			old := tree.Group(test.name)
			changed := old.DeepCopy()
			test.change(changed)
			check := tree.CheckUpdate(old, changed)
			if diff := cmp.Diff(test.reasons, check.Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("reasons: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.warns, check.Warnings, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("warnings: -want +got:\n%s", diff)
			}
			if check.Allowed != (len(test.reasons) == 0) {
				t.Errorf("allowed %t", check.Allowed)
			}
		})
	}
}

func TestCheckUpdateNamesEveryChildThatLacksAKey(t *testing.T) {
	children := []*quota.Group{newGroup("ai", "", list("limits.cpu", "20"))}
	for _, name := range []string{"c", "a", "b"} {
		children = append(children, newGroup(name, "ai", list("limits.cpu", "1")))
	}
	tree := quota.NewTree(children)
	changed := tree.Group("ai").DeepCopy()
	changed.Spec.Hard["memory"] = list("memory", "1Gi")["memory"]
	want := []string{"spec.hard: a new key must be in every child first: memory is not in a, b, c"}
	if diff := cmp.Diff(want, tree.CheckUpdate(tree.Group("ai"), changed).Reasons); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, name := range []string{"a", "b", "c"} {
		child := tree.Group(name).DeepCopy()
		child.Spec.Hard["requests.memory"] = list("memory", "0")["memory"]
		tree.Put(child)
	}
	if check := tree.CheckUpdate(tree.Group("ai"), changed); !check.Allowed {
		t.Errorf("with the key in every child: %v", check.Reasons)
	}
}

func TestCheckDelete(t *testing.T) {
	allowed := func(g *quota.Group) *quota.Group {
		g.Annotations = map[string]string{stowagev1alpha1.DeleteWithWorkloadsAnnotation: "true"}
		return g
	}
	reserved := newGroup("reserved", "", list("limits.cpu", "10"))
	reserve(reserved, "request", "web", "", list("limits.cpu", "3", "requests.cpu", "3"))
	expecting := newGroup("expecting", "", list("limits.cpu", "10"))
	quota.Reserve(expecting, stowagev1alpha1.Reservation{
		UID: "r", Object: stowagev1alpha1.ObjectReference{Resource: quota.GroupResource, Name: "unborn", UID: "u"}, Amounts: list("limits.cpu", "1"),
	})
	tests := map[string]struct {
		group   *quota.Group
		reasons []string
	}{
		"a leaf":              {group: newGroup("leaf", "ai", list("limits.cpu", "1"))},
		"a leaf that is used": {group: withUsed(newGroup("leaf", "ai", list("limits.cpu", "5", "pods", "9")), list("limits.cpu", "4", "pods", "2")), reasons: []string{"group leaf: workloads charge it (limits.cpu 4, pods 2): delete or move them first, or annotate it stowage.dev/delete-with-workloads=true"}},
		"hours are history":   {group: withUsed(newGroup("leaf", "ai", list("cash/limits.cpu", "5")), list("cash/limits.cpu", "4"))},
		"allowed though used": {group: allowed(withUsed(newGroup("leaf", "ai", list("limits.cpu", "5")), list("limits.cpu", "4")))},
		"about to be used":    {group: reserved, reasons: []string{"group reserved: workloads charge it (limits.cpu 3): delete or move them first, or annotate it stowage.dev/delete-with-workloads=true"}},
		"has children":        {group: newGroup("ai", "", list("limits.cpu", "10")), reasons: []string{"group ai: has children (nlp, vision): only a leaf can be deleted; delete them first"}},
		"has children, and is allowed to go with workloads": {group: allowed(newGroup("ai", "", list("limits.cpu", "10"))), reasons: []string{"group ai: has children (nlp, vision): only a leaf can be deleted; delete them first"}},
		"about to have a child":                             {group: expecting, reasons: []string{"group expecting: has children (unborn): only a leaf can be deleted; delete them first"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := quota.NewTree([]*quota.Group{newGroup("vision", "ai", list("limits.cpu", "1")), newGroup("nlp", "ai", list("limits.cpu", "1")), test.group})
			check := tree.CheckDelete(test.group)
			if diff := cmp.Diff(test.reasons, check.Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if check.Allowed != (len(test.reasons) == 0) {
				t.Errorf("allowed %t", check.Allowed)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		spec stowagev1alpha1.BizGroupResourceQuotaSpec
		want []string // what each problem starts with or has
	}{
		"all of the specification's example": {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{
			ParentBizGroup: "ai",
			Hard: list("limits.cpu", "10", "limits.cpu.A4", "4", "limits.memory", "64Gi", "requests.nvidia.com/gpu", "8", "requests.nvidia.com/gpu.A30", "2",
				"pods", "50", "cash/limits.cpu", "100", "cash/requests.nvidia.com/gpu.A30", "1000"),
			Refill: &stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "Asia/Shanghai"},
			Allow:  &stowagev1alpha1.Allow{Namespaces: []string{"nlp-*"}},
		}},
		"an unknown key":       {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("limit.cpu", "1")}, want: []string{`did you mean "limits.cpu"?`}},
		"another unknown key":  {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("request.memory", "1")}, want: []string{`did you mean "requests.memory"?`}},
		"an unknown cash key":  {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("cash/limit.cpu", "1")}, want: []string{`did you mean "cash/limits.cpu"?`}},
		"a resource alone":     {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("nvidia.com/gpu", "1")}, want: []string{`did you mean "requests.nvidia.com/gpu"?`}},
		"limits of devices":    {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("limits.nvidia.com/gpu", "1")}, want: []string{`did you mean "requests.nvidia.com/gpu"?`}},
		"what people say":      {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("gpu", "1")}, want: []string{`did you mean "requests.nvidia.com/gpu"?`}},
		"with a model":         {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("cash/gpu.A30", "1")}, want: []string{`did you mean "cash/requests.nvidia.com/gpu.A30"?`}},
		"another's resource":   {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("amd.com/gpu", "1")}, want: []string{`did you mean "requests.amd.com/gpu"?`}},
		"storage":              {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("storage", "1Gi")}, want: []string{`did you mean "requests.ephemeral-storage"?`}},
		"storage of volumes":   {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("requests.storage", "1Gi")}, want: []string{`did you mean "requests.ephemeral-storage"?`}},
		"a count of objects":   {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("count/configmaps.v1", "1")}, want: []string{"spec.hard[count/configmaps.v1]: unknown key: expected"}},
		"objects as devices":   {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("requests.count/pods", "1")}, want: []string{"a ResourceQuota counts objects and volumes"}},
		"volumes as devices":   {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("requests.gold.storageclass.storage.k8s.io/x", "1")}, want: []string{"a ResourceQuota counts objects and volumes"}},
		"a negative amount":    {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("limits.cpu", "-1")}, want: []string{"spec.hard[limits.cpu]: -1 is negative: expected 0 or more"}},
		"half a GPU":           {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("requests.nvidia.com/gpu", "500m")}, want: []string{"spec.hard[requests.nvidia.com/gpu]: 500m is no whole number"}},
		"one thing twice":      {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("cpu", "1", "requests.cpu", "1")}, want: []string{"spec.hard[requests.cpu]: means the same as cpu: give one of them"}},
		"hours of it twice":    {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("cash/cpu.A4", "1", "cash/requests.cpu.A4", "1")}, want: []string{"means the same as cash/cpu.A4"}},
		"every field is named": {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("nope", "1", "pods", "-1")}, want: []string{"spec.hard[nope]", "spec.hard[pods]"}},
		"its own parent":       {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{ParentBizGroup: "nlp", Hard: list("pods", "1")}, want: []string{"spec.parentBizGroup: a group cannot be its own parent"}},
		"a broken pattern": {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("pods", "1"), Allow: &stowagev1alpha1.Allow{Namespaces: []string{"nlp-*", "nlp-["}}},
			want: []string{`spec.allow.namespaces[1]: "nlp-[" is no shell pattern`}},
		"a broken schedule": {spec: stowagev1alpha1.BizGroupResourceQuotaSpec{Hard: list("pods", "1"), Refill: &stowagev1alpha1.Refill{Schedule: "monday"}},
			want: []string{`spec.refill.schedule: "monday"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			group := newGroup("nlp", "", nil)
			group.Spec = test.spec
			problems := quota.Validate(group)
			if len(problems) != len(test.want) {
				t.Fatalf("got %q, want %q", problems, test.want)
			}
			for i, problem := range problems {
				if !strings.Contains(problem, test.want[i]) || strings.Contains(problem, "\n") {
					t.Errorf("got %q, want one line with %q", problem, test.want[i])
				}
			}
		})
	}
}

func TestParseRefill(t *testing.T) {
	for _, refill := range []stowagev1alpha1.Refill{
		{Schedule: "0 0 * * 1"}, {Schedule: "0 0 1 * *", TimeZone: "Asia/Shanghai"}, {Schedule: "@weekly"}, {Schedule: "*/5 * * * *", TimeZone: "UTC"}, {Schedule: "0 0 29 2 *"},
	} {
		if _, err := quota.ParseRefill(&refill); err != nil {
			t.Errorf("%+v: %v", refill, err)
		}
	}
	for _, test := range []struct {
		refill stowagev1alpha1.Refill
		want   string
	}{
		{stowagev1alpha1.Refill{}, "expected five Cron fields"},
		{stowagev1alpha1.Refill{Schedule: "0 0 * * 1 2026"}, "expected five Cron fields"},
		{stowagev1alpha1.Refill{Schedule: "0 24 * * *"}, "expected five Cron fields"},
		{stowagev1alpha1.Refill{Schedule: "0 0 30 2 *"}, "never comes"},
		{stowagev1alpha1.Refill{Schedule: "TZ=Asia/Shanghai 0 0 * * 1"}, "give the time zone in spec.refill.timeZone"},
		{stowagev1alpha1.Refill{Schedule: "CRON_TZ=Asia/Shanghai 0 0 * * 1"}, "give the time zone in spec.refill.timeZone"},
		{stowagev1alpha1.Refill{Schedule: "@every 168h"}, "spec.refill.schedule"}, // since when?
		{stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "Asia/Peking"}, "spec.refill.timeZone"},
		{stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "Local"}, "spec.refill.timeZone"},
		{stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "../../etc/passwd"}, "spec.refill.timeZone"},
	} {
		if _, err := quota.ParseRefill(&test.refill); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want an error with %q", test.refill, err, test.want)
		}
	}
}

func TestAllows(t *testing.T) {
	group := newGroup("nlp", "", list("pods", "1"))
	if quota.Allows(group, "nlp-a") {
		t.Error("without spec.allow every namespace is allowed")
	}
	group.Spec.Allow = &stowagev1alpha1.Allow{Namespaces: []string{"nlp-*", "team-[ab]", "exact"}}
	for namespace, want := range map[string]bool{
		"nlp-a": true, "nlp-": true, "nlp": false, "my-nlp-a": false, "team-a": true, "team-c": false, "exact": true, "exactly": false, "": false,
	} {
		if got := quota.Allows(group, namespace); got != want {
			t.Errorf("%q: %t, want %t", namespace, got, want)
		}
	}
}

// What is offered in place of an unknown key is a key that counts.
func TestKeyHints(t *testing.T) {
	for key, want := range map[string]string{
		"count/pods":             `did you mean "pods"?`,
		"count/deployments.apps": "objects and volumes are limited by a ResourceQuota",
		"persistentvolumeclaims": "objects and volumes are limited by a ResourceQuota",
		"gold.storageclass.storage.k8s.io/requests.storage":   "objects and volumes are limited by a ResourceQuota",
		"gpu.example.com.deviceclass.resource.k8s.io/devices": `did you mean "requests.deviceclass.resource.kubernetes.io/gpu.example.com"?`,
		"tpu":            `did you mean "requests.google.com/tpu"?`,
		"npu":            "write the resource that its nodes list: requests.DOMAIN/npu",
		"ram":            `did you mean "requests.memory"?`,
		"requests.ram":   `did you mean "requests.memory"?`,
		"limits.ram":     `did you mean "limits.memory"?`,
		"Limits.CPU":     `did you mean "limits.cpu"?`,
		"Pods":           `did you mean "pods"?`,
		"gpu-hours":      `did you mean "cash/requests.nvidia.com/gpu"?`,
		"cash/gpu-hours": `did you mean "cash/requests.nvidia.com/gpu"?`,
		"cpu-hours":      `did you mean "cash/requests.cpu"?`,
	} {
		problems := quota.Validate(newGroup("g", "", list(key, "1")))
		if len(problems) != 1 || !strings.HasSuffix(problems[0], "; "+want) {
			t.Errorf("%s: got %q, want %q", key, problems, want)
		}
	}
}

// A key that no pod is charged to, and that looks like one, is warned of; and a key that is
// refused is not warned of beside.
func TestKeysLikeKnownOnes(t *testing.T) {
	for key, want := range map[string]string{
		"requests.nvidia.com/GPU":          `spec.hard[requests.nvidia.com/GPU]: nvidia.com/GPU is another resource than nvidia.com/gpu; did you mean "requests.nvidia.com/gpu"?`,
		"requests.nvidia.com/gpu-A30":      `spec.hard[requests.nvidia.com/gpu-A30]: nvidia.com/gpu-A30 is another resource than nvidia.com/gpu; did you mean "requests.nvidia.com/gpu.A30"?`,
		"cash/requests.amd.com/Gpu.MI300X": `spec.hard[cash/requests.amd.com/Gpu.MI300X]: amd.com/Gpu.MI300X is another resource than amd.com/gpu; did you mean "cash/requests.amd.com/gpu.MI300X"?`,
		"requests.nvidia.com/gpu":          "",
		"requests.nvidia.com/gpumem":       "",
		"requests.example.com/gpu-A30":     "",
		"nvidia.com/gpu.A30":               "",
		"limits.memory.":                   "",
	} {
		check := quota.NewTree(nil).CheckCreate(newGroup("g", "", list(key, "1")))
		got := strings.Join(check.Warnings, "; ")
		if beside := strings.HasSuffix(got, "; "+want) && want != ""; got != want && !beside { // of a model by itself too
			t.Errorf("%s: warned %q, want %q", key, got, want)
		}
	}
}
