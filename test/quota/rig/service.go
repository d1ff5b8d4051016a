package rig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"syscall"

	certutil "k8s.io/client-go/util/cert"
)

// service is the address that the API server calls: it hands each request to the next ready manager, as a Service
// with three endpoints would.
type service struct {
	listener  net.Listener
	server    *http.Server
	transport *http.Transport

	mu        sync.Mutex
	endpoints []string // host:port of the ready managers; the next one's turn is first
}

// servingCert is a certificate for 127.0.0.1 and its key; the former ends in the authority's own.
type servingCert struct{ cert, key []byte }

func newServingCert() (servingCert, error) {
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	return servingCert{cert, key}, err
}

// newService starts the service on a port of its own.
func newService(own servingCert) (*service, error) {
	pair, err := tls.X509KeyPair(own.cert, own.key)
	if err != nil {
		return nil, err
	}
	authority := x509.NewCertPool()
	authority.AppendCertsFromPEM(own.cert)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{
		listener:  listener,
		transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority}, MaxIdleConnsPerHost: 256},
	}
	quiet := log.New(io.Discard, "", 0) // a manager that was killed is what tests are about
	s.server = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "https" },
			Transport: s,
			ErrorLog:  quiet,
		},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}},
		ErrorLog:  quiet,
	}
	go func() { _ = s.server.ServeTLS(listener, "", "") }() // ends with Close
	return s, nil
}

// url is the service's address.
func (s *service) url() string { return "https://" + s.listener.Addr().String() }

// close ends the service.
func (s *service) close() error {
	defer s.transport.CloseIdleConnections()
	return s.server.Close()
}

// add makes a manager an endpoint.
func (s *service) add(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.endpoints, endpoint) {
		s.endpoints = append(s.endpoints, endpoint)
	}
}

// remove makes a manager an endpoint no more.
func (s *service) remove(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = slices.DeleteFunc(s.endpoints, func(e string) bool { return e == endpoint })
}

// inTurn returns the endpoints, the next one first, and passes the turn on.
func (s *service) inTurn() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := slices.Clone(s.endpoints)
	if len(turn) > 1 {
		s.endpoints = append(slices.Clone(turn[1:]), turn[0])
	}
	return turn
}

// errNoEndpoint is what a client gets while no manager is ready.
var errNoEndpoint = errors.New("rig: no manager is ready")

// RoundTrip sends a request to the endpoint whose turn it is. One that refuses the connection has not seen the
// request, and the next is asked; a connection that breaks later is the client's to see.
func (s *service) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	err = errNoEndpoint
	for _, endpoint := range s.inTurn() {
		attempt := request.Clone(request.Context())
		attempt.URL.Host = endpoint
		attempt.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		attempt.Body, _ = attempt.GetBody()
		var response *http.Response
		if response, err = s.transport.RoundTrip(attempt); !errors.Is(err, syscall.ECONNREFUSED) {
			return response, err
		}
	}
	return nil, err
}
