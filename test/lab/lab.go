package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Component is a process of the control plane, by kwokctl's name.
type Component string

// The components of a lab.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
	Kwok              Component = "kwok-controller"
)

// Options says what a lab is made of. The zero value is the whole control plane with upstream's defaults.
type Options struct {
	// Dir is the lab's own directory, which must not exist. Default: a new one in the system's temporary directory.
	Dir string
	// Without names components that are not started: ControllerManager, Scheduler, Kwok. Without the controller
	// manager, the admission plugins that wait for its work (ServiceAccount, TaintNodesByCondition) are off too.
	Without []Component
	// SchedulerConfig is the path of a KubeSchedulerConfiguration (v1); its kubeconfig is set to the lab's, and
	// its client's rate limits are lifted unless it sets its own.
	SchedulerConfig string
	// FeatureGates are given to every Kubernetes component.
	FeatureGates map[string]bool
	// RuntimeConfig switches API versions, as kube-apiserver's --runtime-config: {"api/beta": true}.
	RuntimeConfig map[string]bool
	// ExtraArgs are further flags by component: {Scheduler: {"v": "4"}}.
	ExtraArgs map[Component]map[string]string
	// Log receives the progress of building and starting. Default: nothing is said.
	Log io.Writer
}

// Lab is a running control plane.
type Lab struct {
	dir    string
	guard  *guard // nil when the lab outlives this process
	config *rest.Config
	client kubernetes.Interface
}

// startTimeout bounds Start after the binaries exist; a start takes seconds.
const startTimeout = 3 * time.Minute

// Start builds the binaries if need be, starts a control plane and waits until it serves. The lab ends with
// Close, or with this process.
func Start(ctx context.Context, opts Options) (l *Lab, err error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	bin, err := binaries(ctx, opts.Log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	unlock, err := lockStarts(ctx) // ports are chosen and taken under it
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := reapAbandoned(); err != nil {
		return nil, err
	}
	dir, err := labDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	guard, err := newGuard(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, guard.release())
		}
	}()
	if err := createCluster(ctx, dir, bin, opts); err != nil {
		return nil, err
	}
	if l, err = Open(dir); err != nil {
		return nil, err
	}
	if err := l.waitServed(ctx, opts); err != nil {
		return nil, err
	}
	l.guard = guard
	return l, nil
}

// Open returns the running lab whose directory is dir. Its Close does nothing: the lab is someone else's.
func Open(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	l.config, err = clientcmd.BuildConfigFromFlags("", l.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("lab %s: no usable kubeconfig: %w", dir, err)
	}
	l.config.QPS = -1 // no client-side rate limit
	typed := rest.CopyConfig(l.config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if l.client, err = kubernetes.NewForConfig(typed); err != nil {
		return nil, fmt.Errorf("lab %s: %w", dir, err)
	}
	return l, nil
}

// Remove ends the lab whose directory is dir: exactly the processes that were started from it, and its files.
func Remove(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return reap(dir)
}

// Close ends the lab and waits until it is gone. Closing twice, or closing a detached lab, does nothing.
func (l *Lab) Close() error {
	if l.guard == nil {
		return nil
	}
	guard := l.guard
	l.guard = nil
	return guard.release()
}

// Detach lets the lab outlive this process; Remove ends it.
func (l *Lab) Detach() error {
	if l.guard == nil {
		return nil
	}
	guard := l.guard
	l.guard = nil
	return guard.dismiss()
}

// Dir returns the lab's directory.
func (l *Lab) Dir() string { return l.dir }

// Binary returns the path of one of the binaries that the lab was made of: "kubectl", "etcdctl".
func (l *Lab) Binary(name string) (string, error) {
	kwokctl, err := filepath.EvalSymlinks(filepath.Join(l.dir, "kwokctl"))
	if err != nil {
		return "", fmt.Errorf("lab %s: %w", l.dir, err)
	}
	return filepath.Join(filepath.Dir(kwokctl), name), nil
}

// Kubeconfig returns the path of the lab's own kubeconfig: an administrator's.
func (l *Lab) Kubeconfig() string { return filepath.Join(l.dir, "kubeconfig") }

// LogFile returns the path of a component's log.
func (l *Lab) LogFile(c Component) string {
	return filepath.Join(clusterDir(l.dir), "logs", string(c)+".log")
}

// RESTConfig returns a copy of the administrator's client configuration, without a rate limit.
func (l *Lab) RESTConfig() *rest.Config { return rest.CopyConfig(l.config) }

// Client returns the administrator's typed client, without a rate limit.
func (l *Lab) Client() kubernetes.Interface { return l.client }

// waitServed waits for what a first request needs: the API server, the service account that pods default to,
// and a scheduler that has its informers filled.
func (l *Lab) waitServed(ctx context.Context, opts Options) error {
	if !opts.without(ControllerManager) {
		err := poll(ctx, func(ctx context.Context) (bool, error) {
			_, err := l.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err == nil, nil
		})
		if err != nil {
			return fmt.Errorf("lab %s: no default service account, see %s: %w", l.dir, l.LogFile(ControllerManager), err)
		}
	}
	if !opts.without(Scheduler) {
		return l.waitReady(ctx, Scheduler)
	}
	return nil
}

// labDir creates the lab's directory.
func labDir(dir string) (string, error) {
	if dir == "" {
		dir = filepath.Join(root(), "lab-"+rand.String(8))
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("lab %s: expected a directory that does not exist yet; remove the lab there first: %w", dir, err)
	}
	return dir, nil
}

// poll calls done every 50 ms until it says true, fails, or ctx ends.
func poll(ctx context.Context, done wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, done)
}
