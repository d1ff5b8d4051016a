package storm

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/test/lab"
	"github.com/stowage-dev/stowage/test/quota/rig"
)

const (
	// hoursNamespace is where the workloads of TestHours are.
	hoursNamespace = "hours"
	// hoursTolerance is by how much of the truth the hours may be wrong.
	hoursTolerance = 0.001
	// mostUnsure is by how much the truth by requests and by the watch may differ for the test to say anything.
	mostUnsure = 0.02
	// allDead is how long no manager runs.
	allDead = 10 * time.Second

	gpu      = "nvidia.com/gpu"
	gpuModel = "A30"
)

// cashKeys are the keys whose hours are compared.
var cashKeys = []string{
	"cash/limits.cpu", "cash/limits.cpu." + model, "cash/requests." + gpu, "cash/requests." + gpu + "." + gpuModel,
}

// hoursRate is how fast the managers' clock runs: the test lasts an hour by it, or its minutes if they are more.
func hoursRate() float64 { return max(60 / *minutes, 1) }

// hoursGroups are by name, with their parents.
var hoursGroups = map[string]string{"red": "", "green": "", "blue": "green"}

// payer is what one pod of an app charges an hour, and whom.
type payer struct {
	group string
	rates map[string]float64 // by cash key
}

// truth is the test's own account, from what it sees by a watch of its own and when.
type truth struct {
	clock rig.Clock

	mu     sync.Mutex
	payers map[string]payer   // by app, which is the pods' label
	runs   map[string]*podRun // by pod
	bound  int
	ended  int
	marker string // the last value of the marker's annotation
}

// podRun is one pod's time on a node.
type podRun struct {
	app      string
	from, to moment
}

// moment is when something happened: in the middle of the request that made it happen, and when the watch told of it.
// A component that watches cannot know it better than by the latter, and in a test of minutes its delay matters.
type moment struct{ requested, watched time.Time }

// comparison is a group's hours by key, as the ledger has them and as the truth does by requests and by the watch.
type comparison struct{ ledger, requested, watched map[string]float64 }

// see takes in a pod's version, which arrived now.
func (tr *truth) see(event watch.EventType, pod *corev1.Pod) {
	now := tr.clock.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if pod.Name == markerPod {
		tr.marker = pod.Annotations[markerPod]
		return
	}
	r := tr.run(pod.Name)
	if r.from.watched.IsZero() && pod.Spec.NodeName != "" && event != watch.Deleted {
		r.app, r.from.watched = pod.Labels["app"], now
		tr.bound++
	}
	if r.to.watched.IsZero() && (pod.Status.Phase == corev1.PodSucceeded || event == watch.Deleted) {
		r.to.watched = now
		tr.ended++
		// A pod whose deletion was decided on before it was bound, and carried out after, is gone at once.
		if event == watch.Deleted && r.to.requested.IsZero() {
			r.to.requested = now
		}
	}
}

func (tr *truth) run(pod string) *podRun {
	if tr.runs[pod] == nil {
		tr.runs[pod] = &podRun{}
	}
	return tr.runs[pod]
}

// requested notes when a pod was bound, or ended: in the middle of a request that began at start and has been answered.
func (tr *truth) requested(pod string, start time.Time, of func(*podRun) *moment) {
	now := tr.clock.Now()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	of(tr.run(pod)).requested = start.Add(now.Sub(start) / 2)
}

// hours is what a group's pods used until then, by key, by one of the two times.
func (tr *truth) hours(group string, until time.Time, by func(moment) time.Time) map[string]float64 {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	hours := map[string]float64{}
	for _, r := range tr.runs {
		payer, from, to := tr.payers[r.app], by(r.from), by(r.to)
		if payer.group != group || from.IsZero() {
			continue
		}
		if to.IsZero() || to.After(until) {
			to = until
		}
		lasted := max(0, to.Sub(from)).Hours()
		for key, rate := range payer.rates {
			hours[key] += lasted * rate
		}
	}
	return hours
}

// hours is one run of the test.
type hours struct {
	t      *testing.T
	rig    *rig.Rig
	rng    *rand.Rand
	kube   kubernetes.Interface
	truth  *truth
	nodes  *kubelets
	apps   []string // Deployments
	pods   []string // bare pods that run, by name
	made   int
	killed int
}

