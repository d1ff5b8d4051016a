// Package quota watches the cluster and keeps the groups' ledgers.
//
// A View holds what this process has seen: every workload of a declared kind by
// its charge, every pod by its time on a node, nodes, and groups. It is fed by one
// reflector a kind, straight into the View's own maps: no second cache holds the
// objects, and how far each kind was seen is known to the event, which is what the
// ledger's safety rests on (see package quota). Every replica keeps a View, so that
// a new leader knows at once what happened before, pods that are gone included.
//
// The Reconciler runs on the leader. For one group at a time it charges the hours
// since the last time, counts what the View has seen, ends the reservations that
// are part of that, and writes all of it in one status update with optimistic
// locking. It never writes with less seen than the status already counts.
//
// # Hours
//
// A pod is charged from when it is bound until it ends or is deleted. When the View
// has seen that happen, it is the time of that moment; else what the object says.
// At start a View lists pods and owners as of the version that the ledgers last
// counted, and watches from there on: what happened while no replica ran is told by
// the watch as if one had, as far back as the API server keeps history (five
// minutes and more).
package quota
