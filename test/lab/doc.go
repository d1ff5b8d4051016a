// Package lab runs a real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager
// and kube-scheduler as processes on this machine, with kwok playing the kubelets. No test that matters runs
// against a fake client.
//
// A test package starts one lab in TestMain and calls Reset between its cases:
//
//	var cluster *lab.Lab
//
//	func TestMain(m *testing.M) { lab.Main(m, &cluster, lab.Options{}) }
//
// A package of which only a test or two need one has them call New. With -short no lab is started, and what needs
// one is skipped. Tests of other packages wait for their turn: one test has a lab at a time.
//
// # What a lab is
//
// A lab is a directory. It holds kwokctl's work directory, etcd's data, the certificates, the logs, the
// kubeconfig, and links to the binaries; every process of the lab runs under a path inside it. So labs do not
// meet: each has its own directory and ports, and neither ~/.kube nor ~/.kwok is read or written.
//
// # How it ends
//
// A process belongs to a lab if and only if its command line starts with the lab's directory. reap.sh kills
// those and removes the directory, and there is no other way a lab ends:
//
//   - Start first spawns reap.sh as a guard, which waits on a pipe whose other end this process holds. Close
//     closes it; so does the kernel when the process returns, panics or is killed with SIGKILL.
//   - If the guard was killed as well, the next Start finds the directory without its owner's lock and reaps it.
//   - Detach lets a lab outlive its process ("make lab"); Remove ends it.
//
// # Speed
//
// etcd does not fsync, client rate limits are off, and nodes send heartbeats a hundred times more seldom than
// a kubelet, with as much more patience in the node controller, and the components collect garbage less often
// (GOGC). Otherwise every default is upstream's.
//
// Binaries are built by hack/lab/build.sh on first use (minutes), and kept in the user's cache. Linux only.
package lab
