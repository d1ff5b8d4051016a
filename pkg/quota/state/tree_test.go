package state_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// family is root with children left and right, and leaf below left.
func family() []snapshot.Object {
	return []snapshot.Object{
		build.BizGroup("root", "").Hard("limits.cpu=10,pods=100").SelfUsed("limits.cpu=1").Used("limits.cpu=9,pods=1").Obj(),
		build.BizGroup("left", "root").Hard("limits.cpu=4,pods=10").Used("limits.cpu=1").Obj(),
		build.BizGroup("leaf", "left").Hard("limits.cpu=1,pods=1").Used("limits.cpu=1").Obj(),
		build.BizGroup("right", "root").Hard("limits.cpu=3").Obj(),
	}
}

// outline is a tree's groups, each as deep as it is, with its keys.
func outline(tree *report.QuotaTree) []string {
	lines := []string{}
	for _, item := range tree.Items {
		line := strings.Repeat("  ", item.Depth) + item.Name
		for _, key := range item.Keys {
			line += fmt.Sprintf(" %s=%d%%", key.Key, key.Percent)
		}
		lines = append(lines, line)
	}
	return lines
}

// treeOf is the report of a tree, from the named group down.
func treeOf(t *testing.T, s *state.State, name string) *report.QuotaTree {
	t.Helper()
	tree, err := s.Tree(name)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTree(t *testing.T) {
	for name, test := range map[string]struct {
		objects []snapshot.Object
		root    string
		want    []string
	}{
		"every group, a parent before its children": {family(), "",
			[]string{"root limits.cpu=90% pods=1%", "  left limits.cpu=25% pods=0%", "    leaf limits.cpu=100% pods=0%", "  right limits.cpu=0%"}},
		"one group and all below it": {family(), "left", []string{"left limits.cpu=25% pods=0%", "  leaf limits.cpu=100% pods=0%"}},
		"a parent that is not there": {[]snapshot.Object{build.BizGroup("orphan", "gone").Obj()}, "", []string{"orphan"}},
		"a cycle, each group once": {[]snapshot.Object{build.BizGroup("a", "b").Obj(), build.BizGroup("b", "a").Obj()}, "",
			[]string{"a", "  b"}},
		"any use of nothing is all": {[]snapshot.Object{build.BizGroup("a", "").Hard("pods=0,limits.cpu=0").Used("pods=1").Obj()}, "",
			[]string{"a limits.cpu=0% pods=100%"}},
		"a percentage is not cut by floating point": {[]snapshot.Object{build.BizGroup("a", "").Hard("limits.cpu=1").Used("limits.cpu=290m").Obj()}, "",
			[]string{"a limits.cpu=29%"}},
		"ResourceQuotas where there are no groups": {[]snapshot.Object{build.ResourceQuota("ns", "native", "pods=10", "pods=5")}, "",
			[]string{"native pods=50%"}},
	} {
		t.Run(name, func(t *testing.T) {
			equal(t, "the tree", test.want, outline(treeOf(t, newState(test.objects...), test.root)))
		})
	}
	if _, err := newState(family()...).Tree("rihgt"); err == nil || !strings.Contains(err.Error(), `did you mean "right"?`) {
		t.Errorf("expected an error that names the nearest group, found %v", err)
	}
}

// TestTreeKey splits what is used into its parts.
func TestTreeKey(t *testing.T) {
	group := build.BizGroup("a", "").Hard("cpu=10").SelfUsed("cpu=2").Used("cpu=9").
		Reservation("pods", "ns", "p", "requests.cpu=2").Reservation("pods", "ns", "q", "requests.cpu=1").Obj()
	key := treeOf(t, newState(group), "").Items[0].Keys[0]
	for what, pair := range map[string][2]any{
		"key": {"cpu", key.Key}, "self": {"2", key.SelfUsed.String()}, "reserved": {"3", key.Reserved.String()},
		"children": {"4", key.Children.String()}, "left": {"1", key.Left.String()},
	} {
		equal(t, what, pair[0], pair[1])
	}
}

// TestHours says how long a cash key lasts, if the pods are known.
func TestHours(t *testing.T) {
	group := build.BizGroup("a", "").Hard("cash/limits.cpu=10,limits.cpu=5").Used("cash/limits.cpu=4").Refill("0 0 * * *", "").Obj()
	running := tie(pod("p", "cpu=2").Node("node0").Obj(), "a")
	for name, test := range map[string]struct {
		objects []snapshot.Object
		// perHour and runsOut (after now) are empty where nothing is known.
		perHour, runsOut string
	}{
		"as its pods run": {[]snapshot.Object{group, running}, "2", "3h0m0s"},
		"idle":            {[]snapshot.Object{group, pod("of-nobody", "cpu=2").Node("node0").Obj()}, "0", ""},
		"what is done, and what waits, uses nothing": {[]snapshot.Object{group,
			tie(pod("done", "cpu=2").Node("node0").Phase(corev1.PodSucceeded).Obj(), "a"), tie(pod("waits", "cpu=2").Obj(), "a")}, "0", ""},
		"pods that nobody has seen":                            {[]snapshot.Object{group}, "", ""},
		"a pod as part of a workload, by the workload's group": {append(web(), group), "1", "6h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newState(test.objects...)
			keys := treeOf(t, s, "").Items[0].Keys
			perHour, runsOut := "", ""
			if keys[0].PerHour != nil {
				perHour = keys[0].PerHour.String()
			}
			if keys[0].RunsOut != nil {
				runsOut = keys[0].RunsOut.Sub(s.Now).String()
			}
			equal(t, "per hour", test.perHour, perHour)
			equal(t, "runs out after", test.runsOut, runsOut)
			equal(t, "refills", build.Epoch.AddDate(0, 0, 1), keys[0].Refills.Time)
			if keys[1].PerHour != nil || keys[1].RunsOut != nil || keys[1].Refills != nil {
				t.Errorf("limits.cpu counts no hours, and has %+v", keys[1])
			}
		})
	}
}

