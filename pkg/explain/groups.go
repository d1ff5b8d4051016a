package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/simulate"
)

// groups puts pods of one cause together, the largest group first.
func (e *Explainer) groups(ctx context.Context, pods []*corev1.Pod, items []report.PendingItem) ([]report.PendingGroup, error) {
	var keys []groupKey
	members := map[groupKey][]int{}
	for i := range items {
		key := groupOf(&items[i])
		if members[key] == nil {
			keys = append(keys, key)
		}
		members[key] = append(members[key], i)
	}
	groups := make([]report.PendingGroup, 0, len(keys))
	for _, key := range keys {
		group, err := e.group(ctx, pods, items, members[key])
		if err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	slices.SortStableFunc(groups, func(a, b report.PendingGroup) int {
		return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Cause, b.Cause))
	})
	return groups, nil
}

// groupKey is what pods of one group share: the verdict and the first cause; the
// message where there is none.
type groupKey struct {
	verdict                 report.Verdict
	plugin, reason, subject string
	shortage                report.ShortageClass
}

func groupOf(item *report.PendingItem) groupKey {
	if len(item.Causes) == 0 {
		return groupKey{verdict: item.Verdict, reason: item.Message}
	}
	cause := item.Causes[0]
	return groupKey{item.Verdict, cause.Plugin, cause.Reason, cause.Subject, cause.Shortage}
}

// groupCause is the first cause in a sentence.
func groupCause(item *report.PendingItem) string {
	switch {
	case len(item.Causes) == 0:
		return item.Message
	case item.Causes[0].Text == "":
		return item.Causes[0].Reason
	default:
		return item.Causes[0].Reason + ": " + item.Causes[0].Text
	}
}

func (e *Explainer) group(ctx context.Context, pods []*corev1.Pod, items []report.PendingItem, members []int) (report.PendingGroup, error) {
	first := &items[members[0]]
	group := report.PendingGroup{
		Cause: groupCause(first), Verdict: first.Verdict, Pods: len(members), Example: first.Namespace + "/" + first.Name,
	}
	workloads := map[string]bool{}
	for _, i := range members {
		workloads[items[i].Namespace+"/"+cmp.Or(items[i].Workload, items[i].Name)] = true
		group.Members = append(group.Members, items[i].Namespace+"/"+items[i].Name)
	}
	slices.Sort(group.Members)
	group.Workloads = len(workloads)
	remedy, frees, err := e.bestRemedy(ctx, pods, items, members)
	group.Remedy, group.RemedyFrees = remedy, frees
	return group, err
}

// maxWeighed is how many remedies of a group are weighed by what they free.
const maxWeighed = 3

// bestRemedy is, of the remedies that most of the group's pods share, the one that
// frees most, the gentler among equals. How many it frees is counted by placing
// the pods one after another with the change in force, so that they do not share
// the same room.
func (e *Explainer) bestRemedy(ctx context.Context, pods []*corev1.Pod, items []report.PendingItem, members []int) (best *report.Remedy, most int, err error) {
	for _, s := range sharedRemedies(items, members) {
		frees, err := e.frees(ctx, pods, s.members, s.remedy)
		if err != nil {
			return nil, 0, err
		}
		if best == nil || frees > most {
			remedy := *s.remedy
			remedy.Command = commandsOf(items, s)
			best, most = &remedy, frees
		}
	}
	return best, most, nil
}

// maxCommands is how many commands a group's remedy lists: one a workload.
const maxCommands = 5

// commandsOf joins the different commands of the pods that share a remedy.
func commandsOf(items []report.PendingItem, s *sharedRemedy) string {
	var commands []string
	for _, i := range s.members {
		for _, remedy := range items[i].Remedies {
			if remedy.ID == s.remedy.ID && !slices.Contains(commands, remedy.Command) {
				commands = append(commands, remedy.Command)
			}
		}
	}
	if more := len(commands) - maxCommands; more > 0 {
		return strings.Join(commands[:maxCommands], "\n") + fmt.Sprintf("\n# and %d more", more)
	}
	return strings.Join(commands, "\n")
}

// sharedRemedy is a remedy with the pods that it is given for.
type sharedRemedy struct {
	remedy  *report.Remedy
	members []int
	rank    int
}

// sharedRemedies are the maxWeighed most shared ones, the gentler first among
// equals.
func sharedRemedies(items []report.PendingItem, members []int) []*sharedRemedy {
	byID := map[string]*sharedRemedy{}
	for _, i := range members {
		for rank := range items[i].Remedies {
			remedy := &items[i].Remedies[rank]
			s, ok := byID[remedy.ID]
			if !ok {
				s = &sharedRemedy{remedy: remedy, rank: rank}
				byID[remedy.ID] = s
			}
			s.members = append(s.members, i)
		}
	}
	list := slices.SortedFunc(maps.Values(byID), func(a, b *sharedRemedy) int {
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), cmp.Compare(a.rank, b.rank),
			cmp.Compare(a.remedy.Description, b.remedy.Description), cmp.Compare(a.remedy.ID, b.remedy.ID))
	})
	return list[:min(len(list), maxWeighed)]
}

// frees counts the pods that find a place one after another once the remedy is
// done for all of them.
func (e *Explainer) frees(ctx context.Context, pods []*corev1.Pod, members []int, remedy *report.Remedy) (int, error) {
	var edits []predicate.Edit
	changed := make([]*corev1.Pod, 0, len(members))
	for _, i := range members {
		plan, ok := e.shared.plan(keyOf(pods[i]), remedy.ID)
		if !ok {
			continue // A quota: no pod of it is there to place.
		}
		edits = plan.edits() // The same for all: the ID names them.
		pod, err := plan.changed(pods[i])
		if err != nil {
			return 0, err
		}
		changed = append(changed, pod)
	}
	if len(edits) > 0 {
		undo, err := e.engine.Apply(edits...)
		if err != nil {
			return 0, err
		}
		defer undo()
	}
	simulation := simulate.New(e.engine)
	defer simulation.Undo()
	kinds := e.alike()
	nodes, err := simulation.PlaceAll(ctx, changed, kinds.Key)
	if err != nil && ctx.Err() == nil {
		return 0, nil // A plugin's own error: nothing is certain to be freed.
	}
	if err != nil {
		return 0, err
	}
	placed := 0
	for _, node := range nodes {
		if node != "" {
			placed++
		}
	}
	return placed, nil
}
