package quota_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// with is a changed copy of a workload.
func with(w *workload.Workload, change func(*workload.Workload)) *workload.Workload {
	out := *w
	out.PodSets = append([]workload.PodSet(nil), w.PodSets...)
	change(&out)
	return &out
}

// scaled is w with another number of replicas.
func scaled(w *workload.Workload, replicas int64) *workload.Workload {
	return with(w, func(w *workload.Workload) { w.PodSets[0].Replicas = replicas })
}

func TestCheckWorkload(t *testing.T) {
	tree := func() *quota.Tree {
		return quota.NewTree([]*quota.Group{
			withUsed(newGroup("ai", "", list("limits.cpu", "100")), list("limits.cpu", "100")),
			withUsed(newGroup("nlp", "ai", list("limits.cpu", "10")), list("limits.cpu", "4")),
			withUsed(newGroup("vision", "ai", list("limits.cpu", "40")), list("limits.cpu", "20")),
			withUsed(newGroup("speech", "ai", list("limits.cpu", "40")), list("limits.cpu", "25")),
			withUsed(newGroup("over", "", list("limits.cpu", "4", "pods", "100")), list("limits.cpu", "6", "pods", "3")),
			withUsed(newGroup("models", "", list("limits.cpu", "10", "limits.cpu.A4", "4")), list("limits.cpu", "4", "limits.cpu.A4", "4")),
			withUsed(newGroup("spent", "", list("cpu", "10", "cash/cpu", "100")), list("cash/cpu", "100")),
			withUsed(newGroup("saving", "", list("cpu", "10", "cash/cpu", "100")), list("cash/cpu", "99999m")),
			newGroup("aliases", "", list("cpu", "2", "memory", "1Gi")),
			newGroup("gpus", "", list("requests.nvidia.com/mig-1g.5gb", "4", "requests.nvidia.com/mig-1g.5gb.A30", "2")),
			newGroup("nothing", "", list("pods", "0")),
		})
	}
	cores := func(group string, replicas int64, cpu string) *workload.Workload {
		return deployment(t, group, replicas, pod(list("cpu", cpu)))
	}
	a4 := func(w *workload.Workload) *workload.Workload {
		return with(w, func(w *workload.Workload) { w.Models.CPU = "A4" })
	}
	none := []string(nil)
	tests := map[string]struct {
		old, new *workload.Workload
		want     []string // the reasons of the refusal
	}{
		"no group":      {new: cores("", 1000, "1"), want: none},
		"fits exactly":  {new: cores("nlp", 6, "1"), want: none},
		"not specified": {new: deployment(t, "nlp", 1, pod(nil)), want: []string{"group nlp: must specify limits.cpu for: main"}},
		"the refusal of the specification": {
			new:  cores("nlp", 8, "1500m"),
			want: []string{"group nlp: limits.cpu: needs 12, 6 of 10 left (short 6); largest that fits: 4 replicas; sibling vision has 20 idle"},
		},
		"one replica fits": {
			new:  cores("nlp", 2, "4"),
			want: []string{"group nlp: limits.cpu: needs 8, 6 of 10 left (short 2); largest that fits: 1 replica; sibling vision has 20 idle"},
		},
		"none fits": {
			new:  cores("nlp", 1, "8"),
			want: []string{"group nlp: limits.cpu: needs 8, 6 of 10 left (short 2); largest that fits: 0 replicas; sibling vision has 20 idle"},
		},
		"grows by what is left": {old: cores("nlp", 4, "1"), new: cores("nlp", 10, "1"), want: none},
		"grows by more": {
			old: cores("nlp", 4, "1"), new: cores("nlp", 11, "1"),
			want: []string{"group nlp: limits.cpu: needs 7, 6 of 10 left (short 1); largest that fits: 10 replicas; sibling vision has 20 idle"},
		},
		"a larger template grows too": {
			old: cores("nlp", 4, "1"), new: cores("nlp", 4, "3"),
			want: []string{"group nlp: limits.cpu: needs 8, 6 of 10 left (short 2); largest that fits: 3 replicas; sibling vision has 20 idle"},
		},
		"more replicas of a smaller template": {old: cores("nlp", 4, "1"), new: cores("nlp", 8, "500m"), want: none},
		"resumed": {
			old: with(cores("nlp", 8, "1"), func(w *workload.Workload) { w.Suspended = true }), new: cores("nlp", 8, "1"),
			want: []string{"group nlp: limits.cpu: needs 8, 6 of 10 left (short 2); largest that fits: 6 replicas; sibling vision has 20 idle"},
		},
		"suspended":                   {new: with(cores("nlp", 800, "1"), func(w *workload.Workload) { w.Suspended = true }), want: none},
		"unchanged while over":        {old: cores("over", 6, "1"), new: cores("over", 6, "1"), want: none},
		"scaled down while over":      {old: cores("over", 6, "1"), new: cores("over", 5, "1"), want: none},
		"scaled to nothing":           {old: cores("over", 6, "1"), new: cores("over", 0, "1"), want: none},
		"another key while over":      {old: cores("over", 1, "2"), new: cores("over", 2, "1"), want: none},
		"any growth while over":       {old: cores("over", 6, "1"), new: cores("over", 7, "1"), want: []string{"group over: limits.cpu: needs 1, -2 of 4 left (short 3); largest that fits: 4 replicas"}},
		"created while over":          {new: cores("over", 1, "100m"), want: []string{"group over: limits.cpu: needs 0.1, -2 of 4 left (short 2.1); largest that fits: 0 replicas"}},
		"moved out of an over group":  {old: cores("over", 6, "1"), new: cores("nlp", 6, "1"), want: none},
		"moved into a group in full":  {old: cores("vision", 7, "1"), new: cores("nlp", 7, "1"), want: []string{"group nlp: limits.cpu: needs 7, 6 of 10 left (short 1); largest that fits: 6 replicas; sibling vision has 20 idle"}},
		"moved and shrunk still pays": {old: cores("vision", 9, "1"), new: cores("nlp", 7, "1"), want: []string{"group nlp: limits.cpu: needs 7, 6 of 10 left (short 1); largest that fits: 6 replicas; sibling vision has 20 idle"}},
		"leaves its group":            {old: cores("over", 6, "1"), new: cores("", 60, "1"), want: none},
		"the template of another group": {
			new: with(cores("nlp", 1, "1"), func(w *workload.Workload) {
				w.PodSets[0].Template.Labels = map[string]string{"biz.group.resource.quota": "vision"}
			}),
			want: []string{"group nlp: the pod template's label biz.group.resource.quota names vision: name the same group there, or none"},
		},
		"many keys that the group has not": {
			new: with(cores("nlp", 1, "1"), func(w *workload.Workload) {
				limits := w.PodSets[0].Template.Spec.Containers[0].Resources.Limits
				for i := range 100 {
					limits[corev1.ResourceName(fmt.Sprintf("example.com/device-%d", i))] = resource.MustParse("1")
				}
			}),
		},
		"no such group": {
			new:  cores("nlpp", 1, "1"),
			want: []string{`label biz.group.resource.quota: there is no group "nlpp"; did you mean "nlp"?`},
		},
		"no such group, nor one alike":       {new: cores("frontend-team", 1, "1"), want: []string{`label biz.group.resource.quota: there is no group "frontend-team"`}},
		"moved to no such group":             {old: cores("over", 6, "1"), new: cores("frontend-team", 1, "1"), want: []string{`label biz.group.resource.quota: there is no group "frontend-team"`}},
		"grows in a group that is gone":      {old: cores("frontend-team", 6, "1"), new: cores("frontend-team", 7, "1"), want: []string{`label biz.group.resource.quota: there is no group "frontend-team"`}},
		"shrinks in a group that is gone":    {old: cores("frontend-team", 6, "1"), new: cores("frontend-team", 5, "1"), want: none},
		"A4 is full, other models are not":   {new: cores("models", 6, "1"), want: none},
		"another model":                      {new: with(cores("models", 6, "1"), func(w *workload.Workload) { w.Models.CPU = "A3" }), want: none},
		"A4 is full":                         {new: a4(cores("models", 1, "1")), want: []string{"group models: limits.cpu.A4: needs 1, 0 of 4 left (short 1); largest that fits: 0 replicas"}},
		"the model changes":                  {old: cores("models", 2, "1"), new: a4(cores("models", 2, "1")), want: []string{"group models: limits.cpu.A4: needs 2, 0 of 4 left (short 2); largest that fits: 0 replicas"}},
		"cash is used up":                    {new: cores("spent", 1, "1"), want: []string{"group spent: cash/cpu: used up, 100 of 100 core-hours"}},
		"grows when cash is used up":         {old: cores("spent", 1, "1"), new: cores("spent", 2, "1"), want: []string{"group spent: cash/cpu: used up, 100 of 100 core-hours"}},
		"unchanged when cash is used up":     {old: cores("spent", 2, "1"), new: cores("spent", 2, "1"), want: none},
		"shrinks when cash is used up":       {old: cores("spent", 2, "1"), new: cores("spent", 1, "1"), want: none},
		"a little cash is left":              {new: cores("saving", 10, "1"), want: none},
		"short names mean requests":          {new: deployment(t, "aliases", 3, pod(list("cpu", "1", "memory", "100Mi"))), want: []string{"group aliases: cpu: needs 3, 2 of 2 left (short 1); largest that fits: 2 replicas"}},
		"short names are asked for in full":  {new: deployment(t, "aliases", 1, pod(nil)), want: []string{"group aliases: must specify requests.cpu for: main", "group aliases: must specify requests.memory for: main"}},
		"names with dots":                    {new: deployment(t, "gpus", 4, pod(list("nvidia.com/mig-1g.5gb", "1"))), want: none},
		"a model of names with dots":         {new: with(deployment(t, "gpus", 3, pod(list("nvidia.com/mig-1g.5gb", "1"))), func(w *workload.Workload) { w.Models.GPU = "A30" }), want: []string{"group gpus: requests.nvidia.com/mig-1g.5gb.A30: needs 3, 2 of 2 left (short 1); largest that fits: 2 replicas"}},
		"an extended resource may be absent": {new: deployment(t, "gpus", 4, pod(nil)), want: none},
		"no pods at all":                     {new: deployment(t, "nothing", 1, pod(nil)), want: []string{"group nothing: pods: needs 1, 0 of 0 left (short 1); largest that fits: 0 replicas"}},
		"as many pods as none":               {new: deployment(t, "nothing", 0, pod(nil)), want: none},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			check := tree().CheckWorkload(quota.Change{Old: test.old, New: test.new})
			if diff := cmp.Diff(test.want, check.Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("reasons: -want +got:\n%s", diff)
			}
			if check.Allowed != (len(test.want) == 0) || check.Group != test.new.Group {
				t.Errorf("allowed %t, group %q", check.Allowed, check.Group)
			}
		})
	}
}