// TestHours compares the hours that ledgers count with a log of what happened; see package storm.
func TestHours(t *testing.T) {
	lab.Needed(t)
	h := startHours(t)
	lasts := time.Duration(*minutes * float64(time.Minute))
	start := time.Now()
	h.churn(start.Add(lasts / 5))
	h.killLeader()
	h.churn(start.Add(lasts * 2 / 5))
	h.killLeader()
	h.churn(start.Add(lasts * 3 / 5))
	before := h.compare()
	h.killAll()
	h.churn(start.Add(lasts * 4 / 5))
	h.killLeader()
	h.churn(start.Add(lasts))
	whole := h.compare()

	worst, unsure, tableBefore := table(before)
	worstWhole, unsureWhole, tableWhole := table(whole)
	worst, unsure = max(worst, worstWhole), max(unsure, unsureWhole)
	t.Logf("%s in %s, seed %d: %d pods bound, %d ended; managers killed: %d, all of them once for %s", rigTime(lasts), lasts, *seed,
		h.truth.bound, h.truth.ended, h.killed, rigTime(allDead))
	t.Logf("before all were killed\n%s", tableBefore)
	t.Logf("in all\n%s", tableWhole)
	t.Logf("at most %.4f%% off, the truth known to %.4f%%", worst*100, unsure*100)
	if unsure > mostUnsure {
		// Nothing can be said for or against the ledger by a truth that nobody knows.
		t.Skipf("the truth itself is only known to %.2f%%, want %.0f%%: this machine is too busy; give it more -minutes", unsure*100, mostUnsure*100)
	}
	if worst >= hoursTolerance {
		t.Errorf("hours are %.4f%% off, want less than %.1f%%", worst*100, hoursTolerance*100)
	}
}

func rigTime(wall time.Duration) time.Duration {
	return time.Duration(float64(wall) * hoursRate()).Round(time.Second)
}

// startHours starts the component with a fast clock, the log, and what stands in for scheduler and kubelets.
func startHours(t *testing.T) *hours {
	t.Helper()
	if err := cluster.Stop(t.Context(), lab.Kwok); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Start(context.Background(), lab.Kwok); err != nil {
			t.Error(err)
		}
	})
	if err := addNodes(t.Context(), hoursNamespace); err != nil {
		t.Fatal(err)
	}
	h := &hours{t: t, rng: rand.New(rand.NewPCG(*seed, 'h')), kube: cluster.Client()}
	h.rig = rig.StartTest(t, cluster, rig.Options{Managers: 3, ClockRate: hoursRate()})
	h.truth = &truth{clock: h.rig.Clock(), payers: map[string]payer{}, runs: map[string]*podRun{}}
	h.nodes = startKubelets(t, h.rig, h.truth)
	h.watchPods()
	h.makeGroups()
	h.makeApps()
	return h
}

// watchPods keeps the log, and has pods bound and ended, until the test ends.
func (h *hours) watchPods() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context())) // pods are still to be ended when the namespace is deleted
	pods := h.kube.CoreV1().Pods(hoursNamespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return pods.Watch(ctx, opts)
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		for event := range watcher.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok {
				h.t.Errorf("watch of pods: %v", apierrors.FromObject(event.Object))
				return
			}
			h.truth.see(event.Type, pod)
			h.nodes.see(pod)
		}
	})
	h.t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
}

// markerPod is never bound; its annotation of the same name changes for the log to be known to have come so far.
const markerPod = "marker"

// catchUp waits until the log has everything up to now.
func (h *hours) catchUp() {
	h.t.Helper()
	ctx, pods := h.t.Context(), h.kube.CoreV1().Pods(hoursNamespace)
	_, spec := h.app(markerPod, "", 0)
	_, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: markerPod}, Spec: spec}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		h.t.Fatal(err)
	}
	value := h.rig.Now().Format(time.RFC3339Nano)
	text := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, markerPod, value)
	if _, err := pods.Patch(ctx, markerPod, types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
		h.t.Fatal(err)
	}
	for seen := ""; seen != value; sleep(ctx, 10*time.Millisecond) {
		h.truth.mu.Lock()
		seen = h.truth.marker
		h.truth.mu.Unlock()
	}
}

