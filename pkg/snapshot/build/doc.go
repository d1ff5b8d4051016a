// Package build makes the objects of a snapshot in one expression, for tests and
// examples:
//
//	snap := build.Snapshot(
//		build.Node("n1").Capacity("cpu=4,memory=8Gi,pods=110").Taint("dedicated=gpu:NoSchedule").Obj(),
//		build.Pod("team-a", "web").Request("cpu=500m").Toleration("dedicated=gpu:NoSchedule").Obj(),
//	)
//
// Each builder sets the fields that tests mostly want; With changes any other.
// Arguments are written as kubectl and its output write them, and a malformed one
// panics: it is a mistake in the test.
package build
