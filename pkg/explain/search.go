package explain

import (
	"cmp"
	"context"
	"slices"

	"github.com/stowage-dev/stowage/pkg/predicate"
)

// remedies searches for the smallest changes that help. The note says why there is
// none.
func (s *search) remedies(ctx context.Context, verdict *predicate.Verdict, nodes []judged) (found []verified, note string, err error) {
	found, err = s.claimRemedies(ctx, verdict)
	if err != nil || len(found) > 0 {
		return found, "", err
	}
	if len(verdict.Rejections) > 0 {
		return nil, "the pod itself is rejected on every node; no change of a node helps", nil
	}
	if len(nodes) == 0 {
		return nil, "there are no nodes", nil
	}
	found, err = s.smallest(ctx, nodes)
	if err == nil && len(found) == 0 {
		note = "no change of two helps"
	}
	return found, note, err
}

// lifted searches for what lets a pod into the queue that a PreEnqueue plugin keeps out.
func (s *search) lifted(ctx context.Context) ([]verified, error) {
	byHand, err := s.removeGates(ctx)
	if err != nil {
		return nil, err
	}
	claims, err := s.gatedByClaim(ctx)
	return append(byHand, claims...), err
}

// smallest are the changes that help: single ones and evictions, pairs where there
// is none of these, and a new node.
func (s *search) smallest(ctx context.Context, nodes []judged) ([]verified, error) {
	singles, pairs := s.candidates(nodes)
	found, err := s.try(ctx, singles)
	if err != nil {
		return nil, err
	}
	evictions, err := s.evictions(ctx, nodes)
	if err != nil {
		return nil, err
	}
	found = append(found, evictions...)
	if len(found) == 0 {
		if found, err = s.try(ctx, pairs); err != nil {
			return nil, err
		}
	}
	added, err := s.addNode(ctx)
	return append(found, added...), err
}

// candidates groups the nodes by the atoms that each needs, singles and pairs
// apart, the gentlest first.
func (s *search) candidates(nodes []judged) (singles, pairs []candidate) {
	byKey := map[string]*candidate{}
	for _, node := range nodes {
		if len(node.failures) == 0 || len(node.failures) > maxAtoms+1 {
			continue // +1: a cordon fails two plugins and is one change.
		}
		for _, atoms := range s.combine(node) {
			offer(byKey, candidate{atoms: atoms, nodes: []string{node.Name}})
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
func (s *search) combine(node judged) []fix {
	combined := []fix{nil}
	for _, f := range node.failures {
		var next []fix
		for _, alternative := range s.fixes(node.Node.Node, f, len(node.failures) == 1) {
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
