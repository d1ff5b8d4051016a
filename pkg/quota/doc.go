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
// # Admission
//
// A Judge decides about one request to change a workload, in two steps. First it asks
// what has to be asked of the cluster and of who requests (Questions), and only that:
// is the object part of a counted workload, does its namespace demand a group, may the
// requester charge it. What comes out is a Case, which knows everything but what the
// group has left. Then Case.By judges by a state of the groups, as often as there is a
// newer one. The ways through it:
//
//	part      of a counted workload: only its owner's controller makes it, or makes it
//	          larger (CheckPart)
//	untied    to any group: let by, unless the namespace demands one (CheckUngrouped)
//	template  of what is charged when it is made: must name the group (CheckTemplate)
//	tied      to a group: by what the group has left for its growth (CheckWorkload)
//
// What a counted workload let go was charged as that: it counts as new.
//
// # One rule, one place
//
// The webhook, the controller and `kubectl quota check` decide by this package. It is
// pure: values in, values out; no client, no clock.
package quota
