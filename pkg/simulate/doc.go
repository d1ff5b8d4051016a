// Package simulate places many pods one after another, as the kube-scheduler
// would, on the engine of package predicate: each pod sees those before it, with
// their resources, ports, volumes and devices taken. Nothing leaves the engine: a
// Simulation is undone as a whole.
package simulate
