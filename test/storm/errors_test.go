package storm

import (
	"context"
	"errors"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// outcome is what became of a request.
type outcome string

// The outcomes.
const (
	admitted    outcome = "admitted"
	refused     outcome = "refused by quota"
	failedAfter outcome = "refused by the storm's webhook after quota admitted it"
	ownConflict outcome = "own optimistic-lock conflict"
	raced       outcome = "object gone, there already or running by now"
	unavailable outcome = "unavailable"
	conflict    outcome = "conflict of the component's surfaced"
	unexpected  outcome = "unexpected"
)

// What the API server says of a resize: kwok's nodes cannot resize a pod that runs, and one that lingers is on no node.
const (
	notResizable = "Pod running on node without support for resize"
	nodeNotThere = `is forbidden: node "nowhere" not found`
)

// rolesUnread says whether a text is what an API server says that has just started and not read its roles yet.
func rolesUnread(text string) bool {
	return strings.Contains(text, `forbidden: User "`+autoscaler+`" cannot`) || strings.Contains(text, `forbidden: User "`+editor+`" cannot`)
}

// outcomeOf classifies a request's error.
func outcomeOf(err error) outcome {
	if err == nil {
		return admitted
	}
	text := err.Error()
	ours := strings.Contains(text, "quota.stowage.dev")
	stale := strings.Contains(text, "the object has been modified") || strings.Contains(text, "please apply your changes to the latest version")
	switch {
	case stale && (ours || strings.Contains(text, "bizgroupresourcequotas")) && !ownGroup(err):
		return conflict
	case strings.Contains(text, failingWebhook) && strings.Contains(text, failedText):
		return failedAfter
	case apierrors.IsForbidden(err) && ours && strings.Contains(text, "denied the request: ") && isRefusal(text):
		return refused
	case apierrors.IsConflict(err) && !ours:
		return ownConflict
	case apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || strings.Contains(text, notResizable) || strings.Contains(text, nodeNotThere):
		return raced
	case isUnavailable(err) || apierrors.IsForbidden(err) && rolesUnread(text):
		return unavailable
	}
	return unexpected
}

// ownGroup says whether a conflict is about the group that the client itself was changing.
func ownGroup(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsConflict(err) && status.Status().Details != nil &&
		strings.HasPrefix(status.Status().Details.Kind, "bizgroupresourcequota")
}

// isRefusal says whether a text is one that quota refuses with: for what is left, for the tree, for a group that is
// not there any more, or for an owner that is not the requester's to name.
func isRefusal(text string) bool {
	return strings.Contains(text, "group ") || strings.Contains(text, "spec.hard") || strings.Contains(text, "metadata.ownerReferences: ")
}

// isUnavailable says whether some process was away, starting, or too busy.
func isUnavailable(err error) bool {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || utilnet.IsConnectionRefused(err) ||
		utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) {
		return true
	}
	for _, part := range []string{
		"failed calling webhook", "etcdserver: ", "rpc error: code = Unavailable", "error reading from server: EOF",
		"connection refused", "connection reset", "http2: ", "unexpected EOF", "storage is (re)initializing", "context deadline exceeded",
	} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}
