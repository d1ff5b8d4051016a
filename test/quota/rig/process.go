package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/stowage-dev/stowage/pkg/install"
)

// process is one manager and where it listens.
type process struct {
	binary    string
	args, env []string
	log       string // path
	webhook   string // host:port
	health    string // host:port
	metrics   string // host:port

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil before the first start
	done chan struct{} // closed when cmd has ended
}

// startTimeout bounds a manager's start; it takes a second or two.
const startTimeout = 60 * time.Second

// start runs the process; it need not be ready yet.
func (m *process) start() error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(m.binary, m.args...)
	cmd.Env = append(os.Environ(), m.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cmd, m.done = cmd, done
	return nil
}

// end sends a signal and waits until the process has ended; a process that takes no notice is killed.
func (m *process) end(signal syscall.Signal) error {
	m.mu.Lock()
	cmd, done := m.cmd, m.done
	m.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-done:
		return nil
	case <-time.After(startTimeout):
		_ = cmd.Process.Kill()
		<-done
		return fmt.Errorf("rig: manager %d did not end within %s of %s, see %s", cmd.Process.Pid, startTimeout, signal, m.log)
	}
}

// alive says whether the process runs.
func (m *process) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// waitReady waits for the process's /readyz.
func (m *process) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if !m.alive() {
			return false, errors.New("it has ended")
		}
		status, _, err := get(ctx, "http://"+m.health+"/readyz")
		return err == nil && status == http.StatusOK, nil
	})
	if err != nil {
		return fmt.Errorf("rig: manager is not ready: %w; its log %s ends in:\n%s", err, m.log, tail(m.log, 0))
	}
	return nil
}

// leads says whether the process says of itself that it holds the lease.
func (m *process) leads(ctx context.Context) bool {
	_, text, err := get(ctx, "http://"+m.metrics+"/metrics")
	return err == nil && strings.Contains(text, fmt.Sprintf("\nleader_election_master_status{name=%q} 1\n", install.ManagerName))
}

// get is the status and the body of a GET.
func get(ctx context.Context, url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// tailLines is how much of a log is printed: a failure's own message is to stay in sight.
const tailLines = 12

// tail returns the last lines of a log file, from offset on at the earliest. What readiness probes find is left out:
// they are many, and the rig waits for them.
func tail(path string, offset int64) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(data[min(offset, int64(len(data))):])) {
		if !strings.Contains(line, "healthz check failed") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], "")
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
