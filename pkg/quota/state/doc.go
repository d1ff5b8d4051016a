// Package state is a cluster's business groups at one instant: the groups as a
// tree and what charges them as an index, both made from a snapshot, and the
// reports that are read off them.
//
//	snapshot -> State -> Tree, Verify, Describe
//	                  -> Trial -> QuotaCheck, one change after the other
//
// Whoever shows groups (a command, a view, a check of hardware pools) begins here.
// What the groups may do is decided by package quota; what is drawn of a report,
// and in which words, is decided where it is drawn. So what could not be seen stays
// a value: the snapshot's Missing, and Unread.
//
// Of most objects only the metadata is read: a pod that a counted workload made
// charges nothing itself. The kinds that make others are therefore indexed first.
package state
