// Command fleet writes the example fleet to stdout: a small company's cluster,
// made by hand so that every common reason for a pending pod is in it once.
//
// Machines of its own (T4, A30 and A100 GPUs, and CPU-only ones, in two zones)
// stand beside rented ones (ECS in a third zone, ECI virtual nodes). GPU nodes
// and virtual nodes carry taints, one node is cordoned. Running pods leave the
// kind of room that fleets have: a few GPUs on every node, a whole machine on none.
//
// What changes of taints meet is there as well: PodDisruptionBudgets, pods that bear
// with a taint for a while, a DaemonSet, a pod that nobody would make again.
//
// The cluster is written as `kubectl why-pending snapshot` would write it.
// Equal sources give equal bytes.
package main
