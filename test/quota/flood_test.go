package quota_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// promptly is how long an admission may take beside what somebody else does. On a machine that does nothing else it
// takes milliseconds; an API server gives up after 10 s.
const promptly = 10 * time.Second

// admits creates pods one after the other, each of which must be admitted promptly.
func (w *world) admits(c client.Client, pods ...*corev1.Pod) {
	w.t.Helper()
	for _, pod := range pods {
		began := time.Now()
		err := c.Create(w.t.Context(), pod)
		if took := time.Since(began); err != nil || took > promptly {
			w.t.Errorf("%s: %v, in %s; want it admitted within %s", pod.Name, err, took, promptly)
		}
	}
}

// Who makes creations that fail after their admission, as many as he can, holds a share of the group and is told so;
// others are admitted to the same group meanwhile.
func TestFloodOfFailedCreations(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "100k"})
	jane, mallory := w.as("jane"), w.as("mallory")
	w.create(&corev1.ResourceQuota{ // admitted by us, no object of this name comes to be
		ObjectMeta: w.meta("none", ""),
		Spec:       corev1.ResourceQuotaSpec{Hard: hard{"requests.nvidia.com/gpu": "0"}.list()},
	})
	if !w.eventually(func(ctx context.Context) (bool, error) {
		var quota corev1.ResourceQuota
		err := w.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: "none"}, &quota)
		return len(quota.Status.Hard) > 0, err
	}) {
		t.Fatal("the namespace's ResourceQuota is not counted")
	}

	ctx, stop := context.WithCancel(t.Context())
	var told atomic.Int64 // that too many of his changes have not come to be
	var flood sync.WaitGroup
	for client := range 32 {
		flood.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				doomed := w.pod(fmt.Sprintf("doomed-%d-%d", client, i), nlp, cpu("1"))
				doomed.Spec.Containers[0].Resources.Limits["nvidia.com/gpu"] = hard{"n": "1"}.list()["n"]
				switch err := mallory.Create(ctx, doomed); {
				case err == nil:
					t.Error("a pod beyond the ResourceQuota is created")
				case apierrors.IsTooManyRequests(err) || contains(err.Error(), "have not come to be yet"):
					told.Add(1)
				}
			}
		})
	}
	if !w.eventually(func(context.Context) (bool, error) { return told.Load() > 0, nil }) {
		t.Error("nobody was told to stop")
	}
	for i := range 10 {
		w.admits(jane, w.pod(fmt.Sprintf("honest-%d", i), nlp, cpu("1")))
	}
	stop()
	flood.Wait()
	const share, others = 250, 10
	if held := len(w.status(nlp).Reservations); held > share+others {
		t.Errorf("%d reservations stand, want at most one requester's share of %d and the others'", held, share)
	}
	if !w.eventually(func(context.Context) (bool, error) {
		return maps.Equal(only(w.status(nlp).SelfUsed, hard{"limits.cpu": "10"}), hard{"limits.cpu": "10"}), nil
	}) {
		t.Errorf("%v is counted, want 10 cores", w.status(nlp).SelfUsed)
	}
}

// Requests whose bodies never end are many to open and hold nobody up, whether who sends them knows the way or not.
func TestSlowBodies(t *testing.T) {
	w := newWorld(t)
	nlp := w.group("nlp", "", hard{"limits.cpu": "100"})
	for i := range w.rig.Size() {
		for n := range 200 {
			w.slowBody(w.rig.Endpoint(i), n)
		}
	}
	for i := range 10 {
		w.admits(w.Client, w.pod(fmt.Sprintf("pod-%d", i), nlp, cpu("1")))
	}
	w.used(nlp, hard{"limits.cpu": "10"})
}

// slowBody begins a request at a manager, and says no more until the test has ended.
func (w *world) slowBody(endpoint string, n int) {
	w.t.Helper()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: promptly}, Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // loopback
	connection, err := dialer.DialContext(w.t.Context(), "tcp", endpoint)
	w.admitted(err)
	w.t.Cleanup(func() {
		if err := connection.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			w.t.Log(err) // the manager may have cut it
		}
	})
	path := []string{"/validate-workload", "/validate-scale", "/guessed"}[n%3]
	_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: manager\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", path)
	w.admitted(err)
}
