package whypending

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/cli"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/print"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// question is what is asked about, found in the snapshot or in the files.
type question struct {
	// pods wait for a node. listed says that they were not named one by one,
	// grouped that their groups by cause are wanted.
	pods            []*corev1.Pod
	listed, grouped bool
	// refused asks for workloads whose pods cannot be created.
	refused bool
	// workloads are those of the cluster, planned the pods and workloads of -f.
	workloads []snapshot.Object
	planned   []runtime.Object
	namespace string
	// notes say of what was asked about why it is not in the report.
	notes []string
}

// question finds what was asked about: what files planned, or else what the arguments
// name of the snapshot.
func (o *Options) question(ctx context.Context, snap *snapshot.Snapshot, planned []runtime.Object) (*question, error) {
	q := &question{grouped: o.All, namespace: o.namespace, planned: planned}
	if len(planned) > 0 {
		return q, nil
	}
	if len(o.targets) == 0 {
		q.listed, q.refused = true, o.Select.Empty()
		q.addPending(snap.PendingPods(o.namespace), o.matches)
		return q, nil
	}
	for _, target := range o.targets {
		objects, err := cli.Find(snap, o.namespace, target)
		if !target.Kind.Typed() {
			err = o.addUnheld(q, snap, target, err)
		}
		if err != nil {
			pod := o.Source.FinishedPod(ctx, o.Env, o.namespace, target.Name)
			if target.Kind.Kind != "Pod" || pod == nil {
				return nil, err
			}
			q.notes = append(q.notes, settled(pod))
		}
		q.listed = q.listed || target.Name == ""
		for _, object := range objects {
			q.add(object, target.Name != "", o.matches)
		}
	}
	return q, nil
}

// add takes one object of a target; of a pod that was named and is not pending,
// it notes the state instead.
func (q *question) add(object snapshot.Object, named bool, matches func(*corev1.Pod) bool) {
	pod, isPod := object.(*corev1.Pod)
	switch {
	case !isPod:
		q.workloads = append(q.workloads, object)
	case snapshot.Pending(pod):
		q.addPending([]*corev1.Pod{pod}, matches)
	case named:
		q.notes = append(q.notes, settled(pod))
	}
}

func (q *question) addPending(pods []*corev1.Pod, matches func(*corev1.Pod) bool) {
	for _, pod := range pods {
		if matches(pod) {
			q.pods = append(q.pods, pod)
		}
	}
}

// settled says of a pod that is not pending where it is, and since when.
func settled(pod *corev1.Pod) string {
	name := fmt.Sprintf("pod %q in namespace %q is not pending: ", pod.Name, pod.Namespace)
	if snapshot.Finished(pod) {
		return name + fmt.Sprintf("it has finished (%s)", pod.Status.Phase)
	}
	since := ""
	if at, known := snapshot.BoundAt(pod); known {
		since = " since " + print.Time(at)
	}
	return name + fmt.Sprintf("it is bound to node %q%s", pod.Spec.NodeName, since)
}

// put asks the explainer.
func (q *question) put(ctx context.Context, explainer *explain.Explainer) (*answer, error) {
	answer := &answer{report: newReport(), listed: q.listed, notes: q.notes}
	if err := q.putPods(ctx, explainer, answer); err != nil {
		return nil, err
	}
	for _, workload := range q.workloads {
		items, err := explainer.Workload(ctx, workload)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 && !q.listed {
			answer.notes = append(answer.notes, noPending(workloadKind(workload), workload.GetName(), workload.GetNamespace()))
		}
		answer.report.Items = append(answer.report.Items, items...)
	}
	for _, object := range q.planned {
		item, err := explainer.WouldFit(ctx, object, q.namespace)
		if err != nil {
			return nil, err
		}
		answer.report.Items = append(answer.report.Items, item)
	}
	answer.report.Items = ordered(answer.report.Items)
	return answer, nil
}

// noPending says of a workload that it waits for nothing.
func noPending(kind, name, namespace string) string {
	return fmt.Sprintf("%s %q in namespace %q has no pending pods", cli.TypeName(kind), name, namespace)
}

// workloadKind is the kind of an object of a snapshot, of which one with a Go type
// carries none.
func workloadKind(object snapshot.Object) string {
	if kind := object.GetObjectKind().GroupVersionKind().Kind; kind != "" {
		return kind
	}
	gvks, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil || len(gvks) == 0 {
		return ""
	}
	return gvks[0].Kind
}

// ordered sorts items by namespace and name, and drops those named twice.
func ordered(items []report.PendingItem) []report.PendingItem {
	compare := func(a, b report.PendingItem) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	}
	slices.SortStableFunc(items, compare)
	return slices.CompactFunc(items, func(a, b report.PendingItem) bool { return compare(a, b) == 0 })
}

// putPods explains the pods: many at once where they are a list, which explains
// pods that are alike only once.
func (q *question) putPods(ctx context.Context, explainer *explain.Explainer, answer *answer) error {
	if !q.listed {
		for _, pod := range q.pods {
			item, err := explainer.Pod(ctx, pod)
			if err != nil {
				return err
			}
			answer.report.Items = append(answer.report.Items, item)
		}
		return nil
	}
	all, err := explainer.All(ctx, q.pods)
	if err != nil {
		return err
	}
	answer.report.Items = append(answer.report.Items, all.Items...)
	if q.grouped {
		answer.report.Groups = all.Groups
	}
	if q.refused {
		answer.report.Items = append(answer.report.Items, explainer.NotCreated(q.namespace)...)
	}
	return nil
}

// newReport returns a report without items.
func newReport() *report.PendingReport {
	r := &report.PendingReport{Items: []report.PendingItem{}}
	r.SetGroupVersionKind(report.GroupVersion.WithKind("PendingReport"))
	return r
}
