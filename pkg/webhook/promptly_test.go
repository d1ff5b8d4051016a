package webhook

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// slowBodies are as many as a client may well hold open.
const slowBodies = 200

// Who sends a body and never ends it is cut, whether he knows the path or not, while
// others are answered; who needs time for an answer has it.
func TestSlowBodiesAreCut(t *testing.T) {
	const limit = 300 * time.Millisecond
	hooks := http.NewServeMux()
	hooks.HandleFunc("/workload", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	hooks.HandleFunc("/late", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(2 * limit):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	})
	server := httptest.NewServer(promptly(limit, secretly(func() []string { return []string{"token"} }, hooks)))
	t.Cleanup(server.Close)

	cut := make(chan error, slowBodies)
	for i := range slowBodies {
		path := []string{"/token/workload", "/guessed/workload"}[i%2]
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if _, err := fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{", path); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := io.Copy(io.Discard, connection)
			cut <- err
		}()
	}
	for _, path := range []string{"/token/workload", "/token/late"} {
		response, err := http.Post(server.URL+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, want it answered", path, response.Status)
		}
	}
	overdue := time.After(time.Minute)
	for i := range slowBodies {
		select {
		case err := <-cut:
			if err != nil {
				t.Fatal(err)
			}
		case <-overdue:
			t.Fatalf("%d of %d slow bodies are held open", slowBodies-i, slowBodies)
		}
	}
}
