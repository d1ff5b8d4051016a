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
