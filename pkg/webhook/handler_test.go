package webhook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRespond(t *testing.T) {
	for name, test := range map[string]struct {
		answer  *Answer
		err     error
		verdict string
		want    metav1.Status
	}{
		"nothing to say": {nil, nil, verdictSkipped, metav1.Status{Code: http.StatusOK}},
		"allowed":        {&Answer{Allowed: true}, nil, verdictAllowed, metav1.Status{Code: http.StatusOK}},
		"refused": {&Answer{Reasons: []string{"group a: b", "group a: c"}}, nil, verdictRefused,
			metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "group a: b\ngroup a: c"}},
		"wrong": {nil, BadRequest{errors.New("spec.replicas: expected a number")}, verdictError,
			metav1.Status{Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "spec.replicas: expected a number"}},
		"not in time": {nil, errors.New("group a: is not counted yet by the controller"), verdictError,
			metav1.Status{
				Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, Details: &metav1.StatusDetails{RetryAfterSeconds: 1},
				Message: "quota cannot be judged now: group a: is not counted yet by the controller: try again",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			response, verdict := handler{room: "quota"}.respond(test.answer, test.err)
			if verdict != test.verdict || response.Allowed != (test.want.Code == http.StatusOK) {
				t.Errorf("verdict %s, allowed %v, want %s", verdict, response.Allowed, test.verdict)
			}
			if diff := cmp.Diff(&test.want, response.Result); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is not asked for by the secret is not found, however near it comes.
func TestSecretly(t *testing.T) {
	hooks := http.NewServeMux()
	hooks.HandleFunc("/workload", func(http.ResponseWriter, *http.Request) {})
	served := secretly(func() []string { return []string{"token", "former"} }, hooks)
	for path, want := range map[string]int{
		"/token/workload":  http.StatusOK,
		"/former/workload": http.StatusOK,
		"/token/other":     http.StatusNotFound,
		"/workload":        http.StatusNotFound,
		"/tokem/workload":  http.StatusNotFound,
		"/tok":             http.StatusNotFound,
		"/":                http.StatusNotFound,
		"//token/workload": http.StatusNotFound,
	} {
		answer := httptest.NewRecorder()
		served.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, nil))
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}
