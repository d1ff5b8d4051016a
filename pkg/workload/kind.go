package workload

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind declares one workload kind. Paths are dotted field paths from the
// object's root ("spec.replicas"), all in its spec but for those of Wanted and Made. A
// condition is a path, which says that something stands there, "path=value", or
// "path>0" of a number or a percentage.
type Kind struct {
	// Group, Version, Kind and Resource (the plural) name the kind in the API.
	Group    string `json:"group,omitempty"`
	Version  string `json:"version"`
	Kind     string `json:"kind"`
	Resource string `json:"resource"`
	// ShortNames are further names of the resource ("deploy"), as the API server
	// publishes them.
	ShortNames []string `json:"shortNames,omitempty"`
	// PodSets says where its pods stand. A kind without any charges nothing itself:
	// it is here for the objects that it makes (CronJob).
	PodSets []PodSetPaths `json:"podSets,omitempty"`
	// Suspend is the path of a bool: while it is true, nothing is charged.
	Suspend string `json:"suspend,omitempty"`
	// Finished are the types of status conditions, or the values of status.phase,
	// one of which being True (or that phase) says that no pod will run any more.
	Finished []string `json:"finished,omitempty"`
	// Wanted is the path in the status of how many pods there should be, where the
	// controller works that out (DaemonSet). Made is that of how many it has made.
	Wanted string `json:"wanted,omitempty"`
	Made   string `json:"made,omitempty"`
	// Refused is the type of the status condition in which the controller says why it
	// cannot make more pods.
	Refused string `json:"refused,omitempty"`
	// Older are conditions under one of which the controller may make new pods of an
	// older template than the object's (a Deployment that is paused, a StatefulSet's
	// partition).
	Older []string `json:"older,omitempty"`
	// Scale says whether the kind has the scale subresource; it then sets the
	// first number of the first pod set.
	Scale bool `json:"scale,omitempty"`
	// Makes are the kinds whose objects it makes, as "Kind.group" ("ReplicaSet.apps",
	// "Pod"). An object whose controller is a counted workload that makes its kind
	// is not counted again.
	Makes []string `json:"makes,omitempty"`
	// Template is the path of a workload's template ("spec.jobTemplate") whose
	// labels must name the same group, where the kind has no pod sets.
	Template string `json:"template,omitempty"`
}

// PodSetPaths says where one pod set stands, or, with a "*" in Root, one for each
// entry there.
type PodSetPaths struct {
	// Root is the path that the others start from; empty for the object itself.
	// Where it ends in "*", each entry of the map there is a set and its key the
	// set's name.
	Root string `json:"root,omitempty"`
	// Key is the field that names the entries where Root's "*" is of a list.
	Key string `json:"key,omitempty"`
	// Name is the set's name where Root has no "*".
	Name string `json:"name,omitempty"`
	// Unless is a condition, from Root, under which there is no such set: its pods
	// are declared by another object, or it is suspended by itself.
	Unless string `json:"unless,omitempty"`
	// Replicas are paths of numbers whose product is the number of pods; one that
	// is absent counts as 1, the last one as Default.
	Replicas []string `json:"replicas,omitempty"`
	// Default is what the last number counts as where it is absent; 1 when not given.
	Default *int64 `json:"default,omitempty"`
	// AtMost and AtLeast are paths of numbers that bound the last of Replicas (a
	// Job's completions bound its parallelism). AtLeast wins.
	AtMost  string `json:"atMost,omitempty"`
	AtLeast string `json:"atLeast,omitempty"`
	// Minus is subtracted from the last of Replicas (a LeaderWorkerSet's size
	// counts its leader).
	Minus int64 `json:"minus,omitempty"`
	// PerNode says that the set runs a pod on each eligible node.
	PerNode bool `json:"perNode,omitempty"`
	// Pods is a label selector that tells the set's pods from those of the workload's
	// other sets: terms "label=value" or "label!=value", with "," between them. In a
	// value "{name}" stands for the set's name, "{lower}" for that in lower case.
	Pods string `json:"pods,omitempty"`
	// Surge is what a rolling update adds, by the first rule that holds.
	Surge []Surge `json:"surge,omitempty"`
	// Template is the path of the pod template; "." says that Root itself is one
	// (a bare pod).
	Template string `json:"template,omitempty"`
	// TemplateDefault is the path used where Template is absent.
	TemplateDefault string `json:"templateDefault,omitempty"`
	// Resources is, in place of Template, the path of the resources of the pod's
	// only container. What the object leaves out then comes from elsewhere, so
	// its numbers have no default and must be given.
	Resources string `json:"resources,omitempty"`
}

// Surge is one rule on how many pods more a rolling update may run.
type Surge struct {
	// When is the condition under which the rule holds; empty for always.
	When string `json:"when,omitempty"`
	// Path is that of a number, or of a percentage, rounded up, of the first of
	// Replicas (of the nodes where PerNode).
	Path string `json:"path,omitempty"`
	// Default is what holds where nothing stands at Path.
	Default string `json:"default,omitempty"`
}

// GroupVersionKind is the kind's.
func (k *Kind) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// GroupVersionResource is the kind's in the API's paths.
func (k *Kind) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

// GroupResource is the kind's plural with its group.
func (k *Kind) GroupResource() schema.GroupResource { return k.GroupVersionResource().GroupResource() }

// GroupKind is the kind with its group.
func (k *Kind) GroupKind() schema.GroupKind { return k.GroupVersionKind().GroupKind() }

// Singular is the kind as kubectl names one object's resource: "deployment.apps".
func (k *Kind) Singular() string {
	return schema.GroupResource{Group: k.Group, Resource: strings.ToLower(k.Kind)}.String()
}

// ReplicasPath is the path of the number that says how large a workload of the
// kind is: what its scale subresource sets or, without one, its only number.
// False where there is no such number.
func (k *Kind) ReplicasPath() ([]string, bool) {
	if len(k.PodSets) == 0 {
		return nil, false
	}
	first := &k.PodSets[0]
	single := len(k.PodSets) == 1 && len(first.Replicas) == 1
	if first.each() || len(first.Replicas) == 0 || !single && !k.Scale {
		return nil, false
	}
	return split(join(first.Root, first.Replicas[0])), true
}

// makes says whether the kind's objects make objects of child.
func (k *Kind) makes(child schema.GroupKind) bool {
	for _, name := range k.Makes {
		if schema.ParseGroupKind(name) == child {
			return true
		}
	}
	return false
}

// each says whether there is a set for each entry at root.
func (p *PodSetPaths) each() bool { return strings.HasSuffix(p.Root, ".*") }

// root is the path of the set or, where there is one for each entry, of the entries.
func (p *PodSetPaths) root() string { return strings.TrimSuffix(p.Root, ".*") }

// orDefault is what the i-th number counts as where it is absent.
func (p *PodSetPaths) orDefault(i int) int64 {
	if p.Default == nil || i < len(p.Replicas)-1 {
		return 1
	}
	return *p.Default
}
