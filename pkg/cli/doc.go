// Package cli is what every Stowage kubectl plugin does alike: streams, clock
// and kubeconfig injected through an [Env], the flags of kubectl with kubectl's
// meaning, arguments resolved as kubectl resolves them, kubectl's wording of
// errors, shell completion and exit codes.
//
// A command states what it needs by embedding flag groups ([OutputFlags],
// [SourceFlags], [SelectFlags]) in its Options; each group adds its flags and
// checks them, so that a flag cannot mean two things in two plugins.
//
// Arguments are resolved against a snapshot, never against a server, so that a
// live cluster and a dump give the same answer. The types in TYPE/NAME are those of the
// table of workload kinds, with its short names, and so are the objects that files
// ([ManifestReader]) hold. Data goes to stdout; warnings,
// notes and progress go to stderr.
package cli
