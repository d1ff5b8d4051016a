// Package plan says what a change of taints will do to a cluster: a
// [report.TaintPlan] from a snapshot, with nothing asked of a server.
//
// A [Planner] runs a simulation (package simulate) on the kube-scheduler's own
// plugins, wave by wave. In a wave the nodes get their new taints; the pods that they
// evict (package taint) leave in the order of time; what controllers make in
// their stead joins the scheduler's queue, with the pods that wait already, and is
// placed, preemption included. A wave is over when all that can happen has: the next
// one begins with every pod that has a node ready. So the state after the last wave
// is the one in which the cluster will rest, but for pods that come back to nodes which
// evict them again (MarkReturns), and for those that other nodes are counting down.
//
// What has become of a displaced pod in the end is its fate (fate.go): it has a home,
// comes back to where it is evicted again, is pending, lost, or not to be replaced.
// Waves, verdicts, drift and the summary go by it, and nothing else decides it.
//
// What another scheduler places is not simulated: such replacements are marked, and are
// neither ready nor without a node.
//
// Whether a controller makes another in place of a pod (controllers.go) follows the built-in
// controllers: a ReplicaSet as many as it wants and has not, a StatefulSet the same
// ordinal and none before the lower ones are ready, a Job as many as its backoffLimit
// bears, a DaemonSet one on the same node if it may be there, nobody a bare pod.
// What that pod is, by the controller's template, is said by package owner.
//
// PodDisruptionBudgets (budgets.go) stop no eviction by taint: they are counted, and
// what falls below one is named. Waves (waves.go) are where they count: a wave is
// sound if every pod displaced in it that had a node has one again which does not
// evict it, if none that is preempted is lost for good, and if no budget would be below
// what it asks for with all of the wave's pods gone at once. Pods on the wave's own nodes
// that nothing replaces are lost in whatever wave; they are named.
//
// A plan that is kept in a file, and what has become of it since, is package saved's.
//
// # Words
//
// A move is a pod that leaves its node: evicted, preempted, or deleted with its Job. Its
// replacement is the pod that a controller makes in its stead. An arrival is a pod that
// gets a node, a replacement or another. A step is a pod that becomes ready, or ceases to
// be, at a time; a curve is the steps of some pods. A wave is the nodes that get their
// taints together, and all that comes of it until nothing changes. A waypoint is how far
// a plan has gone, to go back to when a wave that was tried is not sound.
//
// # Files
//
// A file uses those before it only: undo, move, fate, curve, scale, budgets, controllers;
// planner (the state), marks, leave (a pod goes), place (a pod comes), wave (nodes are
// tainted, and all that follows); standing, timeline, verdicts, daemons, stay; waves and
// plan.
package plan
