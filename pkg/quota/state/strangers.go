package state

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// mostNames is how many objects of a kind are named.
const mostNames = 3

// Strangers says of the objects that name a group and are of no workload kind, in a line
// a kind, that they charge nothing and what to do; and of the workloads that name one and
// leave their pods to another object.
func (s *State) Strangers() []string {
	names, kinds := map[schema.GroupKind][]string{}, []schema.GroupKind{}
	for _, object := range s.strangers() {
		kind := object.GroupVersionKind().GroupKind()
		if names[kind] == nil {
			kinds = append(kinds, kind)
		}
		names[kind] = append(names[kind], object.GetNamespace()+"/"+object.GetName())
	}
	var lines []string
	for _, kind := range kinds {
		lines = append(lines, fmt.Sprintf("%s %s %s", kind, quota.Few(names[kind], mostNames), s.Kinds.Uncharged(kind)))
	}
	for _, w := range s.podless() {
		lines = append(lines, fmt.Sprintf("%s/%s %s", w.Namespace, w, quota.Podless(w)))
	}
	return lines
}

// podless are the workloads whose pods another object declares, where nothing that they
// made is charged either.
func (s *State) podless() []*workload.Workload {
	var podless []*workload.Workload
	for _, kind := range s.Kinds.All() {
		if kind.ReferredAt() == "" {
			continue
		}
		for _, object := range s.Objects(kind) {
			w := s.Workloads.Get(uidOf(kind.Meta(object)))
			if w != nil && quota.Podless(w) != "" && !slices.ContainsFunc(s.Workloads.Made(w.UID), s.hasCharger) {
				podless = append(podless, w)
			}
		}
	}
	return podless
}

// hasCharger says whether a workload is charged, as itself or as part of another.
func (s *State) hasCharger(w *workload.Workload) bool {
	charger, _ := s.Workloads.Charger(w)
	return charger != nil
}

// strangers are the objects that name a group, are of no workload kind, and may make pods.
func (s *State) strangers() []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(s.Snapshot.Others), func(object *unstructured.Unstructured) bool {
		kind := object.GroupVersionKind().GroupKind()
		return object.GetLabels()[stowagev1alpha1.GroupLabel] == "" || s.Kinds.Of(kind) != nil || s.Kinds.MakesNoPods(kind)
	})
}

// findUncharged are the objects that name a group and charge nothing, by group.
func (s *State) findUncharged() map[string][]report.QuotaUncharged {
	uncharged := map[string][]report.QuotaUncharged{}
	for _, object := range s.strangers() {
		group, kind := object.GetLabels()[stowagev1alpha1.GroupLabel], object.GroupVersionKind().GroupKind()
		uncharged[group] = append(uncharged[group], report.QuotaUncharged{Object: strangerName(object), Why: s.Kinds.Uncharged(kind)})
	}
	for _, unread := range s.Unread {
		w := unread.Workload
		uncharged[w.Group] = append(uncharged[w.Group], report.QuotaUncharged{Object: w.Namespace + "/" + w.String(), Why: "is not counted: " + unread.Err.Error()})
	}
	for _, w := range s.podless() {
		uncharged[w.Group] = append(uncharged[w.Group], report.QuotaUncharged{Object: w.Namespace + "/" + w.String(), Why: quota.Podless(w)})
	}
	return uncharged
}

// strangerName names an object as workloads are named.
func strangerName(object snapshot.Object) string { return quota.LetBy(strange(object)).Object }

// strange is an object of no workload kind as a workload that charges nothing.
func strange(object snapshot.Object) *workload.Workload {
	kind := object.GetObjectKind().GroupVersionKind()
	return &workload.Workload{Kind: &workload.Kind{Group: kind.Group, Kind: kind.Kind}, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// IsStranger says whether an object of no workload kind may make pods that are charged, or
// are meant to be: it names a group, itself or for what it makes.
func IsStranger(kinds *workload.Kinds, object *unstructured.Unstructured) bool {
	inherited, _ := kinds.Inherited(object)
	return inherited != "" || object.GetLabels()[stowagev1alpha1.GroupLabel] != "" && !kinds.MakesNoPods(object.GroupVersionKind().GroupKind())
}

// Stranger lets an object of no workload kind by that names a group, with a warning that
// it charges nothing itself.
func (t *Trial) Stranger(object snapshot.Object) *report.QuotaCheck {
	kind := object.GetObjectKind().GroupVersionKind().GroupKind()
	check := quota.LetBy(strange(object))
	warning := fmt.Sprintf("%s %s", kind, t.state.Kinds.Uncharged(kind))
	if content, ok := object.(*unstructured.Unstructured); ok {
		if group, by := t.state.Kinds.Inherited(content); group != "" {
			warning = fmt.Sprintf("each %s of this %s is charged to group %s, whose label it is given: how many there will be is not known here", by, kind, group)
		}
	}
	check.Warnings = append(check.Warnings, warning)
	return check
}
