package lab

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"sigs.k8s.io/yaml"
)

//go:embed reap.sh
var reapScript string

// reap runs reap.sh on dir and waits.
func reap(dir string) error {
	if out, err := exec.Command("sh", "-c", reapScript, "reap.sh", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("lab %s: cannot remove it: %w: %s", dir, err, out)
	}
	return nil
}

// guard is the owner's side of reap.sh waiting for the owner's end.
type guard struct {
	dir  string
	cmd  *exec.Cmd
	pipe io.WriteCloser
	lock *os.File // held while the owner lives
}

// newGuard starts the guard of dir in a session of its own, so that a signal to this process group passes it by.
func newGuard(dir string) (*guard, error) {
	lock, err := os.Create(filepath.Join(dir, "owner.lock"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lab %s: %w", dir, err)
	}
	cmd := exec.Command("sh", "-c", reapScript, "reap.sh", dir, "guard")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("lab %s: cannot start its guard: %w", dir, err)
	}
	return &guard{dir: dir, cmd: cmd, pipe: pipe, lock: lock}, nil
}

// release ends the lab.
func (g *guard) release() error {
	defer g.lock.Close()
	g.pipe.Close()
	if err := g.cmd.Wait(); err != nil { // the guard itself was killed: do its work
		return reap(g.dir)
	}
	return nil
}

// dismiss ends the guard and leaves the lab.
func (g *guard) dismiss() error {
	defer g.lock.Close()
	if _, err := io.WriteString(g.pipe, "dismissed\n"); err != nil {
		return fmt.Errorf("lab %s: its guard is gone: %w", g.dir, err)
	}
	return g.cmd.Wait()
}

// root is the directory of this user's short-lived labs.
func root() string {
	return filepath.Join(os.TempDir(), "stowage-lab-"+strconv.Itoa(os.Getuid()))
}

// lockStarts lets one lab start at a time among this user's processes.
func lockStarts(ctx context.Context) (unlock func(), err error) {
	return lockFile(ctx, "start.lock")
}

