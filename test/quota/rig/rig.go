package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stowage-dev/stowage/pkg/install"
	"github.com/stowage-dev/stowage/test/lab"
)

// Options says how the component runs.
type Options struct {
	// Managers is the number of manager processes. Default: 3.
	Managers int
	// Args are further flags of every manager.
	Args []string
	// Kinds declares workload kinds beside the built-in ones, as the YAML that a user writes.
	Kinds string
	// ClockRate is how fast the managers' clock runs. Default: 1, the wall clock.
	ClockRate float64
}

// Rig is the component, running beside a lab.
type Rig struct {
	lab      *lab.Lab
	dir      string
	clock    Clock
	service  *service
	managers []*process
}

// Start applies the component's manifests and starts its managers; it returns when all are ready. One rig runs
// beside a lab at a time.
func Start(ctx context.Context, l *lab.Lab, opts Options) (*Rig, error) {
	if opts.Managers == 0 {
		opts.Managers = 3
	}
	if opts.ClockRate == 0 {
		opts.ClockRate = 1
	}
	dir, err := os.MkdirTemp(l.Dir(), "rig-")
	if err != nil {
		return nil, err
	}
	r := &Rig{lab: l, dir: dir, clock: Clock{time.Now(), opts.ClockRate}}
	if err := r.start(ctx, opts); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// start starts all that the rig is made of.
func (r *Rig) start(ctx context.Context, opts Options) error {
	own, err := newServingCert()
	if err != nil {
		return err
	}
	if r.service, err = newService(own); err != nil {
		return err
	}
	if err := r.install(ctx, r.service.url(), own.cert, opts.Kinds); err != nil {
		return err
	}
	if err := r.newManagers(ctx, own, opts); err != nil {
		return err
	}
	for _, m := range r.managers {
		if err := m.start(); err != nil {
			return err
		}
	}
	for _, m := range r.managers {
		if err := r.join(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// join makes a manager an endpoint as soon as it is ready.
func (r *Rig) join(ctx context.Context, m *process) error {
	if err := m.waitReady(ctx); err != nil {
		return err
	}
	r.service.add(m.webhook)
	return nil
}

// Close ends the managers; what they manage stays. Closing twice does nothing.
func (r *Rig) Close() error {
	var errs []error
	for _, m := range r.managers {
		if m.alive() {
			errs = append(errs, m.cmd.Process.Signal(syscall.SIGTERM)) // all at once; then wait for each
		}
	}
	for i := range r.managers {
		errs = append(errs, r.Terminate(i))
	}
	if r.service != nil {
		errs = append(errs, r.service.close())
	}
	return errors.Join(errs...)
}

// Now is the managers' time.
func (r *Rig) Now() time.Time { return r.clock.Now() }

// Clock is the managers' clock.
func (r *Rig) Clock() Clock { return r.clock }

// Kill ends manager i with SIGKILL, and waits until it is gone.
func (r *Rig) Kill(i int) error { return r.end(i, syscall.SIGKILL) }

// Terminate ends manager i with SIGTERM as a kubelet does: it is no endpoint any more, and it may finish what is
// under way.
func (r *Rig) Terminate(i int) error {
	r.service.remove(r.managers[i].webhook)
	return r.end(i, syscall.SIGTERM)
}

func (r *Rig) end(i int, signal syscall.Signal) error {
	m := r.managers[i]
	err := m.end(signal)
	r.service.remove(m.webhook)
	return err
}

// Restart starts manager i again, ending it first if it runs, and returns when it is ready.
func (r *Rig) Restart(ctx context.Context, i int) error {
	if r.managers[i].alive() {
		if err := r.Terminate(i); err != nil {
			return err
		}
	}
	if err := r.managers[i].start(); err != nil {
		return err
	}
	return r.join(ctx, r.managers[i])
}

// Size is the number of managers, dead ones included.
func (r *Rig) Size() int { return len(r.managers) }

// Endpoint is the host:port at which manager i serves its webhooks.
func (r *Rig) Endpoint(i int) string { return r.managers[i].webhook }

// Leader returns the manager that holds the lease, waiting until one does.
func (r *Rig) Leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		for i, m := range r.managers {
			if m.alive() && m.leads(ctx) {
				return i, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("rig: no manager leads: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Metrics returns what manager i exposes to Prometheus.
func (r *Rig) Metrics(ctx context.Context, i int) (string, error) {
	_, text, err := get(ctx, "http://"+r.managers[i].metrics+"/metrics")
	return text, err
}

// LogFile is the path of manager i's log, over all its starts.
func (r *Rig) LogFile(i int) string { return r.managers[i].log }

// Attach prints the managers' logs since now when t fails, and fails t if some manager has lacked a permission,
// panicked or, in a test binary built with -race, raced.
func (r *Rig) Attach(t testing.TB) {
	t.Helper()
	offsets := make([]int64, len(r.managers))
	for i, m := range r.managers {
		if info, err := os.Stat(m.log); err == nil {
			offsets[i] = info.Size()
		}
	}
	t.Cleanup(func() {
		for i, m := range r.managers {
			for _, line := range m.complaints() {
				t.Errorf("manager %d: %s", i, line)
			}
		}
		if !t.Failed() {
			return
		}
		for i, m := range r.managers {
			t.Logf("manager %d:\n%s", i, tail(m.log, offsets[i]))
		}
	})
}

// user is the component's, as the API server names it.
const user = "system:serviceaccount:" + install.DefaultNamespace + ":" + install.ManagerName

// complaints returns a manager's log lines about what must not happen.
func (m *process) complaints() []string {
	data, err := os.ReadFile(m.log)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		forbidden := strings.Contains(line, "forbidden: User") && strings.Contains(line, user)
		if forbidden || strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// StartTest starts a rig for one test; it ends with it, and its logs are printed if the test fails.
func StartTest(t testing.TB, l *lab.Lab, opts Options) *Rig {
	t.Helper()
	r, err := Start(t.Context(), l, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Attach(t)
	return r
}
