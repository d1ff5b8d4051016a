package state

import (
	"context"
	"fmt"
	"slices"
	"strings"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// heirs are what is charged in place of a workload that names no group and is part of none
// that does: what it makes has the labels of its templates, and so their groups. One for
// each group, with the pods of that; none where no template names one.
func (s *State) heirs(object snapshot.Object, w *workload.Workload) []*workload.Workload {
	if w == nil || w.Group != "" {
		return nil
	}
	if charger, _ := s.Workloads.Charger(w); charger != nil {
		return nil
	}
	if len(w.Kind.PodSets) == 0 {
		made, err := s.Kinds.Made(w.Kind, object)
		switch {
		case made == nil || err != nil:
			return nil
		case made.Group != "":
			return []*workload.Workload{made}
		}
		w = made
	}
	return byTemplates(w)
}

// byTemplates are the workload's pods by the groups that their templates name. The
// workload's own labels, which name models, are not those of what it makes.
func byTemplates(w *workload.Workload) []*workload.Workload {
	var heirs []*workload.Workload
	for _, set := range w.PodSets {
		group := set.Template.Labels[stowagev1alpha1.GroupLabel]
		if group == "" {
			continue
		}
		i := slices.IndexFunc(heirs, func(heir *workload.Workload) bool { return heir.Group == group })
		if i < 0 {
			heir := *w
			heir.Group, heir.Models, heir.PodSets = group, workload.Models{}, nil
			i, heirs = len(heirs), append(heirs, &heir)
		}
		heirs[i].PodSets = append(heirs[i].PodSets, set)
	}
	return heirs
}

// ungrouped says of a workload that may be without a group that it charges nothing, or
// which groups are charged in its place, and what they will refuse.
func (t *Trial) ungrouped(ctx context.Context, e Edit, before snapshot.Object, change quota.Change) ([]string, error) {
	if charger, _ := t.state.Workloads.Charger(change.New); charger != nil {
		return nil, nil
	}
	heirs, old := t.state.heirs(e.Object, change.New), t.state.heirs(before, change.Old)
	if len(heirs) == 0 {
		return []string{fmt.Sprintf("charges nothing: names no group (label %s)", stowagev1alpha1.GroupLabel)}, nil
	}
	var notes []string
	for _, heir := range heirs {
		charge := quota.Change{New: heir}
		if i := slices.IndexFunc(old, func(w *workload.Workload) bool { return w.Group == heir.Group }); i >= 0 {
			charge.Old = old[i]
		}
		check, err := t.byController(ctx, charge)
		if err != nil {
			return nil, err
		}
		notes = append(notes, inherited(check)...)
	}
	return notes, nil
}

// byController judges what a workload's controller makes, once it does.
func (t *Trial) byController(ctx context.Context, change quota.Change) (*report.QuotaCheck, error) {
	judge := t.judge()
	judge.Questions, judge.Requester = controllers{questions{t}}, "its controller"
	c, err := judge.Scale(ctx, change)
	if c == nil || err != nil {
		return quota.LetBy(change.New), err
	}
	return c.By(t.groups).QuotaCheck, nil
}

// inherited says that a group is charged for what the workload makes, and whether it will
// let that by.
func inherited(check *report.QuotaCheck) []string {
	note := fmt.Sprintf("names no group itself: what it makes is charged to group %s, which its template names (label %s)", check.Group, stowagev1alpha1.GroupLabel)
	if !check.Allowed {
		note += fmt.Sprintf(", and refused there: %s", strings.Join(check.Reasons, "; "))
	}
	return append([]string{note}, check.Warnings...)
}

// controllers answers for a request of a workload's controller, whom nobody has given the
// right to use a group.
type controllers struct{ questions }

// MayCharge implements quota.Questions.
func (controllers) MayCharge(context.Context, *workload.Workload) (quota.Answer, error) {
	return quota.No, nil
}