// Every short key has its line, in the order of keys; the model's use is the base's too.
func TestCheckWorkloadManyKeys(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10", "limits.cpu.A4", "4", "pods", "50"))})
	w := with(deployment(t, "nlp", 12, pod(list("cpu", "1"))), func(w *workload.Workload) { w.Models.CPU = "A4" })
	want := &report.QuotaCheck{
		TypeMeta: metav1.TypeMeta{APIVersion: "report.stowage.dev/v1alpha1", Kind: "QuotaCheck"},
		Object:   "default/deployment.apps/web", Group: "nlp",
		Exceeded: []report.QuotaExceeded{
			{Key: "limits.cpu", Needs: resource.MustParse("12"), Left: resource.MustParse("10"), Short: resource.MustParse("2"), Hard: resource.MustParse("10"), LargestFit: ptr.To[int64](10)},
			{Key: "limits.cpu.A4", Needs: resource.MustParse("12"), Left: resource.MustParse("4"), Short: resource.MustParse("8"), Hard: resource.MustParse("4"), LargestFit: ptr.To[int64](4)},
		},
		Reasons: []string{
			"group nlp: limits.cpu: needs 12, 10 of 10 left (short 2); largest that fits: 10 replicas",
			"group nlp: limits.cpu.A4: needs 12, 4 of 4 left (short 8); largest that fits: 4 replicas",
		},
		Warnings: []string{},
	}
	got := tree.CheckWorkload(quota.Change{New: w})
	if diff := cmp.Diff(want, got, sameLists, cmpopts.IgnoreFields(report.QuotaCheck{}, "TypeMeta")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.Kind != "QuotaCheck" {
		t.Errorf("kind %q", got.Kind)
	}
}

// A group of 10 cores, 4 of them on A4: 4 cores on A4 count in both; then A4 is
// full, and 6 cores of other models fit, one by one.
func TestModelKeys(t *testing.T) {
	group := newGroup("nlp", "", list("limits.cpu", "10", "limits.cpu.A4", "4"))
	tree := quota.NewTree([]*quota.Group{group})
	admit := func(w *workload.Workload) bool {
		c := quota.Change{New: w}
		if !tree.CheckWorkload(c).Allowed {
			return false
		}
		reserve(group, "request-"+w.Name, w.Name, "", c.Growth(group))
		return true
	}
	named := func(name, model string, replicas int64) *workload.Workload {
		return with(deployment(t, "nlp", replicas, pod(list("cpu", "1"))), func(w *workload.Workload) { w.Name, w.Models.CPU = name, model })
	}
	if !admit(named("a", "A4", 4)) {
		t.Fatal("4 cores on A4 do not fit 4 of 10")
	}
	if diff := cmp.Diff(map[string]string{"limits.cpu": "4", "limits.cpu.A4": "4"}, text(group.Status.Used)); diff != "" {
		t.Errorf("used: -want +got:\n%s", diff)
	}
	if admit(named("b", "A4", 1)) {
		t.Error("a fifth core on A4 was admitted")
	}
	if !admit(named("c", "A3", 5)) || !admit(named("d", "", 1)) {
		t.Error("6 cores of other models were not admitted")
	}
	if admit(named("e", "", 1)) {
		t.Error("an eleventh core was admitted")
	}
}

// A group of 10 cores with 1 in use: of two workloads of 5, one fits.
func TestTwoOfFive(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("limits.cpu", "10")), list("limits.cpu", "1"))
	tree := quota.NewTree([]*quota.Group{group})
	change := quota.Change{New: deployment(t, "nlp", 5, pod(list("cpu", "1")))}
	if check := tree.CheckWorkload(change); !check.Allowed {
		t.Fatalf("the first: %v", check.Reasons)
	}
	reserve(group, "first", "a", "", change.Growth(group))
	want := []string{"group nlp: limits.cpu: needs 5, 4 of 10 left (short 1); largest that fits: 4 replicas"}
	if diff := cmp.Diff(want, tree.CheckWorkload(change).Reasons); diff != "" {
		t.Errorf("the second: -want +got:\n%s", diff)
	}
}

