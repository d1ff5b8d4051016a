package taints

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
)

// shrinkTime bounds the search for a smaller world.
const shrinkTime = 3 * time.Minute

// shrink drops parts of a world that differs while it does. All worlds with one part
// less are tried at the same time, as they take long and do little.
func (r *runner) shrink(ctx context.Context, w *world) (*world, *trial, error) {
	var kept *trial
	for until := time.Now().Add(shrinkTime); time.Now().Before(until); {
		smaller, trial, err := r.smaller(ctx, w)
		if err != nil || smaller == nil {
			return w, kept, err
		}
		w, kept = smaller, trial
	}
	return w, kept, nil
}

// smaller tries every world with one part less, and returns the first that differs.
func (r *runner) smaller(ctx context.Context, w *world) (*world, *trial, error) {
	parts := w.parts()
	trials := make([]*trial, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.parallel)
	for i := range parts {
		group.Go(func() error {
			t, err := r.once(ctx, parts[i])
			if t != nil && t.late <= tolerance {
				trials[i] = t
			}
			return ignoreSlow(err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	for i, t := range trials {
		if t != nil && len(t.differences) > 0 {
			return parts[i], t, nil
		}
	}
	return nil, nil, nil
}

// parts are the world with one part less each, the greatest parts first.
func (w *world) parts() []*world {
	var smaller []*world
	drop := func(edit func(*world)) {
		copied := w.copy()
		edit(copied)
		smaller = append(smaller, copied)
	}
	if len(w.Loads) > 3 { // halves first
		half := len(w.Loads) / 2
		drop(func(w *world) { w.Loads = w.Loads[:half] })
		drop(func(w *world) { w.Loads = w.Loads[half:] })
	}
	for i := range w.Loads {
		drop(func(w *world) { w.Loads = slices.Delete(w.Loads, i, i+1) })
	}
	for i, n := range w.Nodes {
		used := slices.ContainsFunc(w.Loads, func(l workload) bool { return l.Node == n.Name })
		lastChanged := n.Changed && len(w.changed("")) == 1
		if !used && !lastChanged {
			drop(func(w *world) { w.Nodes = slices.Delete(w.Nodes, i, i+1) })
		}
	}
	for i := range w.Loads {
		if w.Loads[i].Replicas > 1 {
			drop(func(w *world) { w.Loads[i].Replicas-- })
		}
		for k := range w.Loads[i].Tolerations {
			drop(func(w *world) { w.Loads[i].Tolerations = slices.Delete(w.Loads[i].Tolerations, k, k+1) })
		}
	}
	return smaller
}

// copy is a world that can be changed without changing this one.
func (w *world) copy() *world {
	copied := *w
	copied.Nodes = slices.Clone(w.Nodes)
	copied.Loads = slices.Clone(w.Loads)
	for i := range copied.Loads {
		copied.Loads[i].Tolerations = append([]corev1.Toleration(nil), w.Loads[i].Tolerations...)
	}
	return &copied
}
