// Package usage is how full a node is: what it has for pods, what its pods ask of it, and
// what is left, by resource, as the kube-scheduler counts.
//
// The sums are component-helpers' (PodRequests), so that an init container, a sidecar,
// overhead, resources of the pod as a whole and a resize in place count as they do for
// the scheduler; the units and the resources that count are those of its NodeInfo, which
// a test compares with. Nothing here is of the scheduler's own types: what draws or sums
// up nodes needs no engine. In a what-if the engine gives the same values of its nodes
// (predicate.Node).
package usage
