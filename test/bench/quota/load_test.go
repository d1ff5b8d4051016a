package quota

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// clients is how many create objects at once.
const clients = 64

// creator creates one object.
type creator func(ctx context.Context, kube kubernetes.Interface, namespace, name string, labels map[string]string) error

// kinds are what is created.
var kinds = []struct {
	name   string
	create creator
}{
	{"Pods", createPod},
	{"Deployments of 3", createDeployment},
}

func createPod(ctx context.Context, kube kubernetes.Interface, namespace, name string, labels map[string]string) error {
	_, err := kube.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: podSpec(),
	}, metav1.CreateOptions{})
	return err
}

func createDeployment(ctx context.Context, kube kubernetes.Interface, namespace, name string, labels map[string]string) error {
	app := map[string]string{"app": name}
	_, err := kube.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app}, Spec: podSpec()},
		},
	}, metav1.CreateOptions{})
	return err
}

func podSpec() corev1.PodSpec {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	return corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "registry.example.com/main", Resources: corev1.ResourceRequirements{Limits: list, Requests: list},
	}}}
}

// load is what clients do for one figure.
type load struct {
	namespace string
	create    creator
	// labels are the i-th object's.
	labels func(i int) map[string]string
}

// figure is what one measurement yields.
type figure struct {
	perSecond float64
	p50, p99  time.Duration
	// processor is what the control plane and the managers used of it for one creation: unlike the others it does
	// not depend on what else the machine does.
	processor time.Duration
}

// connect makes the clients. Each has connections of its own and no rate limit.
func connect() ([]kubernetes.Interface, error) {
	kubes := make([]kubernetes.Interface, clients)
	for i := range kubes {
		config := cluster.RESTConfig()
		config.ContentType, config.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
		config.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext // client-go shares connections but of clients that dial themselves
		var err error
		if kubes[i], err = kubernetes.NewForConfig(config); err != nil {
			return nil, err
		}
	}
	return kubes, nil
}

// measure has the clients create n objects, an eighth more before that to warm up, and deletes them. An object that
// is refused is an error.
func measure(ctx context.Context, kubes []kubernetes.Interface, l load, n int) (figure, error) {
	if _, err := run(ctx, kubes, l, "warm", n/8); err != nil {
		return figure{}, err
	}
	start, before := time.Now(), processorTime()
	latencies, err := run(ctx, kubes, l, "load", n)
	took, used := time.Since(start), processorTime()-before
	if err != nil {
		return figure{}, err
	}
	slices.Sort(latencies)
	at := func(share float64) time.Duration {
		return latencies[min(int(share*float64(len(latencies))), len(latencies)-1)]
	}
	f := figure{perSecond: float64(len(latencies)) / took.Seconds(), p50: at(0.50), p99: at(0.99), processor: used / time.Duration(len(latencies))}
	return f, deleteAll(ctx, kubes[0], l.namespace)
}

// processorTime is what the lab's processes, the managers among them, have used so far.
func processorTime() time.Duration {
	const tick = time.Second / 100 // USER_HZ
	var used time.Duration
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err) // a bad pattern
	}
	for _, stat := range stats {
		command, err := os.ReadFile(filepath.Join(filepath.Dir(stat), "cmdline"))
		if err != nil || !strings.HasPrefix(string(command), cluster.Dir()+"/") {
			continue
		}
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// Fields 14 and 15 of proc(5), counted from after the command's name.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err == nil {
				used += time.Duration(ticks) * tick
			}
		}
	}
	return used
}

// run creates at least n objects, and returns how long each took.
func run(ctx context.Context, kubes []kubernetes.Interface, l load, name string, n int) ([]time.Duration, error) {
	each := (n + clients - 1) / clients
	latencies := make([]time.Duration, clients*each)
	running, ctx := errgroup.WithContext(ctx)
	for c, kube := range kubes {
		running.Go(func() error {
			for i := c * each; i < (c+1)*each; i++ {
				start := time.Now()
				if err := l.create(ctx, kube, l.namespace, fmt.Sprintf("%s-%d", name, i), l.labels(i)); err != nil {
					return err
				}
				latencies[i] = time.Since(start)
			}
			return nil
		})
	}
	return latencies, running.Wait()
}

func deleteAll(ctx context.Context, kube kubernetes.Interface, namespace string) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	if err := kube.CoreV1().Pods(namespace).DeleteCollection(ctx, now, metav1.ListOptions{}); err != nil {
		return err
	}
	return kube.AppsV1().Deployments(namespace).DeleteCollection(ctx, now, metav1.ListOptions{})
}

// median is the middle one of the figures, each number by itself.
func median(figures []figure) figure {
	return figure{
		perSecond: middle(figures, func(f figure) float64 { return f.perSecond }),
		p50:       time.Duration(middle(figures, func(f figure) float64 { return float64(f.p50) })),
		p99:       time.Duration(middle(figures, func(f figure) float64 { return float64(f.p99) })),
		processor: time.Duration(middle(figures, func(f figure) float64 { return float64(f.processor) })),
	}
}

func middle[T any](items []T, number func(T) float64) float64 {
	numbers := make([]float64, len(items))
	for i, item := range items {
		numbers[i] = number(item)
	}
	slices.Sort(numbers)
	return (numbers[(len(numbers)-1)/2] + numbers[len(numbers)/2]) / 2
}
