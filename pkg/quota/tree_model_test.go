package quota_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// plainGroup and plainWorkload are a group and a workload as the brute-force model
// has them: numbers, from which it computes everything anew for each question.
type plainGroup struct {
	parent string
	hard   map[string]int64
}

type plainWorkload struct {
	group, model string
	replicas     int64
}

// plainTree is the model of a tree and its workloads. Every key is one of treeKeys.
type plainTree struct {
	groups    map[string]plainGroup
	workloads map[string]plainWorkload
}

var treeKeys = []string{"limits.cpu", "limits.cpu.A4", "pods"}

// asks says whether a workload counts in a key, a unit a replica.
func (p plainWorkload) asks(key string) bool { return key != "limits.cpu.A4" || p.model == "A4" }

// used is what counts against a group's key.
func (m *plainTree) used(name, key string) int64 {
	var sum int64
	for _, w := range m.workloads {
		if w.group == name && w.asks(key) {
			sum += w.replicas
		}
	}
	for _, child := range m.groups {
		if child.parent == name {
			sum += child.hard[key]
		}
	}
	return sum
}

// workloadFits says whether a workload may become what it is to be.
func (m *plainTree) workloadFits(old *plainWorkload, w plainWorkload) bool {
	tied := old == nil || old.group != w.group
	if m.unnamed(w) && (tied || !m.unnamed(*old) || w.replicas > old.replicas) {
		return false
	}
	grows := func(key string) int64 {
		var before, after int64
		if w.asks(key) {
			after = w.replicas
		}
		if old != nil && old.group == w.group && old.asks(key) {
			before = old.replicas
		}
		return after - before
	}
	for key, hard := range m.groups[w.group].hard {
		if grows(key) > 0 && m.used(w.group, key)+grows(key) > hard {
			return false
		}
	}
	for above := m.groups[w.group].parent; above != ""; above = m.groups[above].parent {
		for key, hard := range m.groups[above].hard {
			if grows(key) > 0 && m.used(above, key) > hard {
				return false
			}
		}
	}
	return true
}

// unnamed says whether a workload names no model, in a group that limits by model only.
func (m *plainTree) unnamed(w plainWorkload) bool {
	_, all := m.groups[w.group].hard["limits.cpu"]
	_, some := m.groups[w.group].hard["limits.cpu.A4"]
	return w.model == "" && some && !all
}

// groupFits says whether a group may become what it is to be.
func (m *plainTree) groupFits(name string, old *plainGroup, group plainGroup) bool {
	if old != nil && old.parent != group.parent {
		return false
	}
	if parent, ok := m.groups[group.parent]; ok {
		for key, hard := range parent.hard {
			asked, ok := group.hard[key]
			if !ok {
				return false
			}
			grows := asked
			if old != nil {
				grows -= old.hard[key]
			}
			if grows > 0 && m.used(group.parent, key)+grows > hard {
				return false
			}
		}
	} else if group.parent != "" {
		return false
	}
	for _, child := range m.groups {
		for key := range group.hard {
			_, has := child.hard[key]
			had := false
			if old != nil {
				_, had = old.hard[key]
			}
			if child.parent == name && !has && !had {
				return false
			}
		}
	}
	return true
}

// mayGo says whether a group may be deleted.
func (m *plainTree) mayGo(name string) bool {
	for _, child := range m.groups {
		if child.parent == name {
			return false
		}
	}
	for _, w := range m.workloads {
		if w.group == name && w.replicas > 0 {
			return false
		}
	}
	return true
}

func (m *plainTree) depth(name string) int {
	depth := 0
	for name != "" {
		depth++
		name = m.groups[name].parent
	}
	return depth
}

// realTree is the same by package quota: counted anew after each step.
type realTree struct {
	tree  *quota.Tree
	index *quota.Index
	kind  *workload.Kind
}

