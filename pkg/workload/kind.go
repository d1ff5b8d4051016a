package workload

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kind declares one workload kind. Paths are dotted field paths from the
// object's root ("spec.replicas"), all in its spec but for those of Wanted and Made.
//
// A condition is a path, which says that something stands there, "!path" that nothing
// does, "path=value", "path!=value", or "path>0" of a number or a percentage; of more
// with " & " between them all must hold. Its paths may also lead to one annotation or
// label ("metadata.annotations.KEY").
type Kind struct {
	// Group, Kind and Resource (the plural) name the kind in the API. Version is the
	// one that is read, Versions are all whose objects have these fields; the first
	// of them that a cluster serves is read there. One of both is enough.
	Group    string   `json:"group,omitempty"`
	Version  string   `json:"version,omitempty"`
	Versions []string `json:"versions,omitempty"`
	Kind     string   `json:"kind"`
	Resource string   `json:"resource"`
	// ShortNames are further names of the resource ("deploy"), as the API server
	// publishes them.
	ShortNames []string `json:"shortNames,omitempty"`
	// PodSets says where its pods stand. A kind without any charges nothing itself:
	// it is here for the objects that it makes (CronJob).
	PodSets []PodSetPaths `json:"podSets,omitempty"`
	// Suspend is the path of a bool, or of an annotation: while it is true, or the
	// annotation there, nothing is charged.
	Suspend string `json:"suspend,omitempty"`
	// Finished says that no pod will run any more: types of status conditions that
	// are then True, values of status.phase, or conditions ("status.state=DONE").
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
	// Scale is the path of the number that the kind's scale subresource sets; true
	// stands for the first number of the first pod set. Empty without a subresource.
	Scale ScalePath `json:"scale,omitempty"`
	// Makes are the kinds whose objects it makes, as "Kind.group" ("ReplicaSet.apps",
	// "Pod"). An object whose controller is a counted workload that makes its kind
	// is not counted again.
	Makes []string `json:"makes,omitempty"`
	// Template is the path of a workload's template ("spec.jobTemplate") whose
	// labels must name the same group, where the kind has no pod sets.
	Template string `json:"template,omitempty"`
}

// ScalePath is a path; in a table, true is "true".
type ScalePath string

// UnmarshalJSON reads a path or a bool.
func (s *ScalePath) UnmarshalJSON(data []byte) error {
	var first bool
	if json.Unmarshal(data, &first) == nil {
		*s = ""
		if first {
			*s = scaleFirst
		}
		return nil
	}
	return json.Unmarshal(data, (*string)(s))
}

// scaleFirst stands for the first number of the first pod set.
const scaleFirst ScalePath = "true"

