package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/stowage-dev/stowage/test/lab"
)

// registry is the prefix of all that the API server stores.
const registry = "/registry/"

// version is one version of one object as etcd has it.
type version struct {
	revision int64  // the object's resource version
	key      string // without the prefix: deployments/NAMESPACE/NAME
	value    []byte // empty when the object was deleted
}

// etcdWatch tells of every version of every object, in the order of their revisions, across restarts of etcd.
type etcdWatch struct {
	lab     *lab.Lab
	cmd     *exec.Cmd
	take    func(version) error
	stopped chan error

	mu   sync.Mutex
	seen int64 // revision
}

// watchEtcd begins to watch after the revision that the API server is at now. take is called for each version,
// one at a time; an error ends the watch.
func watchEtcd(ctx context.Context, l *lab.Lab, take func(version) error) (*etcdWatch, error) {
	head, err := head(ctx, l)
	if err != nil {
		return nil, err
	}
	endpoint, err := etcdEndpoint(l)
	if err != nil {
		return nil, err
	}
	built, err := l.Binary("etcdctl")
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(l.Dir(), "etcdctl-watch") // a path in the lab's directory, so that it is reaped with the lab
	if err := os.Symlink(built, binary); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	w := &etcdWatch{lab: l, take: take, stopped: make(chan error, 1), seen: head}
	w.cmd = exec.Command(binary, "--endpoints="+endpoint, "--write-out=json", "watch", "--prefix", "--rev="+strconv.FormatInt(head+1, 10), registry)
	w.cmd.Stderr = os.Stderr
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { w.stopped <- w.read(stdout) }()
	return w, nil
}

// head is the API server's newest revision.
func head(ctx context.Context, l *lab.Lab) (int64, error) {
	list, err := l.Client().CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(list.ResourceVersion, 10, 64)
}

// etcdEndpoint is where the lab's etcd serves its clients.
func etcdEndpoint(l *lab.Lab) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.Dir(), "kwokctl.yaml"))
	if err != nil {
		return "", err
	}
	var config struct {
		Options struct {
			EtcdPort int `json:"etcdPort"`
		} `json:"options"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return "", err
	}
	return fmt.Sprintf("http://127.0.0.1:%d", config.Options.EtcdPort), nil
}

// answer is one line of etcdctl's.
type answer struct {
	Events []struct {
		Type  int `json:"type"` // 1 is a deletion
		Entry struct {
			Key      []byte `json:"key"`
			Value    []byte `json:"value"`
			Revision int64  `json:"mod_revision"`
		} `json:"kv"`
	}
	CompactRevision int64
	Canceled        bool
}

// read takes what etcdctl writes until it ends.
func (w *etcdWatch) read(stdout io.Reader) error {
	lines := bufio.NewReaderSize(stdout, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("watch of etcd: %w", err)
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("watch of etcd: %w: %s", err, line)
		}
		if a.Canceled || a.CompactRevision != 0 {
			return fmt.Errorf("watch of etcd: ended after revision %d: %s", w.seen, line)
		}
		for _, event := range a.Events {
			v := version{revision: event.Entry.Revision, key: string(event.Entry.Key[len(registry):]), value: event.Entry.Value}
			if event.Type == 1 {
				v.value = nil
			}
			if err := w.advance(v.revision); err != nil {
				return err
			}
			if err := w.take(v); err != nil {
				return fmt.Errorf("revision %d: %s: %w", v.revision, v.key, err)
			}
		}
	}
}

// advance notes how far the watch is: revisions come in their order.
func (w *etcdWatch) advance(revision int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if revision < w.seen {
		return fmt.Errorf("watch of etcd: revision %d came after %d", revision, w.seen)
	}
	w.seen = revision
	return nil
}

// catchUp waits until everything up to now has been taken.
func (w *etcdWatch) catchUp(ctx context.Context) error {
	// A write of its own: the newest revision may be one that no version tells of.
	marker, err := w.lab.Client().CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	if err != nil {
		return err
	}
	metav1.SetMetaDataAnnotation(&marker.ObjectMeta, "stowage.dev/storm", strconv.FormatInt(time.Now().UnixNano(), 36))
	if marker, err = w.lab.Client().CoreV1().Namespaces().Update(ctx, marker, metav1.UpdateOptions{}); err != nil {
		return err
	}
	until, err := strconv.ParseInt(marker.ResourceVersion, 10, 64)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		select {
		case err := <-w.stopped:
			w.stopped <- err
			return false, err
		default:
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen >= until, nil
	})
}

// close ends the watch, and says why it had ended before, if it had.
func (w *etcdWatch) close() error {
	select {
	case err := <-w.stopped:
		return err
	default:
	}
	if err := w.cmd.Process.Kill(); err != nil {
		return err
	}
	<-w.stopped      //nolint:errcheck // It was told to end.
	_ = w.cmd.Wait() // killed
	return nil
}