func TestSelect(t *testing.T) {
	for name, test := range map[string]struct {
		by   state.Selection
		want []string
	}{
		"all":               {state.Selection{}, []string{"root limits.cpu=90% pods=1%", "  left limits.cpu=25% pods=0%", "    leaf limits.cpu=100% pods=0%", "  right limits.cpu=0%"}},
		"one key":           {state.Selection{Keys: []string{"pods"}}, []string{"root pods=1%", "  left pods=0%", "    leaf pods=0%"}},
		"a share":           {state.Selection{Over: new(90.0)}, []string{"root limits.cpu=90% pods=1%", "    leaf limits.cpu=100% pods=0%"}},
		"a share of a key":  {state.Selection{Keys: []string{"pods"}, Over: new(1.0)}, []string{"root pods=1%"}},
		"more than is used": {state.Selection{Over: new(100.1)}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := treeOf(t, newState(family()...), "")
			if err := state.Select(tree, test.by); err != nil {
				t.Fatal(err)
			}
			equal(t, "the tree", test.want, outline(tree))
		})
	}
}

// TestSelectSpelling finds a key in any spelling, and names the nearest of none.
func TestSelectSpelling(t *testing.T) {
	tree := treeOf(t, newState(build.BizGroup("a", "").Hard("cpu=1").Obj()), "")
	if err := state.Select(tree, state.Selection{Keys: []string{"requests.cpu"}}); err != nil || len(tree.Items) != 1 {
		t.Errorf("expected group a, found %v and error %v", outline(tree), err)
	}
	err := state.Select(tree, state.Selection{Keys: []string{"cpus"}})
	if err == nil {
		t.Fatal("expected an error")
	}
	equal(t, "the error", `"cpus": no group has this key, expected one of cpu; did you mean "cpu"?`, err.Error())
}

func TestMostUsed(t *testing.T) {
	key := func(name string, used int64) report.QuotaTreeKey {
		return report.QuotaTreeKey{Key: name, Hard: *resource.NewQuantity(10, resource.DecimalSI), Used: *resource.NewQuantity(used, resource.DecimalSI)}
	}
	all := []report.QuotaTreeKey{key("a", 1), key("b", 3), key("c", 0), key("d", 2), key("e", 0)}
	names := func(keys []report.QuotaTreeKey) []string {
		var names []string
		for _, key := range keys {
			names = append(names, key.Key)
		}
		return names
	}
	equal(t, "the two most used", []string{"b", "d"}, names(state.MostUsed(all, 2)))
	equal(t, "equals in their order", []string{"a", "b", "c", "d"}, names(state.MostUsed(all, 4)))
	equal(t, "fewer than asked for", names(all), names(state.MostUsed(all, 9)))
	if !slices.Equal(names(all), []string{"a", "b", "c", "d", "e"}) {
		t.Error("the keys given were changed")
	}
}

// TestFiltersKeepTrueParents: a group is shown below its own parent, or below none.
func TestFiltersKeepTrueParents(t *testing.T) {
	whole, err := newState(
		build.BizGroup("root", "").Hard("cpu=30").Used("cpu=1").Obj(), build.BizGroup("a", "root").Hard("cpu=10").Used("cpu=10").Obj(),
		build.BizGroup("b", "root").Hard("cpu=10").Used("cpu=1").Obj(), build.BizGroup("b1", "b").Hard("cpu=5").Used("cpu=5").Obj(),
	).Tree("")
	if err != nil {
		t.Fatal(err)
	}
	selected, over := whole.DeepCopy(), 90.0
	if err := state.Select(selected, state.Selection{Over: &over}); err != nil {
		t.Fatal(err)
	}
	items, above := state.WithParents(whole.Items, selected.Items)
	var got []string
	for _, item := range items {
		got = append(got, fmt.Sprintf("%d %s %t", item.Depth, item.Name, above[item.Name]))
	}
	if want := []string{"0 root true", "1 a false", "1 b true", "2 b1 false"}; !slices.Equal(got, want) {
		t.Errorf("drawn: %q, want %q", got, want)
	}
}
