// Package taints proves that a plan of pkg/plan is what the real controllers do.
//
// It generates small fleets, worlds, and makes them on a real control plane (package
// lab): kube-apiserver, kube-scheduler and kube-controller-manager with all its
// controllers. When a world is at rest it takes a snapshot, plans a change of taints,
// makes that change with the real kubectl, waits until the world is at rest again and
// compares:
//
//   - which pods of the snapshot the taint-eviction and DaemonSet controllers
//     deleted: exactly those of the plan;
//   - when: within 2 s of the plan, and in its order where that differs by 2 s. What
//     counts is the API server's clock: the pod's DisruptionTarget condition, or its
//     deletionTimestamp less its grace, against the time at which the node's taints
//     were written (and, for pods that were being counted down before, the time of
//     the plan);
//   - when all is settled, for each workload: how many of its pods have a node, and
//     how many wait for one;
//   - how many of the pods that waited before have a node now, and how many further
//     ones a StatefulSet has made because of that;
//   - the nodes on which each DaemonSet has started and stopped.
//
// Many worlds share the cluster and run at the same time. Each has nodes of its own,
// by a label that all its pods select, and a namespace of its own. The part of a
// kubelet is played by the test and not by kwok: that one ends every Job's pod at
// once, and deletes pods without the phase Failed, on which Jobs depend.
//
// # What is generated
//
// Slack worlds have room on every node, so that a pod's home depends only on taints,
// tolerations, selectors, anti-affinity and local volumes. There tolerations take all
// shapes, also such that a pod returns to the node that evicts it, again and again, or
// gets a node that does; such a workload is compared by its first evictions only.
//
// Tight worlds have fewer homes than pods. The scheduler takes pods as they come and
// breaks ties at random, so who goes without must follow from priorities alone: all
// pods are of one size, no two workloads have the same priority, none may be put on
// the changed nodes after the change (or all may), and budgets, which preemption
// takes into account, cover none. So whoever comes first, in the end the pods of
// highest priority have homes.
//
// One thing is left to chance: kubectl writes one node after another. So a StatefulSet
// that makes its pods in order may have made one again before a pod of a lower ordinal
// is evicted too, and have two that wait instead of one; and a pod of the first node
// may preempt one on the next before that is tainted, or before one more is freed. Both
// outcomes are taken, and tight worlds have no bare pods, which would be lost for good.
//
// Not generated: pods of equal priority that compete for too few homes, soft
// affinity and spreading, where a tie decides who waits; workloads that controllers
// change by themselves (autoscalers, rollouts); tolerations by comparison (Lt, Gt),
// which the API server refuses as long as their gate is off (TestComparisons).
//
// # When the machine is slow
//
// A world in which a pod that was due at once was deleted more than 2 s after the taint
// was written says something of the machine and nothing of the plan; neither does one
// in which a pod's countdown was over before that. They are made anew and counted. One
// that differs is made anew twice: it counts as a difference when it differs again, and
// is shrunk, by dropping what can be dropped while the difference lasts; otherwise it
// is printed and counted apart.
//
// Run it with `make agree-taints N=500 SEED=1`; `go test ./test/taints` compares 40
// worlds. TestThreeSteps is the well-known introduction to taints, step by step.
package taints