func (h *hours) makeGroups() {
	h.t.Helper()
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range []string{"red", "green", "blue"} {
		hard := object{"limits.cpu": "1M"}
		if hoursGroups[name] != "" {
			hard["limits.cpu"] = "100k"
		}
		for _, key := range cashKeys {
			hard[key] = hard["limits.cpu"]
		}
		group := &unstructured.Unstructured{Object: object{
			"apiVersion": groupsResource.GroupVersion().String(), "kind": "BizGroupResourceQuota", "metadata": object{"name": name},
			"spec": object{"parentBizGroup": hoursGroups[name], "hard": hard, "allow": object{"namespaces": []any{hoursNamespace}}},
		}}
		if _, err := client.Resource(groupsResource).Create(h.t.Context(), group, metav1.CreateOptions{}); err != nil {
			h.t.Fatal(err)
		}
	}
	h.t.Cleanup(func() {
		ctx := context.Background()
		if err := cluster.DeleteNamespace(ctx, hoursNamespace); err != nil {
			h.t.Error(err)
		}
	})
}

// appsOfGroup and replicas are the Deployments; bare pods run beside their pods.
const (
	appsOfGroup = 4
	replicas    = 24
	barePods    = 100
)

// makeApps creates the Deployments.
func (h *hours) makeApps() {
	h.t.Helper()
	for group := range hoursGroups {
		for i := range appsOfGroup {
			name := fmt.Sprintf("%s-%d", group, i)
			labels, spec := h.app(name, group, i)
			template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}, Spec: spec}
			if i%2 == 0 { // then the pods of the Deployment cannot be made while no manager runs
				template.Labels[groupLabel] = group
			}
			deployment := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
				Spec: appsv1.DeploymentSpec{
					Replicas: ptr.To[int32](replicas), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template,
				},
			}
			if _, err := h.kube.AppsV1().Deployments(hoursNamespace).Create(h.t.Context(), deployment, metav1.CreateOptions{}); err != nil {
				h.t.Fatal(err)
			}
			h.apps = append(h.apps, name)
		}
	}
}

// app draws what the pods of an app are, and notes who pays for them: every other app is of models, every fourth
// has GPUs.
func (h *hours) app(name, group string, i int) (map[string]string, corev1.PodSpec) {
	cores := 1 + h.rng.Int64N(8)
	list := corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(cores, resource.DecimalSI)}
	p := payer{group: group, rates: map[string]float64{cashKeys[0]: float64(cores)}}
	labels := map[string]string{groupLabel: group, "app": name}
	ofModel, gpus := i%2 == 1, i%4 >= 2
	if ofModel {
		labels[cpuTypeLabel], labels["biz.group.resource.quota/gpu-type"] = model, gpuModel
		p.rates[cashKeys[1]] = float64(cores)
	}
	if gpus {
		list[gpu] = resource.MustParse("2")
		p.rates[cashKeys[2]] = 2
		if ofModel {
			p.rates[cashKeys[3]] = 2
		}
	}
	h.truth.mu.Lock()
	defer h.truth.mu.Unlock()
	h.truth.payers[name] = p
	return labels, corev1.PodSpec{
		SchedulerName: "hours",
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.example.com/main", Resources: corev1.ResourceRequirements{Limits: list, Requests: list},
		}},
	}
}

// churnPause is between two changes.
const churnPause = 120 * time.Millisecond

// churn creates, ends and deletes pods until a time. What is refused while no manager runs is not done.
func (h *hours) churn(until time.Time) {
	h.t.Helper()
	ctx := h.t.Context()
	for time.Now().Before(until) {
		var err error
		switch draw := h.rng.IntN(100); {
		case len(h.pods) < barePods/2 || draw < 30 && len(h.pods) < barePods:
			err = h.createPod(ctx)
		case draw < 60 && len(h.pods) > 0:
			name := h.takePod()
			if h.rng.IntN(2) == 0 {
				err = h.kube.CoreV1().Pods(hoursNamespace).Delete(ctx, name, metav1.DeleteOptions{})
			} else {
				err = h.nodes.finish(ctx, name)
			}
		case draw < 85:
			err = h.deleteAppPod(ctx)
		default:
			err = h.scaleApp(ctx)
		}
		if err != nil && !isUnavailable(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			h.t.Fatal(err)
		}
		time.Sleep(churnPause)
	}
}

