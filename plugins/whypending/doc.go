// Package whypending is `kubectl why-pending`: why pods have no node, from the
// kube-scheduler's own code, and what smallest change would give them one.
//
// The command is a thin line through the house: package load (or a dump) gives
// a snapshot, package explain a report, and this package draws the report. It
// decides nothing about scheduling.
//
// Objects that are named get a block each, as `kubectl describe` would; a
// question about many ("what is pending here?") gets a table, as `kubectl get`
// would; --all gets the causes with how many pods each of them holds. All three
// draw the same report, which -o json prints whole.
package whypending
