// Package saved is a plan of package plan that is kept: sealed in a file, and held
// against the cluster as it is later. It is all of a plan that package apply needs.
//
// A plan is sealed (seal.go) by a checksum, so that nobody edits what is applied, and is
// for one cluster. How far the cluster has come with it is known from the nodes (node.go:
// which have had their change, and how it is undone) and from the pods (settled.go:
// whether what a wave displaces is where it was to come). Before what is left of it is
// applied, that is planned anew and the two are compared (drift.go). Only what matters
// counts: the nodes and their taints, who is evicted, who then has no home, which budgets
// break. On which of several nodes a pod lands does not.
//
// A file uses those before it: node, seal, settled, drift.
package saved
