// Package apply carries out a saved plan (package plan/saved): wave by wave it sets the taints of
// the nodes, and waits until what they displace has settled.
//
// # What is written
//
// Nothing but spec.taints of the plan's nodes. Of that list the API server tracks one
// owner for the whole: server-side apply has to take it whole, by force, and does so
// on the resourceVersion of a list that was read and is the planned one. Kubelets and
// controllers write to nodes all the time; where one of them was faster the node is
// read again, and its taints compared again. A list that is to be empty cannot be
// applied: then the field is taken off by a patch, with everybody's ownership of it,
// so that a rollback leaves no trace of the field manager on a node that had no
// taints.
//
// # What is done is known from the nodes
//
// No other record is kept. A node whose taints are the planned ones is done, whoever
// set them: so [Run] goes on after a crash where the last one ended, first waiting for
// what is not settled. [Rollback] undoes only what Run did, as far as the node says: the
// field manager owns the taints, or one that was set says since when (docs/adr/0014).
// A node that is gone needs nothing; one that had its change and has it no more is drift.
//
// # Waves
//
// The nodes of a wave are changed together, and a wave once begun is set on all its
// nodes: Ctrl-C stops between waves. The wave is over when the evicted pods are gone
// and their workloads have as many ready pods as the plan has nodes for
// ([saved.Unsettled]). Before nodes are changed what is left of the plan is compared with
// the cluster: at the first wave too, as the user may have been asked long ago.
package apply
