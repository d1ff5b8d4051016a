// Package predicate runs the kube-scheduler's own plugins over a snapshot and
// says, for every node and every filter plugin, whether a pod passes and if not,
// why.
//
// The scheduler stops at a node's first failing plugin; a person who asks why a
// pod is pending needs all of them. So the package builds the scheduler's real
// framework (k8s.io/kubernetes/pkg/scheduler/framework/runtime) with the in-tree
// registry, keeps hold of every plugin instance, and calls each one itself. No
// rule of the scheduler is written again here: what is ours is the order in which
// the verdicts are put together, which mirrors findNodesThatFitPod and
// RunPreFilterPlugins so that Verdict.Message equals the text that the scheduler
// writes into the pod's PodScheduled condition.
//
// Everything a plugin reads comes from the snapshot:
//
//   - nodes and their pods from nodeList, our implementation of the framework's
//     SharedLister: sorted, so that answers do not depend on the order of a map;
//     a what-if (Edit) replaces the nodes that it touches and puts them back;
//   - every other kind from staticInformer, a SharedIndexInformer that delivers
//     its events synchronously and needs no goroutine, client or clock.
//
// There is no API client: the framework is given one whose every request fails,
// so a plugin that would write (preemption, claim deallocation) cannot.
//
// Pods are placed (Place, PlaceSampled) by the profile's own filters and scores, and
// leave behind what they leave in a cluster: reserved volumes, allocated devices, a
// nomination used up. Evict is the reverse, as controllers see to it, and takes the pod
// out of its PodDisruptionBudgets, to which preemption looks; Ready counts in a pod that
// has been placed. PodTopologySpread counts pods on all nodes to score one pod; spread
// shows it only those where there is something to count, which changes no score.
//
// An Engine is not safe for concurrent use, as it holds the current what-if; Fork
// gives one that shares what is immutable, for another goroutine. One evaluation
// spreads over the nodes by itself.
package predicate