// PodSetPaths says where one pod set stands, or, with a "*" in Root, one for each
// entry there.
type PodSetPaths struct {
	// Root is the path that the others start from; empty for the object itself.
	// Where it ends in "*", each entry of the map there is a set and its key the
	// set's name. A condition's path that begins with "$." starts from the object.
	Root string `json:"root,omitempty"`
	// Key is the field that names the entries where Root's "*" is of a list.
	Key string `json:"key,omitempty"`
	// Name is the set's name where Root has no "*".
	Name string `json:"name,omitempty"`
	// Optional says that there is no such set where nothing stands at Root.
	Optional bool `json:"optional,omitempty"`
	// When and Unless are conditions without which, or under which, there is no such
	// set: its pods are declared elsewhere, or it is suspended by itself.
	When   string `json:"when,omitempty"`
	Unless string `json:"unless,omitempty"`
	// Replicas are paths of numbers whose product, times Count where that is given, is
	// the number of pods; one that is absent counts as 1, the last one as Default.
	Replicas []string `json:"replicas,omitempty"`
	Count    int64    `json:"count,omitempty"`
	// Default is what the last number counts as where it is absent; 1 when not given.
	Default *int64 `json:"default,omitempty"`
	// AtMost and AtLeast are paths of numbers that bound the last of Replicas (a
	// Job's completions bound its parallelism). AtLeast wins.
	AtMost  string `json:"atMost,omitempty"`
	AtLeast string `json:"atLeast,omitempty"`
	// Done is how much of a number has run to its end.
	Done *Done `json:"done,omitempty"`
	// Minus is subtracted from the last of Replicas (a LeaderWorkerSet's size
	// counts its leader).
	Minus int64 `json:"minus,omitempty"`
	// PerNode says that the set runs a pod on each eligible node.
	PerNode bool `json:"perNode,omitempty"`
	// Pods is a label selector that tells the set's pods from those of the workload's
	// other sets: terms "label=value" or "label!=value", with "," between them, and
	// "||" between selectors of which one is enough. In a value "{name}" stands for
	// the set's name, "{lower}" for that in lower case.
	Pods string `json:"pods,omitempty"`
	// Surge is what a rolling update adds, by the first rule that holds.
	Surge []Surge `json:"surge,omitempty"`
	// Template is the path of the pod template; "." says that Root itself is one
	// (a bare pod).
	Template string `json:"template,omitempty"`
	// TemplateDefault is the path used where Template is absent.
	TemplateDefault string `json:"templateDefault,omitempty"`
	// Resources is, in place of Template, the path of the resources of the pod's
	// only container. Without Template, what the object leaves out comes from
	// elsewhere: its numbers must be given, but for the last one where there is a Default.
	Resources string `json:"resources,omitempty"`
	// Amounts are, in place of Template, the resources of the pod's only container
	// one by one, where they do not stand as those of a container.
	Amounts []Amount `json:"amounts,omitempty"`
	// From says where what must be given and is not stands ("the runtime").
	From string `json:"from,omitempty"`
	// Labels is the path of the pods' labels where Template is not given.
	Labels string `json:"labels,omitempty"`
	// Containers are those that the controller adds to the template's; without
	// Template, Resources and Amounts they are the pod.
	Containers []Container `json:"containers,omitempty"`
}

// Done is how much of a number of pods has run to its end and will not come again (a
// Job's completions).
type Done struct {
	// Of is the number of which it is: one of Replicas, or AtMost.
	Of string `json:"of"`
	// At is the path in the status of how much is done. A "*" in it is the entry of the
	// list there whose field "name" is the set's.
	At string `json:"at"`
	// Unless are conditions under one of which what is done may be done again.
	Unless []string `json:"unless,omitempty"`
	// Last is a condition under which no more pods are made: those that run, of which
	// the number stands in the status at Running, are the last.
	Last    string `json:"last,omitempty"`
	Running string `json:"running,omitempty"`
}

// Container is one that a controller adds to the pods of a set.
type Container struct {
	Name string `json:"name"`
	// When is the condition under which it does; empty for always.
	When string `json:"when,omitempty"`
	// Resources is the path of its resources, Default is what it has where nothing
	// stands there.
	Resources string                      `json:"resources,omitempty"`
	Default   corev1.ResourceRequirements `json:"default"`
}

// Amount is what the container of a set asks of one resource.
type Amount struct {
	// Resource is its name, or ResourceAt the path of the name; without a name there,
	// there is no such amount.
	Resource   string `json:"resource,omitempty"`
	ResourceAt string `json:"resourceAt,omitempty"`
	// Requests and Limits are paths of numbers or quantities, of which the first that
	// is there counts; Default is the request where none is.
	Requests []string `json:"requests,omitempty"`
	Limits   []string `json:"limits,omitempty"`
	Default  string   `json:"default,omitempty"`
	// Java says that the amounts are written as for a Java virtual machine: "8g" is
	// 8Gi, and no unit is Mi.
	Java bool `json:"java,omitempty"`
	// Overhead is what is added to the request.
	Overhead *Overhead `json:"overhead,omitempty"`
	// Limited says that the request is the limit too, where none of Limits is there.
	Limited bool `json:"limited,omitempty"`
}