func TestMustSpecify(t *testing.T) {
	two := func(limits, init corev1.ResourceList) corev1.PodSpec {
		return corev1.PodSpec{
			InitContainers: []corev1.Container{container("init", init, nil)},
			Containers:     []corev1.Container{container("main", limits, nil), container("aside", limits, nil)},
		}
	}
	ofPod := pod(nil)
	ofPod.Resources = &corev1.ResourceRequirements{Limits: list("cpu", "1")}
	tests := map[string]struct {
		hard  corev1.ResourceList
		spec  corev1.PodSpec
		model string
		want  []string
	}{
		"given":                    {hard: list("limits.cpu", "10"), spec: two(list("cpu", "1"), list("cpu", "1"))},
		"every container":          {hard: list("limits.cpu", "10"), spec: two(nil, nil), want: []string{"group g: must specify limits.cpu for: aside,init,main"}},
		"init containers too":      {hard: list("limits.cpu", "10"), spec: two(list("cpu", "1"), nil), want: []string{"group g: must specify limits.cpu for: init"}},
		"for the pod":              {hard: list("limits.cpu", "10"), spec: ofPod},
		"not limited":              {hard: list("pods", "10"), spec: two(nil, nil)},
		"a limit is a request":     {hard: list("requests.cpu", "10"), spec: pod(list("cpu", "1"))},
		"a request is no limit":    {hard: list("limits.cpu", "10"), spec: corev1.PodSpec{Containers: []corev1.Container{container("main", nil, list("cpu", "1"))}}, want: []string{"group g: must specify limits.cpu for: main"}},
		"hours need it too":        {hard: list("cash/limits.cpu", "10"), spec: pod(nil), want: []string{"group g: must specify limits.cpu for: main"}},
		"its model's key":          {hard: list("limits.cpu.A4", "10"), spec: pod(nil), model: "A4", want: []string{"group g: must specify limits.cpu for: main"}},
		"another model's key":      {hard: list("limits.cpu.A4", "10"), spec: pod(nil), model: "A3"},
		"limits before requests":   {hard: list("memory", "1Gi", "limits.memory", "1Gi"), spec: pod(nil), want: []string{"group g: must specify limits.memory for: main", "group g: must specify requests.memory for: main"}},
		"not of extended resource": {hard: list("requests.nvidia.com/gpu", "10"), spec: pod(nil)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := quota.NewTree([]*quota.Group{newGroup("g", "", test.hard)})
			w := with(deployment(t, "g", 1, test.spec), func(w *workload.Workload) { w.Models.CPU = test.model })
			if diff := cmp.Diff(test.want, tree.CheckWorkload(quota.Change{New: w}).Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if check := tree.CheckWorkload(quota.Change{Old: w, New: scaled(w, 0)}); !check.Allowed {
				t.Errorf("scaled down: %v", check.Reasons)
			}
		})
	}
}

