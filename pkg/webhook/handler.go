package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Decide answers a request; nil where the room has nothing to say about it. Errors are
// BadRequest, an AlreadyExists of the object that is to be created, or say why the request could not be answered in time.
type Decide func(context.Context, *admission.Request) (*Answer, error)

// Answer is a room's answer to a request.
type Answer struct {
	Allowed bool
	// Reasons are a refusal's, a line each.
	Reasons []string
	// Warnings are told to the requester, allowed or not.
	Warnings []string
	// Log are keys and values that say in the log what a refusal is about.
	Log []any
}

// handler makes responses, metrics and logs of a room's answers.
type handler struct {
	room   string
	decide Decide
	meters *meters
}

// Handle implements admission.Handler.
func (h handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout(ctx))
	defer cancel()
	answer, err := h.decide(ctx, &req)
	response, verdict := h.respond(answer, err)
	resource := resourceOf(&req)
	h.meters.admissions.WithLabelValues(resource, string(req.Operation), verdict).Inc()
	h.meters.duration.WithLabelValues(resource).Observe(time.Since(start).Seconds())
	switch log := logf.FromContext(ctx); verdict {
	case verdictRefused:
		log.Info("refused", slices.Concat([]any{"operation", req.Operation}, answer.Log, []any{"reasons", answer.Reasons})...)
	case verdictError:
		log.Info("not judged", "operation", req.Operation, "reason", err.Error())
	}
	return response
}

// resourceOf names what is requested: "deployments.apps/scale".
func resourceOf(req *admission.Request) string {
	name := metav1.GroupResource{Group: req.Resource.Group, Resource: req.Resource.Resource}
	resource := name.Resource
	if name.Group != "" {
		resource += "." + name.Group
	}
	if req.SubResource != "" {
		resource += "/" + req.SubResource
	}
	return resource
}

// retryAfter is in how many seconds a request that was not judged should come again.
// Clients built on client-go do so by themselves.
const retryAfter = 1

// respond is the response to an answer, and what to count it as.
func (h handler) respond(answer *Answer, err error) (response admission.Response, verdict string) {
	if bad := (BadRequest{}); errors.As(err, &bad) {
		response = admission.Errored(http.StatusBadRequest, err)
		response.Result.Reason = metav1.StatusReasonBadRequest
		return response, verdictError
	}
	switch {
	case apierrors.IsAlreadyExists(err):
		response = admission.Errored(http.StatusConflict, err)
		response.Result.Reason = metav1.StatusReasonAlreadyExists
		return response, verdictError
	case err != nil:
		response = admission.Errored(http.StatusServiceUnavailable, fmt.Errorf("%s cannot be judged now: %w: try again", h.room, err))
		response.Result.Reason = metav1.StatusReasonServiceUnavailable
		response.Result.Details = &metav1.StatusDetails{RetryAfterSeconds: retryAfter}
		return response, verdictError
	case answer == nil:
		return admission.Allowed(""), verdictSkipped
	case !answer.Allowed:
		return admission.Denied(strings.Join(answer.Reasons, "\n")).WithWarnings(answer.Warnings...), verdictRefused
	}
	return admission.Allowed("").WithWarnings(answer.Warnings...), verdictAllowed
}

// timeoutKey is the context's key of how long the API server waits for the answer.
type timeoutKey struct{}

// withTimeout notes how long the API server says that it waits.
func withTimeout(ctx context.Context, r *http.Request) context.Context {
	if timeout, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && timeout > 0 {
		return context.WithValue(ctx, timeoutKey{}, timeout)
	}
	return ctx
}

// timeout is how long a decision may take, so that its answer still arrives.
func timeout(ctx context.Context) time.Duration {
	const byDefault = 10 * time.Second // the API server's, for webhooks that say nothing
	timeout, ok := ctx.Value(timeoutKey{}).(time.Duration)
	if !ok {
		timeout = byDefault
	}
	return timeout - max(timeout/10, min(timeout/2, time.Second)) // it is rounded up to whole seconds
}
