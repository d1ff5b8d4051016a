// Package rig runs the quota component beside a lab as it runs in a cluster: its manifests applied, several
// managers under their own ServiceAccount, and one address in front of their webhooks.
//
//	var cluster *lab.Lab
//
//	func TestMain(m *testing.M) { rig.Main(m, &cluster, lab.Options{}) }
//
//	func TestX(t *testing.T) {
//		r := rig.StartTest(t, cluster, rig.Options{Managers: 3})
//		r.Kill(r.Leader(t.Context()))
//		...
//	}
//
// # Managers
//
// A manager is a process of its own: the test binary again, under a name in the lab's directory, so that the lab's
// guard ends it with the lab however the test ends. It runs the command of cmd/stowage-manager; only its clock is
// given to it, so that a test can let weeks pass (Options.ClockRate). It talks to the API server with a token of
// the component's ServiceAccount: what RBAC does not grant, fails.
//
// # The webhook's address
//
// The API server calls the webhook by URL, on loopback. Behind it stands what a Service is in a cluster: each
// request goes to the next ready manager. It ends TLS, because over loopback the API server speaks HTTP/2 and
// would send everything down one connection, to one manager.
//
// # A lab to play with
//
// "make lab QUOTA=1" has no test that would end: Leave starts the real binary, one of it, and the API server calls that.
package rig
