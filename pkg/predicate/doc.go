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
// # Plugins that are not in-tree
//
// A scheduler with plugins of its own is told by Options: their factories, and what
// kinds of the snapshot they read beside those that in-tree plugins read. PreEnqueue,
// PreFilter, Filter, PreScore, Score, Reserve and Permit run as those of in-tree plugins
// do, and preemption counts with them; QueueSort, PostFilter and what comes after Permit
// do not run. A plugin that a profile enables and the registry lacks is named in
// Config.Unknown. Package example is such a plugin. One must
//
//   - make no client: it has none, and its handle's KubeConfig is nil;
//   - read nodes and their pods from its handle's SnapshotSharedLister, as informers hold
//     none of them;
//   - read other kinds by its handle's SharedInformerFactory, a custom one by InformerFor
//     with its Go type; an Edit of an object reaches it before Apply returns. A kind that
//     is not served is an error when the profile is made, not an empty list;
//   - keep no count of its own of what is placed, which evictions and undone placements
//     would not reach, but for what Reserve takes and Unreserve gives back;
//   - know no clock and no goroutine: the same snapshot gives the same answer.
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
