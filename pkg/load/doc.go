// Package load takes a snapshot of a live cluster.
//
// Every kind of snapshot.Kinds is listed once, all in parallel, as protobuf
// (custom resources, which have no such form, as whole JSON lists). Options.Extra
// adds workload kinds that the table does not have; of these the server sends what
// is tied to a business group. Options.Strangers looks for such among all other custom
// resources too, by metadata alone. A protobuf list's body is read item by item as it
// arrives: an item is decoded, reduced to what Stowage reads
// (snapshot.Kind.Reduce) and its bytes are forgotten, so that neither the whole
// response nor a whole list of full objects is ever in memory. Lists are not
// paged, because the API server answers an unpaged one from its watch cache and
// encodes it as a stream; Options.ChunkSize pages them all the same, for whom the
// one large response is too much.
//
// What that gives is measured beside the plain lists in docs/performance.md.
//
// What the server can leave out is left out there: finished pods (unless
// Options.Finished keeps them), the events that explain nothing, all config maps but
// cluster-autoscaler's.
//
// A kind that may not be listed, or that the server does not have, is named in
// Snapshot.Missing with the reason; whether an answer is possible without it is
// for the caller to say. Any other failure fails the load.
//
// # Following a cluster
//
// Watch lists as Live does and then watches each kind from where its list ended, so that
// a later snapshot costs what has changed, and a sort, instead of a load. A Stream is
// asked for snapshots (Next) rather than sends them: who is slow skips those between. A
// snapshot that was given out stays as it was; the next one is another list of the same
// objects but for those that have changed.
//
// A kind whose position the server has forgotten (410 Gone) is listed again. One that may
// be listed and not watched is listed again and again, with a note; one that may not be
// listed is Missing until it may. What else goes wrong later does not end the stream: it
// shows what it has, and tries again.
package load
