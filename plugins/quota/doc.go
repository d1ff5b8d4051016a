// Package quota is `kubectl quota`: business groups' quotas, who uses them, and
// whether a change would be admitted.
//
// Every subcommand takes the same way: package load (or a dump) gives a snapshot,
// and package quota/state makes of it the groups' tree and the index of the
// workloads that charge them. The core judges, counts and reports; a report is drawn
// here or printed by kubectl's printers. This package decides nothing about quota:
// `kubectl quota check` refuses what the admission webhook refuses, because both ask
// the same quota.Judge, and only answer its questions by what they know.
//
// A subcommand is a noun's files: tree.go with its options, which are completed,
// validated and run, treeprint.go with what it draws, tree_test.go with its cases.
//
// Commands that read work on a dump as on a cluster. Commands that write (create,
// set) show what they will do, judge it as the webhook will, and ask.
package quota
