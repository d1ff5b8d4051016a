package agree

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"

	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// said is what the scheduler did with a pod.
type said struct {
	// Node is where it bound the pod, else Reason and Message are its condition's.
	Node, Reason, Message string
	// Silent is true when it says nothing at all.
	Silent bool
}

// String is one line.
func (s said) String() string {
	switch {
	case s.Silent:
		return "silent"
	case s.Node != "":
		return "bound to " + s.Node
	}
	return s.Reason + ": " + s.Message
}

// saidOf reads a pod's condition; ok is false while there is none.
func saidOf(pod *corev1.Pod) (s said, ok bool) {
	if pod.Spec.NodeName != "" {
		return said{Node: pod.Spec.NodeName}, true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return said{Reason: c.Reason, Message: c.Message}, true
		}
	}
	return said{}, false
}

// podWatch keeps every state that each pod goes through, in order.
type podWatch struct {
	watch   watch.Interface
	mu      sync.Mutex
	states  map[types.UID][]*corev1.Pod
	changed chan struct{} // closed and replaced at each event

	// kubelet ends terminating pods, as no kubelet runs, while ending is true.
	kubelet func(*corev1.Pod)
	ending  bool
}

// endTerminating says whether pods that begin to terminate are ended.
func (w *podWatch) endTerminating(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = on
}

// watchPods starts to watch all pods.
func watchPods(ctx context.Context, client kubernetes.Interface) (*podWatch, error) {
	list, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.CoreV1().Pods("").Watch(ctx, options)
		},
	})
	if err != nil {
		return nil, err
	}
	w := &podWatch{watch: watcher, states: map[types.UID][]*corev1.Pod{}, changed: make(chan struct{})}
	go w.run()
	return w, nil
}

