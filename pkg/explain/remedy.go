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
)

// remedy renders a verified candidate; from is the workload of -f that the pod comes
// from, whose file is to be changed then.
func (w *world) remedy(pod *corev1.Pod, from *planned, c candidate, fits []string) report.Remedy {
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
		edits = append(specChanges(pod, from, c), edits...)
		commands = append(commands, w.patchCommand(pod, from, c))
	}
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

// specChanges are a candidate's changes of a pod: of the object that was given, which is
// the workload of -f where its template has a place for all of them.
func specChanges(pod *corev1.Pod, from *planned, c candidate) []report.Change {
	ops := c.ops(&pod.Spec)
	if from != nil {
		if carried, ok := carriedOver(pod, &from.set.Template.Spec, ops); ok {
			ref := from.Ref()
			return changes(fmt.Sprintf("%s/%s/%s", ref.Kind, ref.Namespace, ref.Name), from.specPath(), carried)
		}
	}
	return changes(podObject(pod), "/spec", ops)
}

// patchCommand is the kubectl command that changes the pod where it comes from:
// its workload's template, or, where that is immutable or there is none, the
// object made anew. Where the verified change has no certain place in the
// template, it is the editor with the pod's own patch beside it.
func (w *world) patchCommand(pod *corev1.Pod, from *planned, c candidate) string {
	ops := c.ops(&pod.Spec)
	if from != nil {
		if carried, ok := carriedOver(pod, &from.set.Template.Spec, ops); ok {
			return shellCommand("kubectl", "patch", "--local", "--type=json", "-p", patchText(from.specPath(), carried), "-f", "FILE", "-o", "yaml")
		}
		return "# in FILE, in the pod template: " + patchText("", ops)
	}
	if c.atoms[0].kind == report.RemedyRemoveGate { // Gates may be removed in place.
		return shellCommand("kubectl", "-n", pod.Namespace, "patch", "pod", pod.Name, "--type=json", "-p", patchText("/spec", ops))
	}
	ref := w.owners.Top(pod)
	if ref.Kind == "" {
		if changed, err := applyOps(pod, ops); err == nil {
			ops = append(ops, unmerge(&changed.Spec)...)
		}
		return remake("pod", pod.Namespace, pod.Name, below("/spec", ops))
	}
	known, ok := w.owners.Workload(ref)
	if ok && known.Template() != nil {
		if carried, ok := carriedOver(pod, &known.Template().Spec, ops); ok {
			return patchTemplate(known, carried)
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
