// Package explain turns verdicts into what a person needs: ranked causes with the
// exact taint, label, amount, pod or claim, and the smallest changes that are
// verified to help.
//
// The way from a verdict to a remedy:
//
//  1. Every rejection of a node is split into its smallest reasons, and for each
//     the changes (atoms) that would remove it: one toleration a taint, one lower
//     request a short resource, one edit a selector (fixes.go).
//  2. A node's remedy is one atom for each of its reasons. Nodes that need the
//     same atoms are one candidate; candidates of more than two atoms are left
//     (search.go).
//  3. A candidate is tried: the pod or the snapshot is changed and the
//     scheduler's own filters run again (try.go). Only what passes is given.
//     As pairs are tried only where no single change helps, no remedy contains a
//     smaller one.
//  4. What is left is ranked by how little it disturbs (the weights in atom.go).
//
// Evicting pods and adding nodes answer several reasons at once and are searched
// by themselves (evict.go, addnode.go), under the same rule: minimal, verified.
//
// A remedy is known by its ID, a cause by its plugin, reason, shortage and subject;
// sentences are for reading. What the engine applied for a remedy is kept
// (Explainer.Edits), so that a view can put the same in force.
//
// Pods alike (same spec, and same labels as far as any selector reads them) are
// evaluated once (simulate.Alike).
//
// A file uses what stands before it, never what comes after:
//
//   - plain values and words: words, patch, command, amount, requirement, pod, template;
//   - the snapshot, and what is read off it alone: world, claims, devices, chain, gates,
//     cluster, spread, shortage;
//   - changes and how they are shown: atom, request, remedy;
//   - one pod's failures and why: classes, shared, detail, users, causes;
//   - what would help: fixes, try, gatefixes, claimfixes, evict, addnode, search;
//   - what is asked: explain (one pod), groups, all (many), workloads, whatif (-f).
package explain
