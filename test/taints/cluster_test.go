package taints

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/stowage-dev/stowage/pkg/load"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
	"github.com/stowage-dev/stowage/test/lab"
)

// rig makes worlds on a control plane.
type rig struct {
	lab     *lab.Lab
	kubelet *kubelet
	kubectl string
}

// newRig starts the kubelet on an empty cluster.
func newRig(ctx context.Context, l *lab.Lab) (*rig, error) {
	if err := l.Reset(ctx); err != nil {
		return nil, err
	}
	kubectl, err := l.Binary("kubectl")
	if err != nil {
		return nil, err
	}
	kubelet, err := startKubelet(ctx, l.Client())
	if err != nil {
		return nil, err
	}
	return &rig{lab: l, kubelet: kubelet, kubectl: kubectl}, l.CreateAll(ctx, classes()...)
}

const (
	// patience is how long a world may take until it is at rest.
	patience = 90 * time.Second
	// glance is how often that is looked at.
	glance = 200 * time.Millisecond
	// atRest is for how long nothing may happen to a world that is made.
	atRest = 2 * time.Second
)

// build makes a world and waits until it is at rest.
func (r *rig) build(ctx context.Context, w *world, namespace string) error {
	objects := append([]runtime.Object{build.Namespace(namespace, "")}, w.nodes(namespace)...)
	if err := r.lab.CreateAll(ctx, objects...); err != nil {
		return err
	}
	if err := r.nodesReady(ctx, namespace); err != nil {
		return err
	}
	if err := r.lab.CreateAll(ctx, w.workloads(namespace, false)...); err != nil {
		return err
	}
	if err := r.claimsBound(ctx, namespace); err != nil {
		return err
	}
	if err := r.built(ctx, w, namespace, false); err != nil {
		return err
	}
	return errors.Join(r.deleteHeld(ctx, w, namespace), r.late(ctx, w, namespace))
}

// nodesReady waits until the node controller has taken its own taint off the nodes.
func (r *rig) nodesReady(ctx context.Context, namespace string) error {
	return until(ctx, "the nodes are ready", func(ctx context.Context) (bool, error) {
		list, err := r.lab.Client().CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: worldLabel + "=" + namespace, ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(list.Items, func(n corev1.Node) bool {
			return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
		}), nil
	})
}

// claimsBound waits until the volume controller has bound the claims.
func (r *rig) claimsBound(ctx context.Context, namespace string) error {
	return until(ctx, "the claims are bound", func(ctx context.Context) (bool, error) {
		list, err := r.lab.Client().CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(list.Items, func(c corev1.PersistentVolumeClaim) bool { return c.Status.Phase != corev1.ClaimBound }), nil
	})
}

// built waits until every pod runs, has ended or waits, and controllers have made
// those that they are to make.
func (r *rig) built(ctx context.Context, w *world, namespace string, late bool) error {
	made := time.Now()
	return until(ctx, "the world is at rest", func(context.Context) (bool, error) {
		lives := r.kubelet.of(namespace)
		if min(time.Since(made), quiet(lives, nil)) < atRest || slices.ContainsFunc(present(lives), unsettled) {
			return false, nil
		}
		seen := map[string]int32{}
		for _, l := range lives {
			seen[loadOf(l.pod)]++
		}
		return !slices.ContainsFunc(w.Loads, func(l workload) bool { return (late || !l.Late) && seen[l.Name] < l.least() }), nil
	})
}

// least is how many pods of a load there must have been at least when all are made.
func (l *workload) least() int32 {
	switch {
	case l.Kind == "DaemonSet": // it is only on nodes that it tolerates
		return 0
	case l.Kind == "StatefulSet" && l.Ordered: // the first may have to wait
		return 1
	}
	return l.Replicas
}

// unsettled says whether the scheduler or the kubelet have something to do with a pod.
func unsettled(pod *corev1.Pod) bool {
	switch {
	case snapshot.Finished(pod) || pod.Annotations[heldAnnotation] != "" && pod.DeletionTimestamp != nil:
		return false
	case pod.DeletionTimestamp != nil || pod.Annotations[endsAnnotation] != "" && pod.Spec.NodeName != "":
		return true
	}
	return pod.Status.Phase != corev1.PodRunning && !waits(pod)
}

// quiet is for how long nothing has happened to pods, but those of these loads.
func quiet(lives map[types.UID]life, but map[string]bool) time.Duration {
	last := time.Time{}
	for _, l := range lives {
		if l.seen.After(last) && !but[loadOf(l.pod)] {
			last = l.seen
		}
	}
	return time.Since(last)
}

