package explain

import (
	"context"
	"slices"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// limits bound the search where many different pods are asked about.
type limits struct {
	// evictNodes is how many nodes are searched for pods to evict.
	evictNodes int
	// thorough asks for every node that a remedy reaches, also where that is
	// certain to be none but those it was worked out for.
	thorough bool
}

// search looks for one pod's remedies.
type search struct {
	*fixer
	limits
}

func newSearch(details *detailer, bounds limits) *search {
	return &search{&fixer{details, map[string]float64{}}, bounds}
}

// try verifies candidates in their order and returns those that help.
func (s *search) try(ctx context.Context, candidates []candidate) ([]verified, error) {
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
		fits, err := s.verify(ctx, c)
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
func (s *search) together(ctx context.Context, atoms []atom) ([]verified, error) {
	if len(atoms) == 0 || len(atoms) > maxAtoms {
		return nil, nil
	}
	c := candidate{atoms: atoms}
	fits, err := s.verify(ctx, c)
	if err != nil || len(fits) == 0 {
		return nil, err
	}
	return []verified{{c, fits}}, nil
}

// verify changes the pod and the snapshot as the candidate says and runs the
// scheduler's filters: on the nodes that the candidate was worked out for, and,
// when it helps there, on all that it may reach. It returns those that fit.
func (s *search) verify(ctx context.Context, c candidate) ([]string, error) {
	fits, err := s.fits(ctx, c, c.nodes)
	if err != nil || len(fits) == 0 || !s.reaches(c) {
		return fits, err
	}
	return s.fits(ctx, c, nil)
}

// reaches says whether the change may let the pod onto other nodes than those
// that it was worked out for: what counts pods over nodes (affinity, spread) does,
// and a toleration of any value of a key.
func (s *search) reaches(c candidate) bool {
	if s.thorough || c.nodes == nil || s.pod.Spec.Affinity != nil || len(s.pod.Spec.TopologySpreadConstraints) > 0 || s.world.antiAffinity {
		return c.nodes != nil
	}
	return slices.ContainsFunc(c.atoms, func(a atom) bool { return a.kind == report.RemedyAddToleration })
}

// fits runs the filters on the named nodes (all, when nil) with the candidate's
// changes in force.
func (s *search) fits(ctx context.Context, c candidate, nodes []string) ([]string, error) {
	changed, err := c.changed(s.pod)
	if err != nil {
		return nil, err
	}
	if edits := c.edits(); len(edits) > 0 {
		undo, err := s.engine.Apply(edits...)
		if err != nil {
			return nil, err
		}
		defer undo()
	}
	return s.engine.FitsOn(ctx, changed, nodes)
}

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
