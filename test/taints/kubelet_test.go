package taints

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// kubelet runs the pods of all nodes, and remembers what has become of each.
type kubelet struct {
	client kubernetes.Interface
	lister cache.Indexer
	queue  workqueue.TypedRateLimitingInterface[string]

	mu    sync.Mutex
	lives map[string]map[types.UID]*life // by namespace
}

// life is what is known of a pod.
type life struct {
	// pod is as it was last seen.
	pod *corev1.Pod
	// deleted is when it was deleted first, by the API server's clock, and why its
	// DisruptionTarget condition says.
	deleted time.Time
	reason  string
	// gone says that it exists no more; seen is when it changed last.
	gone bool
	seen time.Time
}

// kubeletWorkers is how many pods are attended to at a time.
const kubeletWorkers = 8

// startKubelet runs until ctx ends.
func startKubelet(ctx context.Context, client kubernetes.Interface) (*kubelet, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Pods().Informer()
	k := &kubelet{
		client: client, lister: informer.GetIndexer(), lives: map[string]map[types.UID]*life{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.see(o, false) },
		UpdateFunc: func(_, o any) { k.see(o, false) },
		DeleteFunc: func(o any) { k.see(o, true) },
	})
	if err != nil {
		return nil, err
	}
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, ctx.Err()
	}
	for range kubeletWorkers {
		go k.work(ctx)
	}
	context.AfterFunc(ctx, k.queue.ShutDown)
	return k, nil
}

// see notes an event.
func (k *kubelet) see(object any, gone bool) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	lives := k.lives[pod.Namespace]
	if lives == nil {
		lives = map[types.UID]*life{}
		k.lives[pod.Namespace] = lives
	}
	l := lives[pod.UID]
	if l == nil {
		l = &life{}
		lives[pod.UID] = l
	}
	l.pod, l.gone, l.seen = pod, gone, time.Now()
	l.note()
	if !gone {
		k.queue.Add(pod.Namespace + "/" + pod.Name)
	}
}

// note reads from the pod whether, when and why it was deleted. The condition comes
// first; a pod that has run to its end is gone at once with no deletionTimestamp.
func (l *life) note() {
	if l.reason == "" {
		for _, c := range l.pod.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
				l.reason, l.deleted = c.Reason, c.LastTransitionTime.Time
			}
		}
	}
	if at := l.pod.DeletionTimestamp; at != nil && l.deleted.IsZero() {
		l.deleted = at.Time
		if grace := l.pod.DeletionGracePeriodSeconds; grace != nil {
			l.deleted = at.Add(-time.Duration(*grace) * time.Second)
		}
	}
}

// of are the lives of a namespace's pods, as they are now.
func (k *kubelet) of(namespace string) map[types.UID]life {
	k.mu.Lock()
	defer k.mu.Unlock()
	lives := map[types.UID]life{}
	for uid, l := range k.lives[namespace] {
		lives[uid] = *l
	}
	return lives
}

// forget drops what is known of a namespace.
func (k *kubelet) forget(namespace string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.lives, namespace)
}

func (k *kubelet) work(ctx context.Context) {
	for {
		key, shutdown := k.queue.Get()
		if shutdown {
			return
		}
		if err := k.attend(ctx, key); err != nil && ctx.Err() == nil {
			k.queue.AddRateLimited(key)
		} else {
			k.queue.Forget(key)
		}
		k.queue.Done(key)
	}
}

// attend does what a kubelet would do about a pod next.
func (k *kubelet) attend(ctx context.Context, key string) error {
	object, exists, err := k.lister.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	pod := object.(*corev1.Pod)
	switch {
	case pod.Spec.NodeName == "":
		return nil
	case pod.DeletionTimestamp != nil && pod.Annotations[heldAnnotation] != "":
		return nil
	case pod.DeletionTimestamp != nil && !snapshot.Finished(pod):
		return k.report(ctx, pod, corev1.PodFailed)
	case pod.DeletionTimestamp != nil:
		err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
		return ignoreGone(err)
	case pod.Status.Phase == corev1.PodPending:
		return k.report(ctx, pod, corev1.PodRunning)
	case pod.Status.Phase == corev1.PodRunning && pod.Annotations[endsAnnotation] != "":
		return k.report(ctx, pod, corev1.PodPhase(pod.Annotations[endsAnnotation]))
	}
	return nil
}

// report writes a pod's status: that its only container runs, or how it has ended.
func (k *kubelet) report(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase) error {
	now, ready := metav1.Now(), corev1.ConditionTrue
	container := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, Ready: true, Started: new(true)}
	container.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	if phase != corev1.PodRunning {
		ready = corev1.ConditionFalse
		container.Ready, container.Started = false, new(false)
		container.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: now, FinishedAt: now}}
		if phase == corev1.PodFailed {
			container.State.Terminated.ExitCode = 137 // killed
		}
	}
	status := corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{container}, StartTime: pod.Status.StartTime}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	for _, condition := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: ready, LastTransitionTime: now})
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = k.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return ignoreGone(err)
}

// ignoreGone forgives that the pod is gone, or another of its name has come.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// active says whether a pod counts for its workload.
func active(pod *corev1.Pod) bool {
	return !snapshot.Finished(pod) && pod.DeletionTimestamp == nil && pod.Annotations[corev1.MirrorPodAnnotationKey] == ""
}

// waits says whether a pod is without a node, and the scheduler has said that it
// finds none.
func waits(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

// loadOf names the load of a pod; a pod made by hand is its own.
func loadOf(pod *corev1.Pod) string {
	if name, ok := pod.Labels[loadLabel]; ok {
		return name
	}
	return pod.Name
}

// count is how many active pods of a load have a node, and how many wait.
type count struct{ placed, pending int }

func (c count) String() string { return fmt.Sprintf("%d placed, %d pending", c.placed, c.pending) }

// counts counts active pods by load.
func counts(pods []*corev1.Pod) map[string]count {
	byLoad := map[string]count{}
	for _, pod := range pods {
		if !active(pod) {
			continue
		}
		c := byLoad[loadOf(pod)]
		if pod.Spec.NodeName != "" {
			c.placed++
		} else {
			c.pending++
		}
		byLoad[loadOf(pod)] = c
	}
	return byLoad
}

// present are the pods that exist.
func present(lives map[types.UID]life) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, uid := range slices.Sorted(maps.Keys(lives)) {
		if l := lives[uid]; !l.gone {
			pods = append(pods, l.pod)
		}
	}
	return pods
}
