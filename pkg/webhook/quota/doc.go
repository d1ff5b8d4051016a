// Package quota is the admission side of the quota ledger: nothing that grows is
// persisted before its group's status has room for it, in writing.
//
// # From a request to a verdict
//
// The frame (package webhook) gives a request to the decider's method for its path:
// workload, scale, autoscaler, group. The rules are all the core's (pkg/quota): for a
// workload or a scale, its Judge asks what it has to (the decider's questions answer
// by what was seen, live objects and access reviews) and makes a Case of the request.
// byGroup then has the ledger judge that by the group's state, and reserve what grows.
// Groups and autoscalers are judged by the ledger's states directly.
//
// # The ledger
//
// A Ledger takes reservations. Requests that wait for one group share one write of
// its status, as native ResourceQuota's evaluator shares them, so that the rate of
// writes, not of requests, is what optimistic locking has to bear. Requests are
// judged in the order in which they came, each by what those before it left.
//
// The group as last seen, by watch or by own write, may be old. An old state is
// good enough to allow: the write of the reservation fails if the group has changed
// meanwhile. A refusal writes nothing, so it is only given by a state read for it.
// Nor is one given while a reservation for an earlier version of the same object
// stands: the API server asks anew about a request when its object changes under it.
// A write of unknown outcome (the API server went away) is settled by reading: a
// reservation that stands there, by the request's UID, was written.
//
// Processes that write one group take turns: who has written gives way for about as
// long as that took, or it would win every race. A group with very many reservations
// waits for its controller; who has made a share of them that came to nothing is told to
// come again, so that the others need not wait.
//
// A creation whose name was seen, and is there live, is answered AlreadyExists before
// anything is judged, and takes nothing.
//
// Which request is answered when is up to its context: one whose time runs out is
// told to come again, with a Retry-After that clients obey by themselves.
//
// # Children
//
// An object that a counted workload's controller made is not charged again. Who may
// say so is the controller itself: a requester who may update the status of such
// owners in all namespaces. No right within one's own namespace gives that.
// The same holds for making such an object larger, which its owner was not charged
// for.
package quota