// lockFile waits for the lock of a file in root.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(root(), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(root(), name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, func(context.Context) (bool, error) { return tryLock(file), nil })
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lab: another process holds %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// tryLock takes file's lock if nobody has it. The kernel gives it back when the file is closed or its process dies.
func tryLock(file *os.File) bool {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// reapAbandoned removes labs whose owner and guard are both dead. The caller holds the lock of starts.
func reapAbandoned() error {
	locks, err := filepath.Glob(filepath.Join(root(), "*", "owner.lock"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range locks {
		lock, err := os.Open(path)
		if err != nil {
			continue // its guard has just removed it
		}
		if tryLock(lock) {
			errs = append(errs, reap(filepath.Dir(path)))
		}
		lock.Close()
	}
	return errors.Join(errs...)
}

// process is how kwokctl runs a component.
type process struct {
	Name   Component `json:"name"`
	Binary string    `json:"binary"`
	Args   []string  `json:"args"`
	Ports  []struct {
		Port int `json:"port"`
	} `json:"ports"`
}

// process looks a component up in kwokctl's record of the cluster.
func (l *Lab) process(c Component) (process, error) {
	data, err := os.ReadFile(filepath.Join(clusterDir(l.dir), "kwok.yaml"))
	if err != nil {
		return process{}, err
	}
	// The record holds several documents; components are in the KwokctlConfiguration alone.
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		var record struct {
			Components []process `json:"components"`
		}
		if err := yaml.Unmarshal([]byte(document), &record); err != nil {
			return process{}, fmt.Errorf("lab %s: kwok.yaml: %w", l.dir, err)
		}
		for _, p := range record.Components {
			if p.Name == c {
				return p, nil
			}
		}
	}
	return process{}, fmt.Errorf("lab %s: component %q was not started with it", l.dir, c)
}

// Stop kills a component with SIGKILL and waits until it is gone. Stopping a stopped one does nothing.
func (l *Lab) Stop(ctx context.Context, c Component) error {
	p, err := l.process(c)
	if err != nil {
		return err
	}
	pidFile := l.pidFile(c)
	pid, err := readPID(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !p.runs(pid) {
		return os.Remove(pidFile)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("lab %s: stopping %s: %w", l.dir, c, err)
	}
	err = poll(ctx, func(context.Context) (bool, error) { return ended(pid), nil })
	if err != nil {
		return fmt.Errorf("lab %s: stopping %s: %w", l.dir, c, err)
	}
	return os.Remove(pidFile)
}

// Start starts a stopped component again with the flags it had, and waits until it is ready. Starting a running
// one does nothing but wait.
func (l *Lab) Start(ctx context.Context, c Component) error {
	p, err := l.process(c)
	if err != nil {
		return err
	}
	if pid, err := readPID(l.pidFile(c)); err != nil || !p.runs(pid) {
		if err := l.spawn(p); err != nil {
			return fmt.Errorf("lab %s: starting %s: %w", l.dir, c, err)
		}
	}
	return l.waitReady(ctx, c)
}

// spawn runs a component as kwokctl does: in a session of its own, its log appended, its PID in a file.
func (l *Lab) spawn(p process) error {
	log, err := os.OpenFile(l.LogFile(p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.Binary, p.Args...)
	cmd.Dir = clusterDir(l.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // reap the zombie; how it ended is in its log
	return os.WriteFile(l.pidFile(p.Name), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
}

// StopScheduler stops kube-scheduler: pods created from now on stay as they are.
func (l *Lab) StopScheduler(ctx context.Context) error { return l.Stop(ctx, Scheduler) }

// StartScheduler starts kube-scheduler again and waits until its informers are filled.
func (l *Lab) StartScheduler(ctx context.Context) error { return l.Start(ctx, Scheduler) }

// waitReady waits until a component's own health endpoint says that it is ready.
func (l *Lab) waitReady(ctx context.Context, c Component) error {
	p, err := l.process(c)
	if err != nil {
		return err
	}
	urls := map[Component]string{
		Etcd:              "http://127.0.0.1:%d/readyz",
		APIServer:         "https://127.0.0.1:%d/readyz",
		ControllerManager: "https://127.0.0.1:%d/healthz",
		Scheduler:         "https://127.0.0.1:%d/readyz",
		Kwok:              "http://127.0.0.1:%d/healthz",
	}
	url := fmt.Sprintf(urls[c], p.Ports[len(p.Ports)-1].Port)
	// Certificates of the components are self-signed, and only a health check is read.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // loopback
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	err = poll(ctx, func(ctx context.Context) (bool, error) { return healthy(ctx, client, url), nil })
	if err != nil {
		return fmt.Errorf("lab %s: %s is not ready, see %s: %w", l.dir, c, l.LogFile(c), err)
	}
	return nil
}

// healthy says whether a GET of url answers 200.
func healthy(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// pidFile is where a component's PID is kept.
func (l *Lab) pidFile(c Component) string {
	return filepath.Join(clusterDir(l.dir), "pids", string(c)+".pid")
}

// readPID reads a PID file.
func readPID(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0, fmt.Errorf("%s: expected a process id: %w", path, err)
	}
	return pid, nil
}

// ended says whether a process has let go of all that it had, its ports too: it is gone, or a zombie whose last
// thread is. (It has no command line any more, and so does not run, before that.)
func ended(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return true
	}
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	_, state, _ := strings.Cut(string(stat), ") ") // the name in parentheses is the component's
	return err != nil || strings.HasPrefix(state, "Z") && len(threads) == 1
}

// runs says whether pid is this component. A PID used again by another program is not, nor is a zombie, whose
// command line is empty.
func (p process) runs(pid int) bool {
	cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.HasPrefix(string(cmdline), p.Binary+"\x00")
}
