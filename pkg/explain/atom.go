package explain

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/owner"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// atom is one smallest change that would remove one reason on some node.
type atom struct {
	kind report.RemedyKind
	// key tells atoms apart in the search: equal keys are the same change, but for
	// how much.
	key string
	// what is what the change is done to, and how much: with the kind it is the ID of
	// the remedy.
	what string
	// text says what to do, as a clause in the imperative.
	text string
	// disturbance ranks: smaller is gentler (see the kinds below).
	disturbance int
	// loss is, for a lowered request, the part of it that is given up (0..1). Of
	// atoms with the same key the one with the least loss is tried.
	loss float64

	// spec, when set, changes the pod; else edits, changes and command change the
	// cluster.
	spec specPatch
	// node and change edit a node; several atoms may edit one.
	node    *corev1.Node
	change  func(*corev1.Node)
	edits   []predicate.Edit
	changes []report.Change
	command string
}

// The disturbance of each kind of remedy. What only widens where a pod may go
// comes before what takes something away from it, then what changes a node for
// everybody, what costs money, and what stops somebody else's pods.
const (
	disturbClaim       = 5
	disturbSelectorFix = 8
	disturbToleration  = 10
	disturbSpread      = 20
	disturbSelector    = 25
	disturbRequest     = 30
	disturbAffinity    = 35
	disturbPort        = 36
	disturbUncordon    = 40
	disturbLabel       = 42
	disturbUntaint     = 45
	disturbAddNode     = 60
	disturbEvict       = 70
)

// candidate is a set of atoms that may let the pod onto some nodes.
type candidate struct {
	atoms []atom
	nodes []string
}

func (c candidate) key() string {
	keys := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		keys[i] = a.key
	}
	return strings.Join(keys, " + ")
}

// id is the ID of the remedy.
func (c candidate) id() string {
	ids := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		ids[i] = string(a.kind) + ":" + a.what
	}
	return strings.Join(ids, "+")
}

// kind tells candidates that are the same advice, but for the node or the amount.
func (c candidate) kind() string {
	kinds := make([]string, len(c.atoms))
	for i, a := range c.atoms {
		kinds[i] = string(a.kind)
	}
	return strings.Join(kinds, "+")
}

func (c candidate) disturbance() int {
	sum := 0
	for _, a := range c.atoms {
		sum += a.disturbance
	}
	return sum
}

func (c candidate) loss() float64 {
	var sum float64
	for _, a := range c.atoms {
		sum += a.loss
	}
	return sum
}

// changesPod says whether any atom changes the pod's spec.
func (c candidate) changesPod() bool {
	for _, a := range c.atoms {
		if a.spec != nil {
			return true
		}
	}
	return false
}

// ops are all operations on a pod spec. Each atom edits a part of its own, and
// removals of one list come from one atom, so indices stay valid.
func (c candidate) ops(spec *corev1.PodSpec) []op {
	var ops []op
	appended := map[string]bool{}
	for _, a := range c.atoms {
		if a.spec == nil {
			continue
		}
		for _, o := range a.spec(spec) {
			// Two atoms that each create the same absent list: the second appends.
			if list, ok := o.Value.([]any); ok && o.Op == report.OpAdd {
				if appended[o.Path] {
					o = op{Op: report.OpAdd, Path: o.Path + "/-", Value: list[0]}
				}
				appended[o.Path] = true
			}
			ops = append(ops, o)
		}
	}
	return ops
}

// changed is a pod with the candidate's changes of it done.
func (c candidate) changed(pod *corev1.Pod) (*corev1.Pod, error) {
	if !c.changesPod() {
		return pod, nil
	}
	return applyOps(pod, c.ops(&pod.Spec))
}

// edits are all changes to the cluster; those of one node are made to one copy.
func (c candidate) edits() []predicate.Edit {
	var edits []predicate.Edit
	copies := map[string]*corev1.Node{}
	for _, a := range c.atoms {
		edits = append(edits, a.edits...)
		if a.node == nil {
			continue
		}
		if copies[a.node.Name] == nil {
			copies[a.node.Name] = a.node.DeepCopy()
			edits = append(edits, predicate.Edit{Node: copies[a.node.Name]})
		}
		a.change(copies[a.node.Name])
	}
	return edits
}

// remedy renders a verified candidate.
func (e *Explainer) remedy(pod *corev1.Pod, c candidate, fits []string) report.Remedy {
	kind := c.atoms[0].kind
	if len(c.atoms) > 1 {
		kind = report.RemedyCombined
	}
	texts := make([]string, 0, len(c.atoms))
	var edits []report.Change
	var commands []string
	for _, a := range c.atoms {
		texts = append(texts, a.text)
		edits = append(edits, a.changes...)
		if a.command != "" {
			commands = append(commands, a.command)
		}
	}
	if c.changesPod() {
		edits = append(changes(podObject(pod), "/spec", c.ops(&pod.Spec)), edits...)
		commands = append(commands, e.patchCommand(pod, c))
	}
	e.shared.keepPlan(keyOf(pod), plan{pod, c})
	return report.Remedy{
		ID:          c.id(),
		Kind:        kind,
		Description: strings.Join(texts, ", and "),
		Command:     strings.Join(commands, " && "),
		Changes:     edits,
		Fits:        fits,
		Verified:    true,
	}
}

func podObject(pod *corev1.Pod) string { return fmt.Sprintf("Pod/%s/%s", pod.Namespace, pod.Name) }

