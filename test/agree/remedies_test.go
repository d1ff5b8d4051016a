package agree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/explain"
	"github.com/stowage-dev/stowage/pkg/predicate"
	"github.com/stowage-dev/stowage/pkg/snapshot"
)

// explained asks pkg/explain about a pod that the scheduler has answered.
func explained(ctx context.Context, snap *snapshot.Snapshot, pod *corev1.Pod, s said) (report.PendingItem, error) {
	pod = pod.DeepCopy()
	if s.Reason != "" {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: s.Reason, Message: s.Message}}
	}
	snap, pod, err := withPod(snap, pod)
	if err != nil {
		return report.PendingItem{}, err
	}
	explainer, err := explain.New(ctx, snap, explain.Options{Remedies: true})
	if err != nil {
		return report.PendingItem{}, err
	}
	defer explainer.Close()
	return explainer.Pod(ctx, pod)
}

// itemDiffers compares a report with what the scheduler did.
func itemDiffers(item report.PendingItem, s said) string {
	want := report.VerdictUnschedulable
	switch {
	case s.Node != "":
		want = report.VerdictSchedulable
	case s.Silent || s.Reason == corev1.PodReasonSchedulingGated:
		want = report.VerdictGated
	case s.Reason == corev1.PodReasonSchedulerError:
		want = report.VerdictUnknown
	}
	if item.Verdict != want {
		return fmt.Sprintf("the report's verdict is %s; the scheduler: %s", item.Verdict, s)
	}
	if s.Reason != "" && item.Agrees != report.AgreesTrue {
		return fmt.Sprintf("the report does not agree (%s)\n  the scheduler: %s\n  the report:    %s", item.Disagreement, s.Message, item.Message)
	}
	return ""
}

// change is a remedy applied to the cluster.
type change struct {
	pod  *corev1.Pod // a fresh copy, changed
	keys []string    // the cluster's objects that were touched
}

// apply does a remedy's changes: those of the pod to a copy of it, the others to
// the cluster, each as the JSON patch, creation or deletion that it says.
func (w *world) apply(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) (c change, err error) {
	var ops []report.Change
	for _, edit := range remedy.Changes {
		if isSelf(edit, pod) {
			ops = append(ops, edit)
			continue
		}
		key, err := w.applyOne(ctx, pod.Namespace, edit)
		if key != "" {
			c.keys = append(c.keys, key)
		}
		if err != nil {
			return c, fmt.Errorf("%s %s %s: %w", edit.Op, edit.Object, edit.Path, err)
		}
	}
	c.pod, err = patched(pod, ops)
	if err != nil {
		return c, err
	}
	return c, w.control(ctx, c.pod)
}