// What a workload left out before the group limited it, it may go on leaving out,
// as long as it does not grow.
func TestMustSpecifyToGrow(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("g", "", list("limits.memory", "1Gi"))})
	w := deployment(t, "g", 3, pod(list("cpu", "1")))
	for _, replicas := range []int64{0, 2, 3} {
		if check := tree.CheckWorkload(quota.Change{Old: w, New: scaled(w, replicas)}); !check.Allowed {
			t.Errorf("from 3 to %d: %v", replicas, check.Reasons)
		}
	}
	want := "group g: must specify limits.memory for: main"
	if got := quota.Text(tree.CheckWorkload(quota.Change{Old: w, New: scaled(w, 4)})); got != want {
		t.Errorf("from 3 to 4: %q, want %q", got, want)
	}
	if got := quota.Text(tree.CheckWorkload(quota.Change{Old: with(w, func(w *workload.Workload) { w.Group = "other" }), New: w})); got != want {
		t.Errorf("moved here: %q, want %q", got, want)
	}
}

// The sibling that is named has most of the key, however it spells it, by a count.
func TestIdleSibling(t *testing.T) {
	full := withUsed(newGroup("full", "ai", list("cpu", "4")), list("requests.cpu", "4"))
	never := newGroup("never-counted", "ai", list("cpu", "400"))
	never.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{}
	for name, test := range map[string]struct {
		siblings []*quota.Group
		want     string
	}{
		"none":             {},
		"one that is full": {siblings: []*quota.Group{full}},
		"one by all names": {siblings: []*quota.Group{full, newGroup("b", "ai", list("requests.cpu", "7"))}, want: "b 7"},
		"the idlest":       {siblings: []*quota.Group{newGroup("a", "ai", list("cpu", "6")), newGroup("b", "ai", list("cpu", "7")), newGroup("c", "ai", list("cpu", "5"))}, want: "b 7"},
		"the first of two": {siblings: []*quota.Group{newGroup("b", "ai", list("cpu", "7")), newGroup("a", "ai", list("cpu", "7"))}, want: "a 7"},
		"not a stranger":   {siblings: []*quota.Group{newGroup("b", "other", list("cpu", "7"))}},
		"not one unknown":  {siblings: []*quota.Group{never}},
		"not of another":   {siblings: []*quota.Group{newGroup("b", "ai", list("limits.cpu", "7"))}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := quota.NewTree(append(test.siblings, newGroup("nlp", "ai", list("cpu", "1"))))
			check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 2, pod(list("cpu", "1")))})
			if len(check.Exceeded) != 1 {
				t.Fatalf("exceeded: %+v", check.Exceeded)
			}
			got := ""
			if idle := check.Exceeded[0].Idle; idle != nil {
				got = idle.Group + " " + idle.Left.String()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLargestFitOnlyWhereThereIsOne(t *testing.T) {
	group := newGroup("g", "", list("limits.cpu", "3"))
	surging := newGroup("surging", "", list("limits.cpu", "3"))
	surging.Spec.Surge = stowagev1alpha1.SurgeCount
	tree := quota.NewTree([]*quota.Group{group, surging})
	of := func(resource, group string, set workload.PodSet) *workload.Workload {
		set.Template = &corev1.PodTemplateSpec{Spec: pod(list("cpu", "1"))}
		return &workload.Workload{Kind: kindOf(t, resource), Name: "w", Group: group, PodSets: []workload.PodSet{set}}
	}
	nodes := []*corev1.Node{{}, {}, {}, {}}
	for i, node := range nodes {
		node.Name = string(rune('a' + i))
	}
	for name, test := range map[string]struct {
		w    *workload.Workload
		want *int64
	}{
		"a StatefulSet":               {of("statefulsets.apps", "g", workload.PodSet{Replicas: 4}), ptr.To[int64](3)},
		"a Job":                       {of("jobs.batch", "g", workload.PodSet{Replicas: 4}), ptr.To[int64](3)},
		"a DaemonSet":                 {of("daemonsets.apps", "g", workload.PodSet{PerNode: true}), nil},
		"a Deployment":                {of("deployments.apps", "surging", workload.PodSet{Replicas: 4}), ptr.To[int64](3)},
		"a Deployment with its surge": {of("deployments.apps", "surging", workload.PodSet{Replicas: 3, Surge: 1}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			check := tree.CheckWorkload(quota.Change{New: test.w, Nodes: nodes})
			if len(check.Exceeded) != 1 {
				t.Fatalf("exceeded: %+v", check.Exceeded)
			}
			if diff := cmp.Diff(test.want, check.Exceeded[0].LargestFit); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestCashUsedUpSaysWhenItRefills(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("cash/limits.cpu", "100")), list("cash/limits.cpu", "100.126"))
	group.Spec.Refill = &stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "Asia/Shanghai"}
	check := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(list("cpu", "1")))})
	if want := `group nlp: cash/limits.cpu: used up, 100.1 of 100 core-hours; refills at "0 0 * * 1" Asia/Shanghai`; quota.Text(check) != want {
		t.Errorf("got  %s\nwant %s", quota.Text(check), want)
	}
}