// patchCommand is the kubectl command that changes the pod where it comes from:
// its workload's template, or, where that is immutable or there is none, the
// object made anew. Where the verified change has no certain place in the
// template, it is the editor with the pod's own patch beside it.
func (e *Explainer) patchCommand(pod *corev1.Pod, c candidate) string {
	ops := c.ops(&pod.Spec)
	if e.planned != nil {
		if carried, ok := carriedOver(pod, &e.planned.set.Template.Spec, ops); ok {
			return shellCommand("kubectl", "patch", "--local", "--type=json", "-p", patchText(e.planned.specPath(), carried), "-f", "FILE", "-o", "yaml")
		}
		return "# in FILE, in the pod template: " + patchText("", ops)
	}
	if c.atoms[0].kind == report.RemedyRemoveGate { // Gates may be removed in place.
		return shellCommand("kubectl", "-n", pod.Namespace, "patch", "pod", pod.Name, "--type=json", "-p", patchText("/spec", ops))
	}
	ref := e.world.owners.Top(pod)
	if ref.Kind == "" {
		if changed, err := applyOps(pod, ops); err == nil {
			ops = append(ops, unmerge(&changed.Spec)...)
		}
		return remake("pod", pod.Namespace, pod.Name, below("/spec", ops))
	}
	w, ok := e.world.owners.Workload(ref)
	if ok && w.Template() != nil {
		if carried, ok := carriedOver(pod, &w.Template().Spec, ops); ok {
			return patchTemplate(w, carried)
		}
	}
	return shellCommand("kubectl", "-n", pod.Namespace, "edit", strings.ToLower(ref.Kind), ref.Name) + " # in its pod template: " + patchText("", ops)
}

// patchTemplate is the command that changes the one template of a workload.
func patchTemplate(w *owner.Workload, ops []op) string {
	ref, path := w.Ref(), specPath(&w.Sets[0])
	if job, ok := w.Object.(*batchv1.Job); ok { // Its template cannot be changed.
		return remake("job", ref.Namespace, ref.Name, append(below(path, ops), generatedByJob(job)...))
	}
	resource := strings.ToLower(ref.Kind)
	if w.Custom() {
		resource = w.Kind.Singular()
	}
	return shellCommand("kubectl", "-n", ref.Namespace, "patch", resource, ref.Name, "--type=json", "-p", patchText(path, ops))
}

// carriedOver are the operations for a template, tried on it.
func carriedOver(pod *corev1.Pod, template *corev1.PodSpec, ops []op) ([]op, bool) {
	carried, ok := templateOps(&pod.Spec, template, ops)
	if !ok || len(carried) == 0 {
		return nil, false
	}
	_, err := applyOps(&corev1.Pod{Spec: *template}, carried)
	return carried, err == nil
}

// remake is a command that replaces an object by a changed one of the same name.
func remake(resource, namespace, name string, ops []op) string {
	return shellCommand("kubectl", "-n", namespace, "get", resource, name, "-o", "json") + " | " +
		shellCommand("kubectl", "patch", "--local", "--type=json", "-p", patchText("", ops), "-f", "-", "-o", "json") + " | kubectl replace --force -f -"
}

// generatedByJob removes what the API server put into a job: the selector and the
// labels by which the old job's pods are told from the new one's.
func generatedByJob(job *batchv1.Job) []op {
	ops := []op{{Op: report.OpRemove, Path: "/spec/selector"}}
	for _, label := range []string{"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"} {
		if _, ok := job.Spec.Template.Labels[label]; ok {
			ops = append(ops, op{Op: report.OpRemove, Path: pointer("spec", "template", "metadata", "labels", label)})
		}
	}
	return ops
}

// unmerge takes out of a live pod's terms what the API server merged into their
// selectors from matchLabelKeys and mismatchLabelKeys: it refuses a new pod that
// has both.
func unmerge(spec *corev1.PodSpec) []op {
	var ops []op
	drop := func(path string, selector *metav1.LabelSelector, keys []string) {
		if selector == nil {
			return
		}
		for i, expression := range slices.Backward(selector.MatchExpressions) {
			if slices.Contains(keys, expression.Key) {
				ops = append(ops, op{Op: report.OpRemove, Path: path + pointer("labelSelector", "matchExpressions", i)})
			}
		}
	}
	terms := func(field string, list []corev1.PodAffinityTerm) {
		for i, term := range list {
			drop(pointer("affinity", field, "requiredDuringSchedulingIgnoredDuringExecution", i), term.LabelSelector,
				append(slices.Clone(term.MatchLabelKeys), term.MismatchLabelKeys...))
		}
	}
	preferred := func(field string, list []corev1.WeightedPodAffinityTerm) {
		for i, term := range list {
			drop(pointer("affinity", field, "preferredDuringSchedulingIgnoredDuringExecution", i, "podAffinityTerm"), term.PodAffinityTerm.LabelSelector,
				append(slices.Clone(term.PodAffinityTerm.MatchLabelKeys), term.PodAffinityTerm.MismatchLabelKeys...))
		}
	}
	if affinity := spec.Affinity; affinity != nil {
		if affinity.PodAffinity != nil {
			terms("podAffinity", affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
			preferred("podAffinity", affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		}
		if affinity.PodAntiAffinity != nil {
			terms("podAntiAffinity", affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
			preferred("podAntiAffinity", affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		}
	}
	for i, constraint := range spec.TopologySpreadConstraints {
		drop(pointer("topologySpreadConstraints", i), constraint.LabelSelector, constraint.MatchLabelKeys)
	}
	return ops
}
