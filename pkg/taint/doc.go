// Package taint says what a change of a node's taints does to the pods on it. It
// is pure: taints and pods in, fates out.
//
// A [Change] is read from the arguments of kubectl taint, with its grammar and its
// errors, and applied to a node's taints as kubectl does ([Apply]).
//
// [Evict] is the rule of the taint-eviction controller (k8s.io/kubernetes
// pkg/controller/tainteviction, processPodOnNode): the NoExecute taints of a node
// must all be tolerated, each by the first toleration that matches it; the pod then
// stays for the least tolerationSeconds of those tolerations, at most 0 meaning none
// at all, none of them meaning forever. The controller asks nobody: neither
// PodDisruptionBudgets nor whether the pod has a controller, is a DaemonSet's or has
// run to its end. A pod that it has begun to count down keeps its time when taints
// change, unless then all taints are tolerated for good, or one is not at all.
package taint