func TestFractionsOfBytesAreWarnedOf(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10"))})
	check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(list("cpu", "1", "memory", "500m")))})
	want := []string{`container main: memory: 500m is 0.5 bytes, as "m" is a thousandth: 500Mi is 500 mebibytes`}
	if diff := cmp.Diff(want, check.Warnings); diff != "" || !check.Allowed {
		t.Errorf("allowed %t; warnings: -want +got:\n%s", check.Allowed, diff)
	}
}

// So are those that stand for the pod as a whole, of any bytes, and by default.
func TestFractionsOfBytesAnywhereAreWarnedOf(t *testing.T) {
	spec := pod(list("ephemeral-storage", "100m"))
	spec.Resources = &corev1.ResourceRequirements{Limits: list("cpu", "100m", "memory", "200m")}
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, DefaultRequest: list("memory", "300m"),
	}}}}
	tree := quota.NewTree([]*quota.Group{newGroup("nlp", "", list("limits.cpu", "10"))})
	check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, spec), Defaults: workload.Defaults{Limits: []*corev1.LimitRange{limits}}})
	const is = `, as "m" is a thousandth: 500Mi is 500 mebibytes`
	want := []string{
		"container main: ephemeral-storage: 100m is 0.1 bytes" + is,
		"container main: memory: 300m is 0.3 bytes" + is,
		"pod: memory: 200m is 0.2 bytes" + is,
	}
	got := slices.Compact(slices.Sorted(slices.Values(check.Warnings)))
	if diff := cmp.Diff(want, got); diff != "" || !check.Allowed {
		t.Errorf("allowed %t; warnings: -want +got:\n%s", check.Allowed, diff)
	}
}

