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
//     same atoms are one candidate; candidates of more than two atoms are left.
//  3. A candidate is tried: the pod or the snapshot is changed and the
//     scheduler's own filters run again (verify.go). Only what passes is given.
//     As pairs are tried only where no single change helps, no remedy contains a
//     smaller one.
//  4. What is left is ranked by how little it disturbs.
//
// Evicting pods and adding nodes answer several reasons at once and are searched
// by themselves (evict.go, addnode.go), under the same rule: minimal, verified.
//
// Pods alike (same spec, and same labels as far as any selector reads them) are
// evaluated once (simulate.Alike).
package explain
