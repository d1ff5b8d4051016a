package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/util/retry"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// FieldManager owns the taints that are applied.
const FieldManager = "stowage"

// onConflict calls change again, for some seconds, as long as another was faster to
// write the node that it has read.
func onConflict(change func() error) error {
	return retry.RetryOnConflict(wait.Backoff{Steps: 15, Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 0.1}, change)
}

// taint gives a node its planned taints, if its taints are still those that the plan
// begins with.
func (r *run) taint(ctx context.Context, planned report.TaintedNode) (done string, err error) {
	err = onConflict(func() error {
		node, err := r.client.CoreV1().Nodes().Get(ctx, planned.Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case !isPlanned(planned, node):
			return fmt.Errorf("it is another one of this name, made at %s", node.CreationTimestamp.UTC().Format(time.RFC3339))
		case plan.Done(planned, node.Spec.Taints):
			done = "unchanged"
			return nil
		case !taint.Same(planned.Before, node.Spec.Taints):
			return fmt.Errorf("its taints have changed: planned %s, found %s", plan.Taints(planned.Before), plan.Taints(node.Spec.Taints))
		}
		done = "tainted"
		return r.set(ctx, node, planned.After)
	})
	return done, err
}

// restore takes the planned change of a node back.
func (r *run) restore(ctx context.Context, planned report.TaintedNode) (done string, err error) {
	err = onConflict(func() error {
		node, err := r.client.CoreV1().Nodes().Get(ctx, planned.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !isPlanned(planned, node) {
			done = "not there any more"
			return nil
		}
		if err != nil {
			return err
		}
		restored := plan.Restore(planned, node.Spec.Taints)
		if taint.Same(restored, node.Spec.Taints) {
			done = "unchanged"
			return nil
		}
		done = "restored"
		return r.set(ctx, node, restored)
	})
	return done, err
}

// isPlanned says whether a node is the one of the plan, and not a later one of its
// name.
func isPlanned(planned report.TaintedNode, node *corev1.Node) bool {
	return planned.UID == "" || planned.UID == node.UID
}

// set replaces the taints of a node as it was read: a conflict says that it has been
// written since.
func (r *run) set(ctx context.Context, node *corev1.Node, taints []corev1.Taint) error {
	var dryRun []string
	if r.opts.DryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	if len(taints) == 0 {
		return r.clear(ctx, node, dryRun)
	}
	spec := corev1ac.NodeSpec()
	for _, t := range taints {
		spec.WithTaints(configuration(t, node.Spec.Taints))
	}
	_, err := r.client.CoreV1().Nodes().Apply(ctx,
		corev1ac.Node(node.Name).WithResourceVersion(node.ResourceVersion).WithSpec(spec),
		metav1.ApplyOptions{FieldManager: FieldManager, Force: true, DryRun: dryRun})
	return err
}

// clear takes the list off: applying cannot, as its configurations know no empty list,
// and leaving the field out takes it off only where no one else owns it.
func (r *run) clear(ctx context.Context, node *corev1.Node, dryRun []string) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"taints": nil},
	})
	if err != nil {
		return err
	}
	_, err = r.client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: FieldManager, DryRun: dryRun})
	return err
}

// configuration is a taint to apply. One that is there already keeps the time since
// when it is; a NoExecute one that is not begins now, as the node controller notes it,
// so that the next plan knows what is left of the pods' time.
func configuration(t corev1.Taint, now []corev1.Taint) *corev1ac.TaintApplyConfiguration {
	added := new(metav1.Now())
	if i := slices.IndexFunc(now, func(found corev1.Taint) bool { return taint.Same([]corev1.Taint{found}, []corev1.Taint{t}) }); i >= 0 {
		added = now[i].TimeAdded
	} else if t.Effect != corev1.TaintEffectNoExecute {
		added = nil
	}
	set := corev1ac.Taint().WithKey(t.Key).WithEffect(t.Effect)
	if t.Value != "" {
		set.WithValue(t.Value)
	}
	if added != nil {
		set.WithTimeAdded(*added)
	}
	return set
}