func TestAncestors(t *testing.T) {
	group := func(name, parent, hard, used string) *quota.Group {
		return withUsed(newGroup(name, parent, list("limits.cpu", hard, "pods", "100")), list("limits.cpu", used, "pods", "1"))
	}
	tree := func(rootUsed, aiUsed, nlpUsed string) *quota.Tree {
		return quota.NewTree([]*quota.Group{
			group("root", "", "20", rootUsed), group("ai", "root", "20", aiUsed), group("nlp", "ai", "10", nlpUsed), group("vision", "ai", "10", "8"),
		})
	}
	cores := func(replicas int64) *workload.Workload { return deployment(t, "nlp", replicas, pod(list("cpu", "1"))) }
	const rootIsOver = "group root: limits.cpu: 30 of 20 used: nothing below it grows until it fits"
	tests := map[string]struct {
		tree     *quota.Tree
		old, new *workload.Workload
		want     []string
	}{
		"all fit":                    {tree: tree("20", "20", "4"), new: cores(2)},
		"the root is over":           {tree: tree("30", "20", "4"), new: cores(2), want: []string{rootIsOver}},
		"all above are over":         {tree: tree("30", "21", "4"), new: cores(2), want: []string{"group ai: limits.cpu: 21 of 20 used: nothing below it grows until it fits", rootIsOver}},
		"over by little":             {tree: tree("20010m", "20", "4"), new: cores(2), want: []string{"group root: limits.cpu: 20.01 of 20 used: nothing below it grows until it fits"}},
		"unchanged":                  {tree: tree("30", "20", "4"), old: cores(2), new: cores(2)},
		"shrinks":                    {tree: tree("30", "20", "4"), old: cores(2), new: cores(1)},
		"what is over does not grow": {tree: tree("30", "20", "4"), new: deployment(t, "nlp", 1, pod(list("cpu", "0")))},
		"nor does it fit": {tree: tree("30", "20", "4"), new: cores(7), want: []string{
			"group nlp: limits.cpu: needs 7, 6 of 10 left (short 1); largest that fits: 6 replicas; sibling vision has 2 idle", rootIsOver,
		}},
		"the parent has some left": {tree: tree("20", "18", "4"), new: cores(8), want: []string{
			"group nlp: limits.cpu: needs 8, 6 of 10 left (short 2); largest that fits: 6 replicas; parent ai has 2 left",
		}},
		"the parent and a sibling have enough": {tree: tree("20", "18", "4"), new: cores(10), want: []string{
			"group nlp: limits.cpu: needs 10, 6 of 10 left (short 4); largest that fits: 6 replicas; parent ai has 2 left; sibling vision has 2 idle",
		}},
		"both have too little": {tree: tree("20", "18", "4"), new: cores(11), want: []string{
			"group nlp: limits.cpu: needs 11, 6 of 10 left (short 5); largest that fits: 6 replicas; parent ai has 2 left",
		}},
	}
	for name, test := range tests {
		check := test.tree.CheckWorkload(quota.Change{Old: test.old, New: test.new})
		if diff := cmp.Diff(test.want, check.Reasons, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if len(check.Exceeded) != len(check.Reasons) {
			t.Errorf("%s: %d reasons for want of %d keys", name, len(check.Reasons), len(check.Exceeded))
		}
	}
}

func TestAncestorsInACircle(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("a", "b", nil), newGroup("b", "a", nil), newGroup("c", "a", nil)})
	var names []string
	for _, group := range tree.Ancestors(tree.Group("c")) {
		names = append(names, group.Name)
	}
	if !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("ancestors of c: %q", names)
	}
}

