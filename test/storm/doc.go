// Package storm proves that a quota holds while everything happens at once, and that hours are right meanwhile.
//
// # Never over
//
// TestStorm has 64 clients, each with connections of its own, create, scale, change, move and delete workloads in
// a tree of groups that has too little of everything, while groups come and go and their hard rises and falls.
// Meanwhile managers are killed, the leader is ended, the API server and etcd are restarted, and a second webhook
// refuses some of what ours admitted and holds up some of the rest for seconds.
//
// What was persisted is read from etcd itself: one watch of all keys, which goes on where it was after a restart
// and has each version of each object at its revision, in order. After each revision the checker sums up what each
// group's workloads and children charge, by arithmetic of its own, and compares that with the group's hard at that
// revision, and with what the group's ledger says is used.
//
// A hard may be lowered below what is used. From then on nothing new may be admitted, but what the ledger had
// reserved before may still arrive: the ceiling is the used of the ledger at that revision, and it falls with each
// later ledger until it is the hard again.
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
