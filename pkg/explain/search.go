package explain

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/predicate"
)

// The bounds of the search, for one pod.
const (
	// maxAtoms is the size of the largest remedy.
	maxAtoms = 2
	// maxTried is how many candidates of one size are tried.
	maxTried = 24
	// maxNodesPerNodeChange is how many nodes the same change of a node (uncordon,
	// untaint, label) is tried on before it is given up: alike nodes answer alike.
	maxNodesPerNodeChange = 3
	// maxPerKind is how many remedies of one kind are given, and maxPerNodeKind of
	// one that changes a node: the next alike node would be the same advice again.
	maxPerKind     = 3
	maxPerNodeKind = 1
)

// verified is a candidate that helps, with the nodes that the pod then fits on.
type verified struct {
	candidate
	fits []string
}

// remedies searches for the smallest verified changes, the least disturbing first.
// The note says why there is none.
func (d *detailer) remedies(ctx context.Context, verdict *predicate.Verdict) (found []report.Remedy, note string, err error) {
	claims, err := d.claimRemedies(ctx, d.pod, verdict)
	if err != nil || len(claims) > 0 {
		return d.rendered(d.pod, claims), "", err
	}
	if len(verdict.Rejections) > 0 {
		return nil, "the pod itself is rejected on every node; no change of a node helps", nil
	}
	if len(verdict.Nodes) == 0 {
		return nil, "there are no nodes", nil
	}
	helping, err := d.smallest(ctx, verdict)
	if err != nil {
		return nil, "", err
	}
	if len(helping) == 0 {
		return nil, "no change of two helps", nil
	}
	return d.rendered(d.pod, helping), "", nil
}

// smallest are the changes that help: single ones and evictions, pairs where there
// is none of these, and a new node.
func (d *detailer) smallest(ctx context.Context, verdict *predicate.Verdict) ([]verified, error) {
	singles, pairs := d.candidates(verdict)
	found, err := d.try(ctx, d.pod, singles)
	if err != nil {
		return nil, err
	}
	evictions, err := d.evictions(ctx, verdict)
	if err != nil {
		return nil, err
	}
	found = append(found, evictions...)
	if len(found) == 0 {
		if found, err = d.try(ctx, d.pod, pairs); err != nil {
			return nil, err
		}
	}
	added, err := d.addNode(ctx, d.pod)
	return append(found, added...), err
}

// rendered are verified changes as remedies, the least disturbing first; those
// that disturb alike stay in the order in which they were found.
func (e *Explainer) rendered(pod *corev1.Pod, found []verified) []report.Remedy {
	slices.SortStableFunc(found, func(a, b verified) int { return cmp.Compare(a.disturbance(), b.disturbance()) })
	remedies := make([]report.Remedy, len(found))
	for i, v := range found {
		remedies[i] = e.remedy(pod, v.candidate, v.fits)
	}
	return remedies
}

// candidates groups the nodes by the atoms that each needs, singles and pairs
// apart, the gentlest first.
func (d *detailer) candidates(verdict *predicate.Verdict) (singles, pairs []candidate) {
	byKey := map[string]*candidate{}
	for i, name := range verdict.Nodes {
		failures := verdict.Failures[i]
		if len(failures) == 0 || len(failures) > maxAtoms+1 {
			continue // +1: a cordon fails two plugins and is one change.
		}
		node, _ := d.engine.Node(name)
		for _, atoms := range d.combine(node.Node, failures) {
			offer(byKey, candidate{atoms: atoms, nodes: []string{name}})
		}
	}
	for _, key := range sortedKeys(byKey) {
		if c := *byKey[key]; len(c.atoms) == 1 {
			singles = append(singles, c)
		} else {
			pairs = append(pairs, c)
		}
	}
	byDisturbance := func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.disturbance(), b.disturbance()), cmp.Compare(a.loss(), b.loss()),
			cmp.Compare(len(b.nodes), len(a.nodes)), cmp.Compare(a.key(), b.key()))
	}
	slices.SortFunc(singles, byDisturbance)
	slices.SortFunc(pairs, byDisturbance)
	return singles, pairs
}

// offer merges a candidate with one of the same key: the least loss wins, and the
// nodes of a greater loss are still worth a try with it.
func offer(byKey map[string]*candidate, c candidate) {
	known, ok := byKey[c.key()]
	if !ok {
		byKey[c.key()] = &c
		return
	}
	if c.loss() < known.loss() {
		known.atoms = c.atoms
	}
	known.nodes = append(known.nodes, c.nodes...)
}

// combine takes one fix for each failure, in every way, and keeps what needs at
// most maxAtoms different atoms.
func (d *detailer) combine(node *corev1.Node, failures []predicate.Failure) []fix {
	combined := []fix{nil}
	for _, failure := range failures {
		var next []fix
		for _, alternative := range d.fixes(node, failure, len(failures) == 1) {
			for _, soFar := range combined {
				if merged := union(soFar, alternative); len(merged) <= maxAtoms {
					next = append(next, merged)
				}
			}
		}
		if len(next) == 0 {
			return nil
		}
		combined = next
	}
	return combined
}

// union joins two fixes; the same atom counts once. The result is sorted by key.
func union(a, b fix) fix {
	merged := slices.Clone(a)
	for _, other := range b {
		if !slices.ContainsFunc(merged, func(x atom) bool { return x.key == other.key }) {
			merged = append(merged, other)
		}
	}
	slices.SortFunc(merged, func(x, y atom) int { return cmp.Compare(x.key, y.key) })
	return merged
}

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
