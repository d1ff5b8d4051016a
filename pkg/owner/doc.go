// Package owner says who makes pods, how many, and what each of them will be.
//
// The kinds are data: which object is a workload, where its pod sets stand and what
// its status says is read by the table of package workload. What is known here by
// name is a rule of one controller: how many pods a Job still wants (workload.go), what a
// StatefulSet or a DaemonSet adds to its template (pods.go), which revision is made
// now (replacement.go).
//
//   - [Index] finds the controllers of a snapshot and follows them up.
//   - [Read] reads any object of the table: its pod sets, how many pods there should be
//     and are, and why the controller cannot make more.
//   - [Maker] makes the pods, and the claims that come with them, as they would stand in
//     the API server: the controller's template, then what admission adds (admission.go).
//
// A pod is made from the template of its controller, not copied from one that runs: that
// one may have been resized in place, or be of an old revision. Two things only a running
// pod shows, and they are taken from it ([Maker.Replacement]): all of it where the
// snapshot does not hold the controller or the revision, and what admission webhooks have
// put in, which they will put in again. Amounts are such too, unless the pod may have been
// resized since (amounts.go).
//
// The API server's defaults are code of k8s.io/kubernetes, so the caller hands them in.
package owner