func (h *hours) createPod(ctx context.Context) error {
	h.made++
	name, group := fmt.Sprintf("bare-%d", h.made), slices.Sorted(maps.Keys(hoursGroups))[h.rng.IntN(len(hoursGroups))]
	labels, spec := h.app(name, group, h.made)
	_, err := h.kube.CoreV1().Pods(hoursNamespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: spec}, metav1.CreateOptions{})
	if err == nil {
		h.pods = append(h.pods, name)
	}
	return err
}

func (h *hours) takePod() string {
	i := h.rng.IntN(len(h.pods))
	name := h.pods[i]
	h.pods = slices.Delete(h.pods, i, i+1)
	return name
}

// deleteAppPod deletes a pod of a Deployment, which makes another.
func (h *hours) deleteAppPod(ctx context.Context) error {
	app := h.apps[h.rng.IntN(len(h.apps))]
	list, err := h.kube.CoreV1().Pods(hoursNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	return h.kube.CoreV1().Pods(hoursNamespace).Delete(ctx, list.Items[h.rng.IntN(len(list.Items))].Name, metav1.DeleteOptions{})
}

func (h *hours) scaleApp(ctx context.Context) error {
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: hoursNamespace, Name: h.apps[h.rng.IntN(len(h.apps))]}}
	scale.Spec.Replicas = replicas/2 + h.rng.Int32N(replicas)
	_, err := h.kube.AppsV1().Deployments(hoursNamespace).UpdateScale(ctx, scale.Name, scale, metav1.UpdateOptions{})
	return err
}

