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
// Of several creations of one name, or changes of one version, at most one comes true at
// a time: they share one reservation, of the larger amounts. That of creations names no
// object. It does not end when one is seen, as another may come after that was deleted,
// but once none can be under way and what is there by that name has been seen.
//
// A reservation holds the keys that hard counts. When hard comes to have another, what is
// under way would be missing in it: the new hard is not Counted, and nothing is
// admitted, before all reservations of workloads that stood have ended. Standing bounds
// what a ledger holds, in all and of one requester.
//
// # Amounts
//
// Amounts are added and multiplied exactly, at any size, and written so that they are
// read back as they are (writable). Nothing above 1e18 is admitted, of a group or of a
// container, whether or not its key is limited. What was stored before that is counted
// in full up to 1e40, and as that beyond: an exponent may ask for more memory than there is.
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
