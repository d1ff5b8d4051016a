package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/util/retry"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/plan/saved"
	"github.com/stowage-dev/stowage/pkg/taint"
)

// FieldManager owns the taints that are applied.
const FieldManager = "stowage"

// gone is said of a node that is not there, where that is no error.
const gone = "not there any more"

// onConflict calls change again, for some seconds, as long as another was faster to
// write the node that it has read.
func onConflict(change func() error) error {
	return retry.RetryOnConflict(wait.Backoff{Steps: 15, Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 0.1}, change)
}

// taint gives a node its planned taints, if its taints are still those that the plan
// begins with.
func (r *run) taint(ctx context.Context, planned report.TaintedNode) (step Step, err error) {
	err = onConflict(func() error {
		node, err := r.client.CoreV1().Nodes().Get(ctx, planned.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			step = Step{Done: gone}
			return nil
		case err != nil:
			return err
		case !isPlanned(planned, node):
			return fmt.Errorf("it is another one of this name, made at %s", node.CreationTimestamp.UTC().Format(time.RFC3339))
		case saved.Done(planned, node.Spec.Taints):
			step = Step{Done: "unchanged", Found: node.Spec.Taints, Left: node.Spec.Taints}
			return nil
		case !taint.Same(planned.Before, node.Spec.Taints):
			return fmt.Errorf("its taints have changed: planned %s, found %s", saved.Taints(planned.Before), saved.Taints(node.Spec.Taints))
		}
		step = Step{Done: "tainted", Found: node.Spec.Taints, Left: planned.After}
		return r.write(ctx, node, planned.After)
	})
	return step, err
}

// restore takes the planned change of a node back, if Run made it.
func (r *run) restore(ctx context.Context, planned report.TaintedNode) (step Step, err error) {
	err = onConflict(func() error {
		node, err := r.client.CoreV1().Nodes().Get(ctx, planned.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !isPlanned(planned, node) {
			step = Step{Done: gone}
			return nil
		}
		if err != nil {
			return err
		}
		found := node.Spec.Taints
		restored := saved.Restore(planned, found)
		switch {
		case taint.Same(restored, found):
			step = Step{Done: "unchanged", Found: found, Left: found}
			return nil
		case !ours(planned, node):
			step = Step{Done: "not ours", Found: found, Left: found}
			return nil
		}
		step = Step{Done: "restored", Found: found, Left: restored}
		return r.write(ctx, node, restored)
	})
	return step, err
}

// isPlanned says whether a node is the one of the plan, and not a later one of its
// name.
func isPlanned(planned report.TaintedNode, node *corev1.Node) bool {
	return planned.UID == "" || planned.UID == node.UID
}

// ours says whether the planned change, of which a node has something, was made by
// [Run]. Then the field manager owns the list, until another writes to it; after that,
// a taint that was set still says since when it is there, which kubectl's does not. An
// empty list has no owner: it is taken for ours.
func ours(planned report.TaintedNode, node *corev1.Node) bool {
	if len(node.Spec.Taints) == 0 || slices.ContainsFunc(node.ManagedFields, ownsTaints) {
		return true
	}
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.TimeAdded != nil && saved.Sets(planned, t) })
}

// ownsTaints says whether an entry is the field manager's, and has the taints.
func ownsTaints(entry metav1.ManagedFieldsEntry) bool {
	if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.FieldsV1 == nil {
		return false
	}
	var fields struct {
		Spec struct {
			Taints json.RawMessage `json:"f:taints"`
		} `json:"f:spec"`
	}
	return json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec.Taints != nil
}

// readClock compares the API server's clock with this one: the times that are noted on
// nodes are compared with those that it notes on pods. The answer to a
// SelfSubjectReview, which everybody may ask for, says when it was made, to the second.
// Where none is served, the clocks are taken to agree.
func (r *run) readClock(ctx context.Context) error {
	review, err := r.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return fmt.Errorf("the API server's clock cannot be read: %w", err)
	}
	if made := review.CreationTimestamp; !made.IsZero() {
		r.ahead = time.Until(made.Time)
	}
	return nil
}

// write sets the taints of a node as it was read. Without an answer that says so it is
// not known whether they are: then the node is read again.
func (r *run) write(ctx context.Context, node *corev1.Node, taints []corev1.Taint) error {
	err := r.set(ctx, node, taints)
	if err == nil || refused(err) {
		return err
	}
	found, again := r.client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
	if again == nil && found.UID == node.UID && taint.Same(found.Spec.Taints, taints) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = true
	return err
}

// refused says whether the API server has answered that it will not do what was asked.
func refused(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500
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
		spec.WithTaints(configuration(t, node.Spec.Taints, metav1.NewTime(time.Now().Add(r.ahead))))
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
// when it is. One that is not begins at now: so the next plan knows what is left of the
// pods' time, and a rollback whose taint it is.
func configuration(t corev1.Taint, there []corev1.Taint, now metav1.Time) *corev1ac.TaintApplyConfiguration {
	added := &now
	if i := slices.IndexFunc(there, func(found corev1.Taint) bool { return taint.Same([]corev1.Taint{found}, []corev1.Taint{t}) }); i >= 0 {
		added = there[i].TimeAdded
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
