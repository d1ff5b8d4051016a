// Package workload reads any workload kind as pod sets: so many replicas of a
// pod template.
//
// Kinds are data (kinds.yaml, embedded, and what a user adds with the same
// fields): where the replicas and the template of each pod set stand, what says
// that the workload is suspended or finished, and which kinds' objects it makes.
// The webhook's rules, the controller's watches and the snapshot's charges follow
// the table.
//
// # What is counted
//
// A workload is counted where its objects say how many pods there may be. One
// that has no pod sets charges nothing itself, and the objects that it makes are
// counted on their own: a CronJob's Jobs, or the ReplicaSets of a Rollout whose
// template is another object's.
//
// What a controller is known to add is declared too: containers (Ray's autoscaler, the
// submitter of a RayJob), and amounts that stand as no container's resources (Spark's
// cores and Java memory with its overhead). What has run to its end and will not come
// again is not counted (a Job's completions).
//
// A kind has one row for all of its versions, whose fields may stand at other paths: where
// nothing stands, nothing is read. testdata/crds.yaml holds what the projects publish of
// the kinds, and a test compares it with the table; others.yaml names kinds that are no
// workloads, and what is charged of them.
//
// # Reading and growing
//
// Kind.Read and Kind.Grows follow the same fields: Read in Go, Grows as an
// expression that the apiserver evaluates before it calls the webhook. The number
// of pods never falls when one of the numbers rises, so an object of which no
// number has risen and all else is equal has not grown.
//
// But for ReadFile, the package is pure: values in, values out.
package workload