func (r *realTree) workload(name string, w plainWorkload) *workload.Workload {
	return &workload.Workload{
		Kind: r.kind, Name: name, UID: newGroup(name, "", nil).UID, Group: w.group, Models: workload.Models{CPU: w.model},
		PodSets: []workload.PodSet{{Replicas: w.replicas, Template: oneCore()}},
	}
}

func (r *realTree) group(name string, group plainGroup) *quota.Group {
	hard := corev1.ResourceList{}
	for key, n := range group.hard {
		hard[corev1.ResourceName(key)] = *resource.NewQuantity(n, resource.DecimalSI)
	}
	return newGroup(name, group.parent, hard)
}

func (r *realTree) count() {
	for _, name := range r.tree.Names() {
		group := r.tree.Group(name).DeepCopy()
		group.Status = quota.Settle(group, quota.Seen{Self: r.index.SelfUsed(group), Workloads: r.index.Len(group), Children: r.tree.ChildrenHard(name), Version: unseen}, metav1.NewTime(monday))
		r.tree.Put(group)
	}
}

// Whatever is created, changed, moved and deleted in trees of groups: package quota
// allows what plain arithmetic over everything allows, and counts what it counts.
func TestTreeAgreesWithPlainArithmetic(t *testing.T) {
	kind := kindOf(t, "deployments.apps")
	rapid.Check(t, func(t *rapid.T) {
		model := &plainTree{groups: map[string]plainGroup{}, workloads: map[string]plainWorkload{}}
		real := &realTree{tree: quota.NewTree(nil), index: quota.NewIndex(table), kind: kind}
		names := 0
		newName := func(prefix string) string {
			names++
			return fmt.Sprintf("%s%d", prefix, names)
		}
		agree := func(t *rapid.T, allowed bool, reasons []string, want bool) bool {
			if allowed != want || allowed != (len(reasons) == 0) {
				t.Fatalf("allowed %t, want %t: %s", allowed, want, strings.Join(reasons, "; "))
			}
			return allowed
		}
		drawHard := func(t *rapid.T) map[string]int64 {
			hard := map[string]int64{}
			for _, key := range treeKeys {
				if rapid.IntRange(0, 4).Draw(t, "has "+key) > 0 {
					hard[key] = rapid.Int64Range(0, 30).Draw(t, key)
				}
			}
			return hard
		}
		putWorkload := func(t *rapid.T, name string, old *plainWorkload, w plainWorkload) {
			change := quota.Change{New: real.workload(name, w)}
			if old != nil {
				change.Old = real.workload(name, *old)
			}
			check := real.tree.CheckWorkload(change)
			if agree(t, check.Allowed, check.Reasons, model.workloadFits(old, w)) {
				model.workloads[name] = w
				real.index.Put(change.New)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"create group": func(t *rapid.T) {
				parents := append(slices.Sorted(maps.Keys(model.groups)), "", "missing")
				group := plainGroup{parent: rapid.SampledFrom(parents).Draw(t, "parent"), hard: drawHard(t)}
				if model.depth(group.parent) >= 4 {
					return
				}
				name := newName("g")
				check := real.tree.CheckCreate(real.group(name, group))
				if agree(t, check.Allowed, check.Reasons, model.groupFits(name, nil, group)) {
					model.groups[name] = group
					real.tree.Put(real.group(name, group))
				}
			},
			"change group": func(t *rapid.T) {
				name, ok := pick(t, "group", model.groups)
				if !ok {
					return
				}
				old := model.groups[name]
				group := plainGroup{parent: old.parent, hard: drawHard(t)}
				if rapid.IntRange(0, 9).Draw(t, "moves") == 0 {
					group.parent, _ = pick(t, "parent", model.groups)
				}
				if group.parent == name {
					return
				}
				check := real.tree.CheckUpdate(real.tree.Group(name), real.group(name, group))
				if agree(t, check.Allowed, check.Reasons, model.groupFits(name, &old, group)) {
					model.groups[name] = group
					real.tree.Put(real.group(name, group))
				}
			},
			"delete group": func(t *rapid.T) {
				name, ok := pick(t, "group", model.groups)
				if !ok {
					return
				}
				check := real.tree.CheckDelete(real.tree.Group(name))
				// Workloads keep it that none of its keys counts; those without pods do not.
				if agree(t, check.Allowed, check.Reasons, model.mayGo(name)) {
					delete(model.groups, name)
					real.tree.Remove(name)
					for _, uid := range slices.Sorted(maps.Keys(model.workloads)) {
						if model.workloads[uid].group == name {
							delete(model.workloads, uid)
							real.index.Remove(newGroup(uid, "", nil).UID)
						}
					}
				}
			},
			"create workload": func(t *rapid.T) {
				if group, ok := pick(t, "group", model.groups); ok {
					w := plainWorkload{group: group, model: rapid.SampledFrom([]string{"", "A4", "A3"}).Draw(t, "model"), replicas: rapid.Int64Range(0, 12).Draw(t, "replicas")}
					putWorkload(t, newName("w"), nil, w)
				}
			},
			"change workload": func(t *rapid.T) {
				name, ok := pick(t, "workload", model.workloads)
				if !ok {
					return
				}
				old := model.workloads[name]
				w := old
				switch rapid.SampledFrom([]string{"scale", "move", "model"}).Draw(t, "change") {
				case "scale":
					w.replicas = rapid.Int64Range(0, 12).Draw(t, "replicas")
				case "move":
					w.group, _ = pick(t, "group", model.groups)
				case "model":
					w.model = rapid.SampledFrom([]string{"", "A4", "A3"}).Draw(t, "model")
				}
				putWorkload(t, name, &old, w)
			},
			"delete workload": func(t *rapid.T) {
				if name, ok := pick(t, "workload", model.workloads); ok {
					delete(model.workloads, name)
					real.index.Remove(newGroup(name, "", nil).UID)
				}
			},
			"": func(t *rapid.T) {
				real.count()
				for name, group := range model.groups {
					want := map[string]int64{}
					for key := range group.hard {
						want[key] = model.used(name, key)
					}
					got := map[string]int64{}
					for key, quantity := range real.tree.Group(name).Status.Used {
						got[string(key)] = quantity.Value()
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("group %s: used: -want +got:\n%s", name, diff)
					}
				}
			},
		})
	})
}

