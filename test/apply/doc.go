// Package apply holds the end-to-end tests of pkg/apply: plans that pkg/plan makes of
// a real control plane (package lab) are applied to it and undone, with the real
// scheduler, controllers and API server, who write to the nodes as well.
//
// What is proven:
//
//   - after [Run] the nodes have the planned taints, wave after wave, each begun only
//     when the one before it has settled, and what was displaced runs where it may;
//   - a process that is killed in the middle of a wave leaves nodes from which what is
//     done is known: a second Run goes on, a Rollback undoes;
//   - a cluster that has drifted is refused, and what has drifted is named;
//   - on the nodes nothing but their taints is written, and after a rollback nothing
//     says that the plan ever was: not even the API server's record of field managers;
//   - list of what is planned on, and get and patch of nodes, is all that it takes.
package apply