// control does what controllers would do of a changed cluster: it takes the
// taint off nodes that are no longer cordoned and binds the pod's claims that a
// volume names.
func (w *world) control(ctx context.Context, pod *corev1.Pod) error {
	nodes, err := w.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	isCordon := func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable }
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if node.Spec.Unschedulable || !slices.ContainsFunc(node.Spec.Taints, isCordon) {
			continue
		}
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, isCordon)
		if _, err := w.typed.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	for _, claim := range claimsOf(pod) {
		if err := w.bindVolume(ctx, pod.Namespace, claim); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// patched applies JSON-patch operations to a pod.
func patched(pod *corev1.Pod, edits []report.Change) (*corev1.Pod, error) {
	document, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	if document, err = patch(document, edits...); err != nil {
		return nil, err
	}
	changed := &corev1.Pod{}
	return changed, json.Unmarshal(document, changed)
}

func patch(document []byte, edits ...report.Change) ([]byte, error) {
	for _, edit := range edits {
		ops, err := jsonpatch.DecodePatch(patchText(edit))
		if err != nil {
			return nil, err
		}
		if document, err = ops.Apply(document); err != nil {
			return nil, fmt.Errorf("%s %s: %w", edit.Op, edit.Path, err)
		}
	}
	return document, nil
}

// patchText is an edit as a JSON patch of one operation.
func patchText(edit report.Change) []byte {
	op := map[string]any{"op": edit.Op, "path": edit.Path}
	if edit.Value != "" {
		op["value"] = json.RawMessage(edit.Value)
	}
	text, err := json.Marshal([]any{op})
	if err != nil { // The value is no JSON: let the patch be refused.
		return []byte(edit.Value)
	}
	return text
}

// applyOne does one change to the cluster and returns the key of what it touched.
func (w *world) applyOne(ctx context.Context, namespace string, edit report.Change) (key string, err error) {
	if edit.Op == report.OpCreate {
		return w.applyCreation(ctx, namespace, edit)
	}
	live, ok := w.live[edit.Object]
	if !ok {
		return "", fmt.Errorf("no such object; there are %d", len(w.live))
	}
	if edit.Op == report.OpDelete {
		return edit.Object, w.removeOne(ctx, live)
	}
	kind, err := kindOf(live)
	if err != nil {
		return "", err
	}
	_, err = w.resources(kind, live.GetNamespace()).Patch(ctx, live.GetName(), types.JSONPatchType, patchText(edit), metav1.PatchOptions{})
	return edit.Object, err
}

func (w *world) applyCreation(ctx context.Context, namespace string, edit report.Change) (key string, err error) {
	o, err := creation(namespace, edit)
	if err != nil {
		return "", err
	}
	made, err := w.create(ctx, w.linked(o))
	if err != nil {
		return "", err
	}
	w.live[keyOf(made)] = made
	return keyOf(made), nil
}

// creation is the object that a change creates.
func creation(namespace string, edit report.Change) (snapshot.Object, error) {
	name, _, _ := strings.Cut(edit.Object, "/")
	for _, k := range snapshot.Kinds() {
		if k.Kind != name {
			continue
		}
		o := k.New()
		if k.Namespaced {
			o.SetNamespace(namespace)
		}
		return o, json.Unmarshal([]byte(edit.Value), o)
	}
	return nil, fmt.Errorf("no kind %q", name)
}

// undo puts the touched objects back. A shared kind's object that a remedy made
// is not shared: it goes.
func (w *world) undo(ctx context.Context, c change) error {
	if len(c.keys) == 0 {
		return nil
	}
	slices.Sort(c.keys)
	return w.restore(ctx, slices.Compact(c.keys))
}

// remedied applies a remedy, tries a fresh copy of the pod, puts everything back,
// and says what is wrong; empty when the copy was bound to a node that the remedy
// names.
func (w *world) remedied(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) (wrong string, err error) {
	c, err := w.apply(ctx, pod, remedy)
	if err != nil {
		return "cannot be applied: " + err.Error(), w.undo(ctx, c)
	}
	for _, pause := range []time.Duration{settle, settleLonger} {
		time.Sleep(pause) // The scheduler has to see the change.
		if wrong, err = w.bound(ctx, c.pod, remedy); err != nil || wrong == "" {
			break
		}
	}
	return wrong, errors.Join(err, w.undo(ctx, c), w.afterwards(ctx, c.pod))
}

// bound tries a pod on the cluster as it is and says why it is not where the
// remedy promises.
func (w *world) bound(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) (wrong string, err error) {
	created, s, err := w.try(ctx, pod, false)
	switch {
	case created == nil:
		return "the changed pod cannot be created: " + err.Error(), nil
	case err != nil:
		return "", err
	case s.Node == "":
		wrong = fmt.Sprintf("the pod is not bound: %s", s)
	case !slices.Contains(remedy.Fits, s.Node):
		wrong = fmt.Sprintf("the pod is bound to %s, the remedy names %v", s.Node, remedy.Fits)
	}
	return wrong, w.retract(ctx, created)
}

// reportDiffers explains a pod on the cluster as it is and tries the remedies, of
// one kind or all.
func (w *world) reportDiffers(ctx context.Context, config *predicate.Config, pod *corev1.Pod, kind report.RemedyKind) (difference string, err error) {
	snap, err := w.settled(ctx)
	if err != nil {
		return "", err
	}
	a, s, difference, err := w.compare(ctx, oracle{snap, config}, pod)
	if err == nil {
		err = w.afterwards(ctx, pod)
	}
	if err != nil || difference != "" {
		return difference, err
	}
	item, err := explained(ctx, snap, a.pod, s)
	if err != nil {
		return "", err
	}
	if difference := itemDiffers(item, s); difference != "" {
		return difference, nil
	}
	for _, remedy := range item.Remedies {
		if kind != "" && remedy.Kind != kind {
			continue
		}
		wrong, err := w.remedied(ctx, a.pod, remedy)
		if err != nil || wrong != "" {
			return fmt.Sprintf("remedy %s, %q: %s", remedy.Kind, remedy.Description, wrong), err
		}
	}
	return "", nil
}

// runnable says whether a remedy's command changes the cluster by itself: adding a
// node is no matter of kubectl.
func runnable(remedy report.Remedy) bool { return !strings.Contains(remedy.Command, " # ") }

// commandPatience bounds how long a pod may take to be bound after a command: the
// scheduler backs off between its tries.
const commandPatience = 10 * time.Second

// commanded runs a remedy's command as typed while the pod is pending, waits until
// the pod of that name is bound, and puts everything back.
func (w *world) commanded(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) (wrong string, err error) {
	created, s, err := w.try(ctx, pod, true)
	if err != nil {
		return "", err
	}
	remedy, ok, err := w.again(ctx, created, s, remedy)
	if err != nil || !ok {
		return "it is not given a second time", errors.Join(err, w.retract(ctx, created), w.heal(ctx))
	}
	w.pods.endTerminating(true)
	defer w.pods.endTerminating(false)
	output, failed := w.shell(ctx, remedy.Command)
	if failed != nil {
		wrong = fmt.Sprintf("the command fails: %v\n%s", failed, output)
	} else if err = w.control(ctx, created); err == nil {
		wrong, err = w.awaitBound(ctx, created, remedy)
	}
	if err = errors.Join(err, w.retract(ctx, created)); err != nil {
		return wrong, err
	}
	if wrong != "" && failed == nil && !changesPod(remedy, pod) {
		// Upstream's queueing hints may let a pod sleep though it would fit now (one
		// that waits for a disk, when a pod of another namespace gives it up).
		if wrong, err = w.bound(ctx, pod, remedy); err != nil {
			return wrong, err
		}
		w.slept++
	}
	if err := w.undoCommand(ctx, pod, remedy); err != nil {
		return wrong, err
	}
	return wrong, w.heal(ctx)
}

// changesPod says whether a remedy changes the pod itself.
func changesPod(remedy report.Remedy, pod *corev1.Pod) bool {
	return slices.ContainsFunc(remedy.Changes, func(edit report.Change) bool { return isSelf(edit, pod) })
}

func isSelf(edit report.Change, pod *corev1.Pod) bool {
	return edit.Object == "Pod/"+pod.Namespace+"/"+pod.Name
}

// undoCommand puts back what a remedy's command has touched.
func (w *world) undoCommand(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) error {
	var touched change
	for _, edit := range remedy.Changes {
		key := edit.Object
		if isSelf(edit, pod) {
			continue
		}
		if edit.Op == report.OpCreate {
			o, err := creation(pod.Namespace, edit)
			if err != nil {
				return err
			}
			key = keyOf(o)
			w.live[key] = o
		}
		touched.keys = append(touched.keys, key)
	}
	return w.undo(ctx, touched)
}

// again explains the pod anew and returns the same remedy: its command may hold
// the UIDs of objects that were made again since.
func (w *world) again(ctx context.Context, pod *corev1.Pod, s said, remedy report.Remedy) (same report.Remedy, ok bool, err error) {
	snap, err := w.snapshot(ctx)
	if err != nil {
		return same, false, err
	}
	snap.Pods = slices.DeleteFunc(snap.Pods, func(p *corev1.Pod) bool { return p.UID == pod.UID })
	item, err := explained(ctx, snap, pod, s)
	if err != nil {
		return same, false, err
	}
	i := slices.IndexFunc(item.Remedies, func(r report.Remedy) bool { return r.ID == remedy.ID })
	if i < 0 {
		return same, false, nil
	}
	return item.Remedies[i], true, nil
}

// awaitBound waits until the pod of that name, or one made anew, is bound.
func (w *world) awaitBound(ctx context.Context, pod *corev1.Pod, remedy report.Remedy) (wrong string, err error) {
	stop := make(chan struct{})
	defer close(stop)
	go w.bindVolumes(ctx, stop, pod.Namespace, claimsOf(pod))
	var last *corev1.Pod
	for deadline := time.Now().Add(commandPatience); time.Now().Before(deadline); time.Sleep(bindingPeriod) {
		last, err = w.typed.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if node := last.Spec.NodeName; node != "" {
			if !slices.Contains(remedy.Fits, node) {
				return fmt.Sprintf("after the command the pod is bound to %s, the remedy names %v", node, remedy.Fits), nil
			}
			return "", nil
		}
	}
	s, _ := saidOf(last)
	return fmt.Sprintf("the pod is not bound after the command: %s", s), nil
}

// shell runs a command line with the lab's kubectl and kubeconfig.
func (w *world) shell(ctx context.Context, command string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -o pipefail; "+command)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig, "PATH="+w.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// prepareShell writes a kubeconfig of the test's user into dir and finds the lab's
// kubectl.
func (w *world) prepareShell(dir string) error {
	config, err := clientcmd.LoadFromFile(w.lab.Kubeconfig())
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate, user.ImpersonateGroups = testUser, []string{"system:masters"}
	}
	w.kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, w.kubeconfig); err != nil {
		return err
	}
	kwokctl, err := os.Readlink(filepath.Join(w.lab.Dir(), "kwokctl"))
	w.bin = filepath.Dir(kwokctl)
	return err
}