func (w *podWatch) run() {
	for event := range w.watch.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		w.mu.Lock()
		if event.Type == watch.Deleted {
			delete(w.states, pod.UID)
		} else {
			w.states[pod.UID] = append(w.states[pod.UID], pod)
			if pod.DeletionTimestamp != nil && w.ending {
				go w.kubelet(pod)
			}
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

// said returns the first thing the scheduler says of a pod; ok is false when ctx
// ends before.
func (w *podWatch) said(ctx context.Context, uid types.UID) (s said, ok bool) {
	for {
		w.mu.Lock()
		states, changed := w.states[uid], w.changed
		w.mu.Unlock()
		for _, pod := range states {
			if s, ok := saidOf(pod); ok {
				return s, true
			}
		}
		select {
		case <-ctx.Done():
			return said{}, false
		case <-changed:
		}
	}
}

// How long the scheduler is waited for. It decides in milliseconds; a pod whose
// volumes are bound is looked at once a second.
const (
	patience      = 20 * time.Second
	silence       = 50 * time.Millisecond
	sentinelName  = "sentinel"
	bindingPeriod = 50 * time.Millisecond
)

// try creates a pod and returns it as created, with what the scheduler says of
// it. With quiet, it expects to hear nothing: a second pod that cannot be placed
// is queued behind, and when that one is answered, the first was passed over.
func (w *world) try(ctx context.Context, pod *corev1.Pod, quiet bool) (*corev1.Pod, said, error) {
	fresh := pod.DeepCopy()
	fresh.ObjectMeta = metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, Annotations: pod.Annotations}
	fresh.Spec.NodeName = ""
	fresh.Status = corev1.PodStatus{}
	unmerge(&fresh.Spec)
	created, err := w.typed.CoreV1().Pods(pod.Namespace).Create(ctx, fresh, metav1.CreateOptions{})
	if err != nil {
		return nil, said{}, fmt.Errorf("creating the pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if s, ok := saidOf(created); ok { // The API server itself marks a gated pod.
		return created, s, nil
	}
	if quiet {
		s, err := w.hear(ctx, created)
		return created, s, err
	}
	if claims := claimsOf(created); len(claims) > 0 {
		var binding sync.WaitGroup
		defer binding.Wait()
		stop := make(chan struct{})
		defer close(stop)
		binding.Go(func() { w.bindVolumes(ctx, stop, created.Namespace, claims) })
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, ok := w.pods.said(bounded, created.UID)
	if !ok {
		return created, said{Silent: true}, nil
	}
	return created, s, nil
}

// unmerge takes out of a pod's selectors what the API server has merged into them
// from matchLabelKeys and mismatchLabelKeys: it refuses to do so twice.
func unmerge(spec *corev1.PodSpec) {
	strip := func(selector *metav1.LabelSelector, keys ...string) {
		if selector != nil {
			selector.MatchExpressions = slices.DeleteFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool {
				return slices.Contains(keys, r.Key)
			})
		}
	}
	for i := range spec.TopologySpreadConstraints {
		c := &spec.TopologySpreadConstraints[i]
		strip(c.LabelSelector, c.MatchLabelKeys...)
	}
	if spec.Affinity == nil {
		return
	}
	var terms []corev1.PodAffinityTerm
	if a := spec.Affinity.PodAffinity; a != nil {
		terms = append(terms, a.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	if a := spec.Affinity.PodAntiAffinity; a != nil {
		terms = append(terms, a.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	for _, t := range terms { // The selectors are shared with the spec.
		strip(t.LabelSelector, append(slices.Clone(t.MatchLabelKeys), t.MismatchLabelKeys...)...)
	}
}

// hear waits until a pod created after this one has been answered.
func (w *world) hear(ctx context.Context, pod *corev1.Pod) (said, error) {
	sentinel, err := w.typed.CoreV1().Pods(pod.Namespace).Create(ctx, sentinelPod(pod.Namespace), metav1.CreateOptions{})
	if err != nil {
		return said{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, ok := w.pods.said(bounded, sentinel.UID); !ok {
		return said{}, fmt.Errorf("the scheduler says nothing of the pod %s/%s within %s", sentinel.Namespace, sentinel.Name, patience)
	}
	if err := w.retract(ctx, sentinel); err != nil {
		return said{}, err
	}
	bounded, cancel = context.WithTimeout(ctx, silence)
	defer cancel()
	if s, ok := w.pods.said(bounded, pod.UID); ok {
		return s, nil
	}
	return said{Silent: true}, nil
}

// sentinelPod fits on no node.
func sentinelPod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: sentinelName},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{sentinelName: "nowhere"},
			Containers:   []corev1.Container{{Name: "main", Image: "example.com/main:1"}},
		},
	}
}

func gate(name string) corev1.PodSchedulingGate { return corev1.PodSchedulingGate{Name: name} }

// retract deletes a pod at once.
func (w *world) retract(ctx context.Context, pod *corev1.Pod) error {
	err := w.typed.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// claimsOf names the persistent volume claims of a pod.
func claimsOf(pod *corev1.Pod) []string {
	var claims []string
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claims = append(claims, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}

// usesClaims says whether scheduling the pod may change claims or volumes.
func usesClaims(pod *corev1.Pod) bool {
	if len(claimsOf(pod)) > 0 || len(pod.Spec.ResourceClaims) > 0 {
		return true
	}
	for _, c := range pod.Spec.Containers {
		if _, ok := c.Resources.Requests[draExtended]; ok {
			return true
		}
	}
	return false
}

const (
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
	annotationBindCompleted = "pv.kubernetes.io/bind-completed"
)

// bindVolumes does the persistent volume controller's half of binding, for
// claims that the scheduler has chosen a volume or a node for, until stopped.
func (w *world) bindVolumes(ctx context.Context, stop <-chan struct{}, namespace string, claims []string) {
	ticker := time.NewTicker(bindingPeriod)
	defer ticker.Stop()
	for {
		for _, claim := range claims {
			// The scheduler writes at the same time; a conflict is tried again.
			_ = w.bindVolume(ctx, namespace, claim)
		}
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

func (w *world) bindVolume(ctx context.Context, namespace, name string) error {
	claims := w.typed.CoreV1().PersistentVolumeClaims(namespace)
	claim, err := claims.Get(ctx, name, metav1.GetOptions{})
	if err != nil || claim.Annotations[annotationBindCompleted] != "" {
		return err
	}
	volume, err := w.chosenVolume(ctx, claim)
	if err != nil || volume == nil {
		return err
	}
	claim.Spec.VolumeName = volume.Name
	if claim.Annotations == nil {
		claim.Annotations = map[string]string{}
	}
	claim.Annotations[annotationBindCompleted] = "yes"
	if claim, err = claims.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim.Status.Phase = corev1.ClaimBound
	_, err = claims.UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}

// chosenVolume is the volume that the scheduler has reserved for a claim, or a new
// one where it asks for one on a node; nil while it has done neither.
func (w *world) chosenVolume(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolume, error) {
	volumes := w.typed.CoreV1().PersistentVolumes()
	list, err := volumes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if ref := list.Items[i].Spec.ClaimRef; ref != nil && ref.UID == claim.UID {
			return &list.Items[i], nil
		}
	}
	if claim.Annotations[annotationSelectedNode] == "" {
		return nil, nil
	}
	return volumes.Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               claim.Spec.Resources.Requests,
			AccessModes:            claim.Spec.AccessModes,
			StorageClassName:       *claim.Spec.StorageClassName,
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: string(claim.UID)}},
		},
	}, metav1.CreateOptions{})
}

// withPod returns the snapshot with one more pod.
func withPod(s *snapshot.Snapshot, pod *corev1.Pod) (*snapshot.Snapshot, *corev1.Pod, error) {
	extended := *s
	extended.Pods = slices.Clone(s.Pods)
	pod = pod.DeepCopy()
	if err := extended.Add(pod); err != nil {
		return nil, nil, err
	}
	extended.Sort()
	return &extended, pod, nil
}
