package explain

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// try verifies candidates in their order and returns those that help.
func (e *Explainer) try(ctx context.Context, pod *corev1.Pod, candidates []candidate) ([]verified, error) {
	var found []verified
	given, attempts := map[string]int{}, map[string]int{}
	tried := 0
	for _, c := range candidates {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		kind := c.kind()
		if tried >= maxTried || given[kind] >= maxPerKind {
			continue
		}
		if !c.changesPod() && (given[kind] >= maxPerNodeKind || attempts[kind] >= maxNodesPerNodeChange) {
			continue
		}
		tried++
		attempts[kind]++
		fits, err := e.verify(ctx, pod, c)
		if err != nil {
			return nil, err
		}
		if len(fits) > 0 {
			given[kind]++
			found = append(found, verified{c, fits})
		}
	}
	return found, nil
}

// together verifies atoms that only help all at once, on every node.
func (e *Explainer) together(ctx context.Context, pod *corev1.Pod, atoms []atom) ([]verified, error) {
	if len(atoms) == 0 || len(atoms) > maxAtoms {
		return nil, nil
	}
	c := candidate{atoms: atoms}
	fits, err := e.verify(ctx, pod, c)
	if err != nil || len(fits) == 0 {
		return nil, err
	}
	return []verified{{c, fits}}, nil
}

// verify changes the pod and the snapshot as the candidate says and runs the
// scheduler's filters: on the nodes that the candidate was worked out for, and,
// when it helps there, on all that it may reach. It returns those that fit.
func (e *Explainer) verify(ctx context.Context, pod *corev1.Pod, c candidate) ([]string, error) {
	fits, err := e.fits(ctx, pod, c, c.nodes)
	if err != nil || len(fits) == 0 || !e.reaches(pod, c) {
		return fits, err
	}
	return e.fits(ctx, pod, c, nil)
}

// reaches says whether the change may let the pod onto other nodes than those
// that it was worked out for: what counts pods over nodes (affinity, spread) does,
// and a toleration of any value of a key.
func (e *Explainer) reaches(pod *corev1.Pod, c candidate) bool {
	if e.thorough || c.nodes == nil || pod.Spec.Affinity != nil || len(pod.Spec.TopologySpreadConstraints) > 0 || e.world.antiAffinity {
		return c.nodes != nil
	}
	return slices.ContainsFunc(c.atoms, func(a atom) bool { return a.kind == report.RemedyAddToleration })
}

// fits runs the filters on the named nodes (all, when nil) with the candidate's
// changes in force.
func (e *Explainer) fits(ctx context.Context, pod *corev1.Pod, c candidate, nodes []string) ([]string, error) {
	changed, err := c.changed(pod)
	if err != nil {
		return nil, err
	}
	if edits := c.edits(); len(edits) > 0 {
		undo, err := e.engine.Apply(edits...)
		if err != nil {
			return nil, err
		}
		defer undo()
	}
	return e.engine.FitsOn(ctx, changed, nodes)
}
