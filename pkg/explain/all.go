package explain

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// All explains many pods, those alike once, and groups them by cause. The items
// are in the pods' order; a group's remedy is the one that frees most.
func (e *Explainer) All(ctx context.Context, pods []*corev1.Pod) (*report.PendingReport, error) {
	items, err := e.each(ctx, pods, e.opts.NodeDetails)
	if err != nil {
		return nil, err
	}
	groups, err := e.groups(ctx, pods, items)
	if err != nil {
		return nil, err
	}
	result := &report.PendingReport{Items: items, Groups: groups}
	result.SetGroupVersionKind(report.GroupVersion.WithKind("PendingReport"))
	return result, nil
}

// each explains the pods, those alike once, on every core; nodes keeps every node's
// verdict, which for many pods on many nodes is most of the answer.
func (e *Explainer) each(ctx context.Context, pods []*corev1.Pod, nodes bool) ([]report.PendingItem, error) {
	kinds := e.alike()
	first := map[string]int{}
	same := make([]int, len(pods))
	var distinct []int
	for i, pod := range pods {
		key := kinds.Key(pod)
		if _, ok := first[key]; !ok {
			first[key] = i
			distinct = append(distinct, i)
		}
		same[i] = first[key]
	}
	items := make([]report.PendingItem, len(pods))
	if err := e.onEveryCore(ctx, pods, distinct, items, nodes); err != nil {
		return nil, err
	}
	for i, pod := range pods {
		if same[i] != i {
			items[i] = e.likewise(items[same[i]], pod)
		}
	}
	return items, nil
}

// manyShapes is from how many different pods on the search for each is narrowed.
const manyShapes = 8

// onEveryCore explains the distinct pods, on as many goroutines as there are cores when
// there are several.
func (e *Explainer) onEveryCore(ctx context.Context, pods []*corev1.Pod, distinct []int, items []report.PendingItem, nodes bool) error {
	workers := min(runtime.GOMAXPROCS(0), len(distinct))
	if workers <= 1 {
		return e.work(ctx, pods, distinct, items, nodes, new(atomic.Int64))
	}
	forks := make([]*Explainer, workers)
	for w := range workers {
		worker, err := e.fork()
		if err != nil {
			return err
		}
		defer worker.Close()
		if len(distinct) > manyShapes {
			worker.limits = limits{evictNodes: 1}
		}
		forks[w] = worker
	}
	var wg sync.WaitGroup
	errs := make([]error, workers)
	var next atomic.Int64
	for w, worker := range forks {
		wg.Go(func() { errs[w] = worker.work(ctx, pods, distinct, items, nodes, &next) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

func (e *Explainer) work(ctx context.Context, pods []*corev1.Pod, distinct []int, items []report.PendingItem, nodes bool, next *atomic.Int64) error {
	for {
		n := int(next.Add(1)) - 1
		if n >= len(distinct) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		i := distinct[n]
		item, err := e.pod(ctx, pods[i], nil, nodes)
		if err != nil && ctx.Err() == nil {
			// One pod that cannot be judged is no reason to say nothing of the others.
			item.Verdict, item.Message = report.VerdictUnknown, err.Error()
		} else if err != nil {
			return err
		}
		items[i] = item
		e.shared.progress(e.opts.Progress, n+1, len(distinct))
	}
}

// likewise is the answer for a pod that is alike another: what names the pod is
// its own.
func (e *Explainer) likewise(item report.PendingItem, pod *corev1.Pod) report.PendingItem {
	own := e.newItem(pod)
	example := itemKey(&item)
	item.Name, item.UID, item.Workload, item.PendingSince = own.Name, own.UID, own.Workload, own.PendingSince
	item.ClusterMessage, item.Agrees, item.Disagreement = own.ClusterMessage, report.AgreesUnknown, ""
	item.Remedies = slices.Clone(item.Remedies)
	for i, remedy := range item.Remedies {
		if plan, ok := e.shared.plan(example, remedy.ID); ok {
			e.shared.keepPlan(keyOf(pod), plan.of(pod))
			item.Remedies[i] = e.world.remedy(pod, nil, plan.candidate, remedy.Fits)
		}
	}
	item.Autoscaler = e.world.autoscalerNotes(pod)
	compareWithCluster(pod, e.engine.Len(), &item)
	return item
}