// TestHoursOfAncestorsStopNobody: hours that its own pods overran are its own.
func TestHoursOfAncestorsStopNobody(t *testing.T) {
	root := withUsed(newGroup("root", "", list("limits.cpu", "20", "cash/limits.cpu", "100")), list("cash/limits.cpu", "101"))
	tree := quota.NewTree([]*quota.Group{root, newGroup("nlp", "root", list("limits.cpu", "10", "cash/limits.cpu", "50"))})
	if check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(list("cpu", "1")))}); !check.Allowed {
		t.Errorf("refused: %q", check.Reasons)
	}
}

func TestFoldersLimitNothingAndSaySo(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{newGroup("org", "", nil), newGroup("nlp", "org", list("limits.cpu", "10"))})
	w := deployment(t, "org", 100, pod(nil))
	check := tree.CheckWorkload(quota.Change{New: w})
	want := []string{"group org: lists no key: it is a folder, which limits nothing; name a group below it"}
	if diff := cmp.Diff(want, check.Warnings); diff != "" || !check.Allowed {
		t.Errorf("allowed %t; warnings: -want +got:\n%s", check.Allowed, diff)
	}
	if check := tree.CheckWorkload(quota.Change{Old: w, New: w}); len(check.Warnings) > 0 {
		t.Errorf("unchanged: warned %q", check.Warnings)
	}
	if check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 11, pod(list("cpu", "1")))}); check.Allowed {
		t.Error("a folder above lets grow what its group does not")
	}
}
