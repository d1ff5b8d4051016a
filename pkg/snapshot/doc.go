// Package snapshot is one cluster at one instant, as a value.
//
// Everything Stowage decides is computed from a Snapshot; nothing in the pure
// core talks to a cluster. A Snapshot comes from a live cluster (package load)
// or from a dump that anybody can make with `kubectl get ... -A -o yaml`, and
// both give the same value, so that a bug report is a file.
//
// # One table of kinds
//
// Kinds lists what is read, once: group, version, resource, where the objects
// are kept and what is kept of them. The reader, the writer, the sorter and the
// live loader all go by that table. Older versions are accepted only where their
// serialised form equals that of the newest (resource.k8s.io/v1beta2,
// storage.k8s.io/v1beta1); others (policy/v1beta1, whose empty selector means the
// opposite; resource.k8s.io/v1beta1, whose requests have another shape) are
// counted in Ignored rather than guessed.
//
// # Reduced objects
//
// Kind.Reduce keeps of an object what the scheduler's plugins and our
// explanations read, and is applied to every object, live or dumped: the two
// cannot differ in a field that one of them dropped. Environment, commands,
// probes, mounts, managed fields and a node's image list go; so do events and
// config maps that explain nothing (Kind.Reduce reports false).
//
// # Rules of reading
//
//   - Objects carry no TypeMeta, as in a typed list of client-go; Write adds it.
//   - A namespaced object without a namespace is in "default", as for kubectl.
//   - Of two objects with the same kind, namespace and name the later one wins:
//     in a folder, files are read in the order of their names.
//   - Finished pods (Succeeded, Failed) stay, so that a command asked about one
//     can say so; they use nothing, and the engine skips them (see Finished). A
//     live load leaves them on the server, unless it is asked for them.
//   - Objects of unknown kinds are counted in Ignored, but those that are tied to a
//     business group by its label: they are workloads of kinds that a user may
//     declare, and are kept without their Go types. A field that does not parse is an
//     error naming the file, the document, the item and the field.
//   - YAML is the YAML library's to read. A v1.List in kubectl's layout is handed to
//     it one item at a time, which bounds its memory and changes no result
//     (FuzzListToJSON).
package snapshot