func TestTree(t *testing.T) {
	tree := quota.NewTree([]*quota.Group{
		newGroup("b", "a", list("cpu", "2", "pods", "1")), newGroup("c", "a", list("requests.cpu", "3")), newGroup("a", "", list("cpu", "10")), newGroup("z", "gone", list("cpu", "1")),
	})
	names := func(groups []*quota.Group) string {
		var out []string
		for _, group := range groups {
			out = append(out, group.Name)
		}
		return strings.Join(out, " ")
	}
	if got := names(tree.Roots()); got != "a z" {
		t.Errorf("roots %s, want a z: those without a parent, and those whose parent is gone", got)
	}
	if got := names(tree.Children("a")); got != "b c" {
		t.Errorf("children %s, want b c", got)
	}
	if diff := cmp.Diff(map[string]string{"requests.cpu": "5", "pods": "1"}, text(tree.ChildrenHard("a"))); diff != "" {
		t.Errorf("children's hard: -want +got:\n%s", diff)
	}
	tree.Put(newGroup("c", "b", list("cpu", "1")))
	if got := names(tree.Children("a")) + "; " + names(tree.Children("b")); got != "b; c" {
		t.Errorf("children after c was put under b: %s", got)
	}
	tree.Remove("c")
	tree.Remove("unknown")
	if got := strings.Join(tree.Names(), " "); got != "a b z" || tree.Group("c") != nil || len(tree.Children("b")) > 0 {
		t.Errorf("after c is removed: %s", got)
	}
}
