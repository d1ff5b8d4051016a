// Package manager is the in-cluster component's command: a controller-runtime
// manager with the admission webhooks and the controllers, wired up.
//
// Every replica serves the webhooks and keeps the controllers' views of the
// cluster; the replica that holds the Lease also writes the ledgers. A replica is
// ready when it has a certificate, listens, and its views hold the cluster; until
// then the Service sends it nothing.
//
// # Certificates
//
// With --cert-dir they are files that someone else renews. Without, cert-controller
// makes them, signed by the authority that the installation left in a Secret, keeps
// them there and renews them; this package copies the Secret into files, at once and
// not when a kubelet next refreshes its mounts. What the API server trusts is the
// installation's to say: the component has no right to.
//
// # Callers
//
// With --webhook-token-file the webhooks are found below a secret path only, and what
// an admission review says is what the API server said. The file may hold several, so
// that one takes another's place while both are good, and is read again and again.
// Without, whoever reaches the
// port can have reservations written.
//
// # Ending
//
// A first signal makes the replica unready. It goes on answering for --drain, until
// no API server sends it anything new; then it closes, finishes what is in flight,
// and gives the Lease back.
package manager
