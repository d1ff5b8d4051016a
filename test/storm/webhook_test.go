package storm

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/utils/ptr"
)

const (
	failingWebhook = "late.storm.stowage.dev"
	failedText     = "the storm refuses what quota admitted"
)

// The storm's own webhook refuses failing of the creations, and holds up slow of all that it sees for up to slowest.
const (
	failing = 0.05
	slow    = 0.02
	slowest = 4 * time.Second
	// afterOurs is how much later than it is asked the webhook refuses: the API server asks all validating
	// webhooks at once, and quota is to have admitted the request by then.
	afterOurs = 300 * time.Millisecond
)

// lateWebhook is the storm's own.
type lateWebhook struct {
	mu      sync.Mutex
	rng     *rand.Rand
	failed  int
	delayed int
}

// startLateWebhook serves the webhook until the test ends, and has the API server call it for all that has a group.
func startLateWebhook(t *testing.T, seed uint64) *lateWebhook {
	t.Helper()
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &lateWebhook{rng: rand.New(rand.NewPCG(seed, 'w'))}
	server := &http.Server{
		Handler: w, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		ErrorLog: log.New(io.Discard, "", 0), // the API server is killed while it waits
	}
	go func() { _ = server.ServeTLS(listener, "", "") }() // ends with Close
	t.Cleanup(func() { server.Close() })

	configuration := w.configuration("https://"+listener.Addr().String(), cert)
	configurations := cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := configurations.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return w
}

// configuration sorts after quota's.
func (w *lateWebhook) configuration(url string, authority []byte) *registrationv1.ValidatingWebhookConfiguration {
	rule := func(group string, resources ...string) registrationv1.RuleWithOperations {
		return registrationv1.RuleWithOperations{
			Operations: []registrationv1.OperationType{registrationv1.Create, registrationv1.Update},
			Rule:       registrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources},
		}
	}
	return &registrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-storm"},
		Webhooks: []registrationv1.ValidatingWebhook{{
			Name:         failingWebhook,
			ClientConfig: registrationv1.WebhookClientConfig{URL: &url, CABundle: authority},
			Rules: []registrationv1.RuleWithOperations{
				rule("apps", "deployments", "statefulsets", "deployments/scale", "statefulsets/scale"), rule("batch", "jobs"), rule("", "pods"),
			},
			MatchConditions: []registrationv1.MatchCondition{{
				// A Scale has no labels; what the controllers make is left alone, and so are their status updates.
				Name: "storms-clients", Expression: "!request.userInfo.username.startsWith('system:') || request.userInfo.username.endsWith(':horizontal-pod-autoscaler')",
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			SideEffects:             ptr.To(registrationv1.SideEffectClassNone),
			TimeoutSeconds:          ptr.To[int32](10),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// ServeHTTP answers an AdmissionReview.
func (w *lateWebhook) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(in.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(out, "want an AdmissionReview", http.StatusBadRequest)
		return
	}
	fails, delay := w.draw(review.Request)
	time.Sleep(delay)
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: !fails}
	if fails {
		review.Response.Result = &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: failedText}
	}
	review.Request = nil
	_ = json.NewEncoder(out).Encode(review) // the API server may be gone
}

// draw says what becomes of a request.
func (w *lateWebhook) draw(request *admissionv1.AdmissionRequest) (fails bool, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case request.Operation == admissionv1.Create && w.rng.Float64() < failing:
		w.failed++
		return true, afterOurs
	case w.rng.Float64() < slow:
		w.delayed++
		return false, time.Duration(w.rng.Float64() * float64(slowest))
	}
	return false, 0
}
