package owner

import (
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/workload"
)

// Workload is an object that makes pods, itself or through others.
type Workload struct {
	// Kind is its row of the table, Object itself, of its Go type where it has one.
	Kind   *workload.Kind
	Object snapshot.Object
	// Sets are the pods that it declares, in the order of the table. Those of a CronJob
	// are its Jobs'. There are none where another object has the template.
	Sets []workload.PodSet
	// Wanted is how many pods there should be now, Made how many there are, as far as its
	// status says. Missing is never below 0.
	Wanted, Made, Missing int32
	// Refusal is the condition in which its controller says why it cannot make more.
	Refusal string
}

// Ref names the workload.
func (w *Workload) Ref() Ref { return Ref{w.Kind.Kind, w.Object.GetNamespace(), w.Object.GetName()} }

// Speaks says whether the workload's own status tells of pods that are missing.
func (w *Workload) Speaks() bool { return w.Kind.Made != "" }

// Referred is the object that its template stands in, as Kind/name, where it says so in
// place of a set of pods; empty for none.
func (w *Workload) Referred() string {
	content, ok := w.Object.(*unstructured.Unstructured)
	if !ok {
		return ""
	}
	for _, set := range w.Kind.PodSets {
		ref, _, _ := unstructured.NestedStringMap(content.Object, strings.Split(set.Unless, ".")...)
		if ref["kind"] != "" && ref["name"] != "" {
			return ref["kind"] + "/" + ref["name"]
		}
	}
	return ""
}

// Template is what its pods are made of; nil unless it has one set with a template.
func (w *Workload) Template() *corev1.PodTemplateSpec {
	if len(w.Sets) != 1 || w.Sets[0].Elsewhere {
		return nil
	}
	return w.Sets[0].Template
}

// Custom says whether the kind is not one of Kubernetes' own, so that nobody knows what
// its controller does about pods that go.
func (w *Workload) Custom() bool {
	_, custom := w.Object.(*unstructured.Unstructured)
	return custom
}

// Read reads an object of any kind of the table, given with its Go type or without. The
// error says what is wrong, or that it is not a workload.
func Read(kinds *workload.Kinds, object runtime.Object) (*Workload, error) {
	object, err := withGoType(object)
	if err != nil {
		return nil, err
	}
	gk := object.GetObjectKind().GroupVersionKind().GroupKind()
	accessible, ok := object.(snapshot.Object)
	if !ok {
		return nil, fmt.Errorf("%s: %w", describe(object), ErrNoPods)
	}
	if known, ok := snapshot.KindOf(accessible); ok {
		gk = known.GroupKind()
	}
	kind := kinds.Of(gk)
	if kind == nil {
		return nil, fmt.Errorf("%s: %w", describe(object), ErrNoPods)
	}
	return read(kinds, kind, accessible)
}

// withGoType is an object with the Go type of its kind, where it has one.
func withGoType(object runtime.Object) (runtime.Object, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	kinds := snapshot.Kinds()
	i := slices.IndexFunc(kinds, func(k snapshot.Kind) bool { return k.GroupVersionKind == u.GroupVersionKind() && k.Typed() })
	if i < 0 {
		return object, nil
	}
	typed := kinds[i].New()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err != nil {
		return nil, fmt.Errorf("%s %q: %w", kinds[i].Kind, u.GetName(), err)
	}
	return typed, nil
}

// ErrNoPods says that an object is of no workload kind.
var ErrNoPods = fmt.Errorf("makes no pods")

func describe(object runtime.Object) string {
	if kind := object.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	return fmt.Sprintf("%T", object)
}

func read(kinds *workload.Kinds, kind *workload.Kind, object snapshot.Object) (*Workload, error) {
	content, ok := object.(*unstructured.Unstructured)
	if !ok { // Once for all that is read.
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", kind.Kind, object.GetName(), err)
		}
		content = &unstructured.Unstructured{Object: fields}
	}
	own, err := kind.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", kind.Kind, object.GetName(), err)
	}
	w := &Workload{Kind: kind, Object: object, Sets: own.PodSets}
	if len(own.PodSets) == 0 {
		if w.Sets, err = kinds.Declared(kind, content); err != nil {
			return nil, fmt.Errorf("%s %q: %w", kind.Kind, object.GetName(), err)
		}
	}
	standing := kind.Standing(content)
	w.Wanted, w.Refusal = wanted(own, standing, object), standing.Refusal
	if standing.Made != nil {
		w.Made = int32(*standing.Made)
		w.Missing = max(w.Wanted-w.Made, 0)
	}
	return w, nil
}

// wanted is how many pods a workload should have now.
func wanted(w *workload.Workload, standing workload.Standing, object any) int32 {
	if job, ok := object.(*batchv1.Job); ok {
		return jobWanted(job)
	}
	if standing.Wanted != nil {
		return int32(*standing.Wanted)
	}
	if w.Suspended || w.Finished {
		return 0
	}
	sum := int64(0)
	for _, set := range w.PodSets {
		sum += set.Replicas
	}
	return int32(sum)
}

// jobWanted is how many pods a Job should run at once now, as its controller counts
// (manageJob in k8s.io/kubernetes/pkg/controller/job).
func jobWanted(job *batchv1.Job) int32 {
	if ptr.Deref(job.Spec.Suspend, false) {
		return 0
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) {
			return 0
		}
	}
	wanted := ptr.Deref(job.Spec.Parallelism, 1)
	switch {
	case job.Spec.Completions != nil:
		wanted = min(wanted, *job.Spec.Completions-job.Status.Succeeded)
	case job.Status.Succeeded > 0: // One success will do: no more are made.
		wanted = min(wanted, job.Status.Active)
	}
	return max(wanted, 0)
}