// deleteHeld deletes the pods that the kubelet does not end.
func (r *rig) deleteHeld(ctx context.Context, w *world, namespace string) error {
	for i := range w.Loads {
		l := &w.Loads[i]
		if !l.Held {
			continue
		}
		for i := range l.Replicas {
			name := fmt.Sprintf("%s-%d", l.Name, i)
			if err := r.lab.Client().CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(3600))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// late sets the late taints, with the time, and makes the late pods.
func (r *rig) late(ctx context.Context, w *world, namespace string) error {
	someLate := false
	for _, n := range w.Nodes {
		if len(n.Late) == 0 {
			continue
		}
		someLate = true
		now := metav1.Now()
		var taints []corev1.Taint
		for _, text := range slices.Concat(n.Late, n.Taints) {
			taint := build.Taint(text)
			if slices.Contains(n.Late, text) {
				taint.TimeAdded = &now
			}
			taints = append(taints, taint)
		}
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"taints": taints}})
		if err != nil {
			return err
		}
		if _, err := r.lab.Client().CoreV1().Nodes().Patch(ctx, nodeName(namespace, n.Name), types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	if !someLate {
		return nil
	}
	time.Sleep(time.Second) // the late pods' time begins later than the taints'
	if err := r.lab.CreateAll(ctx, w.workloads(namespace, true)...); err != nil {
		return err
	}
	return r.built(ctx, w, namespace, true)
}

// remove deletes a world without waiting for the end of it.
func (r *rig) remove(ctx context.Context, w *world, namespace string) error {
	client := r.lab.Client()
	selector := metav1.ListOptions{LabelSelector: worldLabel + "=" + namespace}
	atOnce := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	errs := []error{client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})}
	errs = append(errs, client.CoreV1().Pods(namespace).DeleteCollection(ctx, atOnce, metav1.ListOptions{}))
	errs = append(errs, client.CoreV1().Nodes().DeleteCollection(ctx, atOnce, selector))
	for i := range w.Loads {
		if w.Loads[i].Local {
			errs = append(errs, client.CoreV1().PersistentVolumes().Delete(ctx, volumeName(namespace, w.Loads[i].Name), atOnce))
		}
	}
	r.kubelet.forget(namespace)
	return errors.Join(errs...)
}

// snapshot is the part of the cluster that is the world's.
func (r *rig) snapshot(ctx context.Context, namespace string) (*snapshot.Snapshot, error) {
	all, err := load.Live(ctx, r.lab.RESTConfig(), load.Options{Source: "lab", Kinds: loadedKinds(), Finished: true})
	if err != nil {
		return nil, err
	}
	own := &snapshot.Snapshot{Source: all.Source, ServerVersion: all.ServerVersion, TakenAt: all.TakenAt}
	for _, kind := range snapshot.Kinds() {
		for _, o := range kind.Objects(all) {
			other := kind.Namespaced && o.GetNamespace() != namespace || kind.Kind == "Node" && o.GetLabels()[worldLabel] != namespace
			if !other {
				kind.Append(own, o)
			}
		}
	}
	own.Sort()
	return own, nil
}

// loadedKinds are all but events, which say what controllers have done.
func loadedKinds() []string {
	var names []string
	for _, kind := range snapshot.Kinds() {
		if kind.Typed() && kind.Kind != "Event" {
			names = append(names, kind.Resource)
		}
	}
	return names
}

// taint runs kubectl taint and returns when each node's taints were written, by the
// API server's clock.
func (r *rig) taint(ctx context.Context, nodes, change []string) (map[string]time.Time, error) {
	args := slices.Concat([]string{"taint", "nodes"}, nodes, change)
	if err := r.run(ctx, args...); err != nil {
		return nil, err
	}
	written := map[string]time.Time{}
	for _, name := range nodes {
		node, err := r.lab.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for _, entry := range node.ManagedFields {
			if entry.Manager == "kubectl-taint" && entry.Time != nil && entry.Time.After(written[name]) {
				written[name] = entry.Time.Time
			}
		}
	}
	return written, nil
}

// run runs kubectl.
func (r *rig) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, r.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.lab.Kubeconfig(), "KUBECACHEDIR="+r.lab.Dir())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// until waits for a condition.
func until(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextTimeout(ctx, glance, patience, true, done)
	if wait.Interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("%w until %s: %v", errSlow, what, patience)
	}
	return err
}

// errSlow says that the cluster did not come to rest in time.
var errSlow = errors.New("waited in vain")