// killLeader kills the leader, and starts it again after two seconds.
func (h *hours) killLeader() {
	h.t.Helper()
	leader, err := h.rig.Leader(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.rig.Kill(leader); err != nil {
		h.t.Fatal(err)
	}
	h.killed++
	h.churn(time.Now().Add(2 * time.Second))
	if err := h.rig.Restart(h.t.Context(), leader); err != nil {
		h.t.Fatal(err)
	}
}

// killAll kills all managers, and starts them again after a while in which pods go on to come and go.
func (h *hours) killAll() {
	h.t.Helper()
	for i := range h.rig.Size() {
		if err := h.rig.Kill(i); err != nil {
			h.t.Fatal(err)
		}
		h.killed++
	}
	h.churn(time.Now().Add(allDead))
	var starting errgroup.Group
	for i := range h.rig.Size() {
		starting.Go(func() error { return h.rig.Restart(h.t.Context(), i) })
	}
	if err := starting.Wait(); err != nil {
		h.t.Fatal(err)
	}
}

// compare waits until each group has been counted anew, and compares what they have then.
func (h *hours) compare() map[string]comparison {
	h.t.Helper()
	now, groups := h.rig.Now(), map[string]*stowagev1alpha1.BizGroupResourceQuotaStatus{}
	for name := range hoursGroups {
		for groups[name] == nil {
			if status := h.status(name); status.LastReconcileTime != nil && status.LastReconcileTime.After(now) {
				groups[name] = status
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	h.catchUp()
	compared := map[string]comparison{}
	for name, status := range groups {
		until := status.LastReconcileTime.Time
		c := comparison{
			ledger:    map[string]float64{},
			requested: h.truth.hours(name, until, func(m moment) time.Time { return m.requested }),
			watched:   h.truth.hours(name, until, func(m moment) time.Time { return m.watched }),
		}
		for _, key := range cashKeys {
			quantity := status.SelfUsed[corev1.ResourceName(key)]
			c.ledger[key] = quantity.AsApproximateFloat64()
		}
		compared[name] = c
	}
	return compared
}

func (h *hours) status(group string) *stowagev1alpha1.BizGroupResourceQuotaStatus {
	h.t.Helper()
	client, err := dynamic.NewForConfig(cluster.RESTConfig())
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := client.Resource(groupsResource).Get(h.t.Context(), group, metav1.GetOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	var read stowagev1alpha1.BizGroupResourceQuota
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, &read); err != nil {
		h.t.Fatal(err)
	}
	return &read.Status
}

// table is the groups' hours by key, and by how much the worst is off: by how much a ledger is outside of what the
// truth is by requests and by the watch. unsure is by how much these two differ at most.
func table(groups map[string]comparison) (worst, unsure float64, text string) {
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "group\tkey\tledger\tby requests\tby watch\toff by")
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		for _, key := range cashKeys {
			c := groups[group]
			ledger, a, b := c.ledger[key], c.requested[key], c.watched[key]
			off := max(min(a, b)-ledger, ledger-max(a, b), 0) / max(a, 1e-9)
			worst, unsure = max(worst, off), max(unsure, (max(a, b)-min(a, b))/max(a, 1e-9))
			fmt.Fprintf(w, "%s\t%s\t%.4f\t%.4f (%+.4f%%)\t%.4f (%+.4f%%)\t%.4f%%\n", group, key, ledger,
				a, (ledger-a)/max(a, 1e-9)*100, b, (ledger-b)/max(b, 1e-9)*100, off*100)
		}
	}
	w.Flush()
	return worst, unsure, lines.String()
}

// kubelets stand in for the scheduler and for all kubelets: they bind pods and end those that are deleted, and write
// into pods when that was by the managers' clock.
type kubelets struct {
	t     *testing.T
	rig   *rig.Rig
	truth *truth
	kube  kubernetes.Interface
	todo  chan func(context.Context) error

	mu    sync.Mutex
	bound map[string]bool // by name; deleted names are kept, none comes again
	ended map[string]bool
}

// kubeletWorkers is how many pods are dealt with at once.
const kubeletWorkers = 16

func startKubelets(t *testing.T, r *rig.Rig, log *truth) *kubelets {
	k := &kubelets{
		t: t, rig: r, truth: log, kube: cluster.Client(), todo: make(chan func(context.Context) error, 1<<16),
		bound: map[string]bool{}, ended: map[string]bool{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for range kubeletWorkers {
		working.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case do := <-k.todo:
					err := do(ctx)
					for ; err != nil && isUnavailable(err) && ctx.Err() == nil; err = do(ctx) {
						sleep(ctx, churnPause) // a kubelet tries again
					}
					if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
						t.Errorf("kubelet: %v", err)
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		working.Wait()
	})
	return k
}

// see takes in a pod's version, and sees to what is to be done, once.
func (k *kubelets) see(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := pod.Name
	switch {
	case name == markerPod:
	case pod.DeletionTimestamp == nil && pod.Spec.NodeName == "" && !k.bound[name]:
		k.bound[name] = true
		k.todo <- func(ctx context.Context) error { return k.bind(ctx, name) }
	case pod.DeletionTimestamp != nil && pod.Spec.NodeName != "" && !k.ended[name]:
		k.ended[name] = true
		k.todo <- func(ctx context.Context) error {
			if err := k.finish(ctx, name); err != nil {
				return err
			}
			return k.kube.CoreV1().Pods(hoursNamespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		}
	}
}

// bind binds a pod; the API server keeps the time of the condition that says so already.
func (k *kubelets) bind(ctx context.Context, name string) error {
	status := corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(k.rig.Now()),
	}}}
	if err := k.patchStatus(ctx, name, status); err != nil {
		return err
	}
	start := k.rig.Now()
	err := k.kube.CoreV1().Pods(hoursNamespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: hoursNamespace, Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: hoursNamespace + "-0"},
	}, metav1.CreateOptions{})
	if err == nil {
		k.truth.requested(name, start, func(r *podRun) *moment { return &r.from })
	}
	return err
}

// finish ends a pod's containers.
func (k *kubelets) finish(ctx context.Context, name string) error {
	start := k.rig.Now()
	now := metav1.NewTime(start)
	err := k.patchStatus(ctx, name, corev1.PodStatus{
		Phase: corev1.PodSucceeded,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", Image: "registry.example.com/main",
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: now, FinishedAt: now, Reason: "Completed"}},
		}},
	})
	if err == nil {
		k.truth.requested(name, start, func(r *podRun) *moment { return &r.to })
	}
	return err
}

func (k *kubelets) patchStatus(ctx context.Context, name string, status corev1.PodStatus) error {
	text, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = k.kube.CoreV1().Pods(hoursNamespace).Patch(ctx, name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status")
	return err
}
