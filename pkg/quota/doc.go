// Package quota is the arithmetic of business-group quotas: keys, what a
// workload charges, the tree of groups, who fits, the ledger, and hours.
//
// # Keys and charges
//
// A charge is a corev1.ResourceList of base keys and of base keys with a model
// ("limits.cpu", "limits.cpu.A4"), each where the group's hard may have it. Names
// are matched with hard's, never taken apart: a resource's name has dots too.
//
// # The ledger
//
// A group's status is its ledger: used = selfUsed + the children's hard + the
// reservations. An admission writes a reservation, with optimistic locking,
// before its request goes on (Reserve); the controller later counts what it sees
// and ends the reservations of what it has seen, in one write (Settle). A
// reservation holds by how much an object may grow beyond a version of it, and
// it has been seen once a later version of the object has. So between the two, at
// every instant,
//
//	persisted <= seen + reservations <= hard
//
// because each change that grows the object is based on the version before it,
// and the reservations of all changes after the seen one still stand. What has
// been seen only moves forward, over restarts and changes of leader too, because
// the status says how far each kind had been seen when it was counted.
//
// # One rule, one place
//
// The webhook, the controller, the scheduler and `kubectl quota check` decide by
// this package. It is pure: values in, values out; no client, no clock.
package quota
