// Package fleet makes clusters to test with: nodes and pods as plain typed objects, with the API server's
// defaults filled in, as if read from it.
//
// Generate draws a fleet of chosen shapes from a seed: the same seed and options give the same bytes. OpenB reads
// a real one, Alibaba's cluster-trace-gpu-v2023. Example is the small fleet that "make lab" shows.
//
// A fleet comes in two forms. Objects is what a cluster would hold: UIDs, owner references and status are set, so
// it can be put into a snapshot. Manifests is what a user would submit: none of these are, so that an API server
// takes it. There, the ReplicaSets come last and adopt the pods, which match their selectors, instead of making
// pods of their own; so pods arrive in the fleet's order, and those bound beforehand stay where they are.
package fleet
