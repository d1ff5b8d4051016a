// Package taintplan is `kubectl taint-plan`: what a change of taints will do, with
// the grammar of kubectl taint, and then, wave by wave, the change itself.
//
// The command is a thin line through the house: package load (or a dump) gives a
// snapshot, package plan a report.TaintPlan, and this package draws it. It decides
// nothing about taints. --out saves the plan under a seal; --apply and --rollback
// read one (package plan/saved) and hand it to package apply, which compares it with the
// cluster as it is now: it is shown, and carried out when the question is answered.
//
// As for kubectl diff, the exit code says what would come of the command: 0 when no
// taint changes, 1 when one does, above 1 on an error. What is applied ends with 0.
package taintplan
