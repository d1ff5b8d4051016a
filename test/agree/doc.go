// Package agree proves that Stowage and the kube-scheduler agree.
//
// It generates clusters and pods over every predicate of the default profile,
// creates them on a real control plane (package lab), waits for the real
// kube-scheduler and compares what it says and does with what pkg/predicate and
// pkg/explain say of a snapshot of the same objects, as the API server returns
// them:
//
//   - schedulable or not, and that the node chosen is one that we say fits;
//   - the message, byte for byte, with the pod's PodScheduled condition,
//     preemption included;
//   - each node's verdict, on a sample: every other node is cordoned and a copy
//     of the pod is bound, or is not;
//   - every remedy, applied to the cluster and to a fresh copy of the pod, gets
//     that copy bound to a node that the remedy names; a sample of the printed
//     commands is run as typed, with kubectl.
//
// The control plane runs without controllers and kubelets: nothing changes but
// by the test and the scheduler, so a cluster is exactly what was generated, and
// building one takes a tenth of a second. What little a scheduled pod needs of a
// controller (the volume controller's half of binding a claim) is done by the
// test. An admission policy keeps the scheduler from evicting victims, so that a
// preemption's message can be compared and the cluster stays as it is.
//
// A difference is shrunk, by dropping objects and fields while it lasts, and
// kept in testdata/cases: an ordinary snapshot whose pending pods carry what
// the real scheduler said of them. The kept cases, and those written by hand
// after upstream's tables, are compared on every run, both without a control
// plane and on one.
//
// Run it with `make agree N=3000 SEED=1`; `go test ./test/agree` compares 150
// pods.
package agree