// Overhead is an amount that is added to another.
type Overhead struct {
	// Path is that of the overhead, where it is given.
	Path string `json:"path,omitempty"`
	// Factors are else the rules of how much of the amount is added, by the first that
	// holds, and Least is the least of it.
	Factors []Factor `json:"factors,omitempty"`
	Least   string   `json:"least,omitempty"`
}

// Factor is one rule on a factor.
type Factor struct {
	// When is the condition under which it holds; empty for always. Without Default,
	// it holds where something stands at Path.
	When    string `json:"when,omitempty"`
	Path    string `json:"path,omitempty"`
	Default string `json:"default,omitempty"`
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
	// Kept is the path of a number, or of a percentage, of the first of Replicas that the
	// update leaves as they are (a partition): no more than the others surge.
	Kept string `json:"kept,omitempty"`
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

// AllVersions are those whose objects the kind reads, the one that it reads first.
func (k *Kind) AllVersions() []string {
	versions := []string{k.Version}
	for _, version := range k.Versions {
		if version != k.Version {
			versions = append(versions, version)
		}
	}
	return versions
}

// GroupVersionKinds are the kind in each of its versions.
func (k *Kind) GroupVersionKinds() []schema.GroupVersionKind {
	var kinds []schema.GroupVersionKind
	for _, version := range k.AllVersions() {
		kinds = append(kinds, k.GroupKind().WithVersion(version))
	}
	return kinds
}

// Singular is the kind as kubectl names one object's resource: "deployment.apps".
func (k *Kind) Singular() string {
	return schema.GroupResource{Group: k.Group, Resource: strings.ToLower(k.Kind)}.String()
}

// ReplicasPath is the path of the number that says how large a workload of the
// kind is: what its scale subresource sets or, without one, its only number.
// False where there is no such number.
func (k *Kind) ReplicasPath() ([]string, bool) {
	if k.Scale != "" && k.Scale != scaleFirst {
		return split(string(k.Scale)), true
	}
	path, single := k.firstNumber()
	if path == "" || k.Scale == "" && !single {
		return nil, false
	}
	return split(path), true
}

// Scaled is that of a workload's sets whose number the scale subresource sets; nil where
// there is none.
func (k *Kind) Scaled(sets []PodSet) *PodSet {
	path := split(string(k.Scale))
	if len(path) == 0 {
		return nil
	}
	from := path[:len(path)-1]
	i := slices.IndexFunc(sets, func(s PodSet) bool {
		return len(s.TemplatePath) >= len(from) && slices.Equal(s.TemplatePath[:len(from)], from)
	})
	if i < 0 {
		return nil
	}
	return &sets[i]
}

// firstNumber is the path of the first number of the first pod set, and whether it is
// the only one; "" for none.
func (k *Kind) firstNumber() (path string, single bool) {
	if len(k.PodSets) == 0 {
		return "", false
	}
	first := &k.PodSets[0]
	if first.each() || len(first.Replicas) == 0 {
		return "", false
	}
	return join(first.Root, first.Replicas[0]), len(k.PodSets) == 1 && len(first.Replicas) == 1
}

// ReferredAt is the field that refers to the object that declares the pods, of an object
// that does not do so itself; "" where its kind knows of none.
func (k *Kind) ReferredAt() string {
	for i := range k.PodSets {
		terms := conditionTerms(k.PodSets[i].Unless)
		if len(terms) == 1 && terms[0].operator == "" && !k.PodSets[i].each() {
			return absolute(k.PodSets[i].Root, terms[0].path)
		}
	}
	return ""
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

// elsewhere says whether the template is another object's, so that a number that is
// absent may stand there.
func (p *PodSetPaths) elsewhere() bool { return p.Template == "" }

// mustStand says whether the i-th number may not be left out.
func (p *PodSetPaths) mustStand(i int) bool {
	return p.elsewhere() && (p.Default == nil || i < len(p.Replicas)-1)
}
