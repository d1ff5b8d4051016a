package rig

import (
	"context"
	"os"
	"path/filepath"

	"github.com/stowage-dev/stowage/test/lab"
)

// Leave installs the component into a lab and starts one manager, the stowage-manager at binary, a path in the lab's
// directory. The API server calls it by itself, and it outlives this process: it ends with the lab.
func Leave(ctx context.Context, l *lab.Lab, binary string) error {
	r := &Rig{lab: l, dir: filepath.Join(l.Dir(), "quota")}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return err
	}
	own, err := newServingCert()
	if err != nil {
		return err
	}
	ports, err := lab.FreePorts(portsEach)
	if err != nil {
		return err
	}
	if err := r.install(ctx, "https://"+loopback(ports[0]), own.cert, ""); err != nil {
		return err
	}
	kubeconfig, err := r.writeKubeconfig(ctx)
	if err != nil {
		return err
	}
	if err := r.writeFiles(own, ""); err != nil {
		return err
	}
	m := r.manager(0, binary, kubeconfig, ports)
	m.args = append(m.args, "--leader-elect=false") // nobody else leads, and a lease is lost while a laptop sleeps
	if err := m.start(); err != nil {
		return err
	}
	return m.waitReady(ctx)
}
