// Package simulate places many pods one after another, as the kube-scheduler
// would, on the engine of package predicate: each pod sees those before it, with
// their resources, ports, volumes and devices taken. Nothing leaves the engine: a
// [Simulation] is a log of changes, undone back to any mark in it.
//
// [Simulation.Schedule] runs the scheduler's own cycle: the order of its queue, the
// nodes that it samples, its scores, and preemption. Where the scheduler decides by
// chance (nodes of equal scores, where preemption begins to look) the simulation
// takes the first in a fixed order, so that it gives the same answer twice.
// [Simulation.PlaceAll] asks only how many fit, without scores.
//
// Pods alike ([Alike]) to one that has just found no node are not tried again until
// something has changed that may help them.
package simulate
