// Package storm proves that a quota holds while everything happens at once, and that hours are right meanwhile.
//
// # Never over
//
// TestStorm has 64 clients, each with connections of its own, create, scale, change, move and delete workloads in
// a tree of groups that has too little of everything, while groups come and go and their hard rises and falls. Clients
// may edit a namespace in which every workload needs a group, and no more than that; and they also try what would have
// more run than is charged: owner references of every form, templates that shrink while their controller makes pods of
// the one before (partition, OnDelete, pause, a rollout that is stuck), orphans and their adoption, pods that take long
// to end, creations of what is there, pods taken out of their workload.
//
// Meanwhile managers are killed, the leader is ended, the API server and etcd are restarted, and a second webhook
// refuses some of what ours admitted and holds up some of the rest for seconds.
//
// What was persisted is read from etcd itself: one watch of all keys, which goes on where it was after a restart
// and has each version of each object at its revision, in order. After each revision the checker sums up what each
// group's workloads and children charge, by arithmetic of its own, and compares that with the group's hard at that
// revision, and with what the group's ledger says is used. What is being deleted declares nothing: its controller makes
// nothing more, and what it leaves behind is charged itself.
//
// A hard may be lowered below what is used. From then on nothing new may be admitted, but what the ledger had
// reserved before may still arrive: the ceiling is the used of the ledger at that revision, and it falls with each
// later ledger until it is the hard again.
//
// # Pods
//
// Beside what is declared the checker sums up the pods that have not ended. Which workload a pod came of is said by a
// label that the storm has on all its templates and that no client changes: owner references are what clients forge. A
// pod that its workload made is the workload's group's, and one that was let go is that of its own label. A rollout's
// surge is forgiven: so many pods, at most as many as there are to be, at the price of the largest. A pod that a
// ReplicaSet is yet to make is there, too: nobody is asked about it.
//
// More than that may live for a moment only by what controllers do by themselves, which admission cannot refuse: while
// pods that are being deleted and those in their place are there at once, when a pod is let go or adopted, by an older
// template, when a rollout that was forgiven more is cut short, and until a Deployment has scaled its ReplicaSets down. Such instants are counted by reason; any other is
// an error. And a ledger must tell of what lives, and that it is too much, at least every five seconds while a manager
// leads: the managers' lease is in the same log, and says when one did.
//
// In the end clients' holds are let go, every ReplicaSet must have the pods that it wants, and every ledger the
// larger of what is declared and what lives, by the arithmetic here and by `kubectl quota verify`.
//
// # Hours
//
// TestHours lets an hour pass in the storm's minutes, by the managers' clock. The test plays scheduler and kubelet, so
// that the times that pods carry are of the same clock, and keeps its own account of when each pod was bound and when
// it ended: by the requests that made it so, and by when its own watch told of it. Between the two is what nobody who
// watches can know better, and in two minutes a delay of a tenth of a second is 0.1%; a ledger is as much off as it is
// outside of both.
//
//	make storm MINUTES=20 SEED=1
//
// Plain `go test` runs two minutes of each.
package storm
