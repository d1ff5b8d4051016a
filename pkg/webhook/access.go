package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	heldAnswers   = 8192
	reviewTimeout = 3 * time.Second
)

// Access asks the API server what a requester may do, by SubjectAccessReview, and
// remembers the answer for a while. Safe for concurrent use.
type Access struct {
	client  client.Client
	answers *cache.LRUExpireCache
	asking  singleflight.Group
}

// NewAccess returns an Access that asks by c, and forgets by the clock.
func NewAccess(c client.Client, clock clock.PassiveClock) *Access {
	return &Access{client: c, answers: cache.NewLRUExpireCacheWithClock(heldAnswers, clock)}
}

// May says whether the user may do what the attributes say. An answer holds for ttl.
func (a *Access) May(ctx context.Context, user authenticationv1.UserInfo, ttl time.Duration, what authorizationv1.ResourceAttributes) (bool, error) {
	key := answerKey(user, what)
	if allowed, ok := a.answers.Get(key); ok {
		return allowed.(bool), nil
	}
	// Those who ask the same at once share the question, which must outlive the
	// first of them.
	allowed, err, _ := a.asking.Do(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: &what, User: user.Username, Groups: user.Groups, UID: user.UID, Extra: extra(user),
		}}
		if err := a.client.Create(ctx, review); err != nil {
			return false, fmt.Errorf("asking whether user %s may %s %s: %w", user.Username, what.Verb, what.Resource, err)
		}
		a.answers.Add(key, review.Status.Allowed, ttl)
		return review.Status.Allowed, nil
	})
	return allowed.(bool), err
}

// answerKey is all that an answer depends on.
func answerKey(user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes) string {
	groups := slices.Sorted(slices.Values(user.Groups))
	return strings.Join([]string{
		user.Username, user.UID, fmt.Sprintf("%q", groups), fmt.Sprintf("%q", user.Extra),
		what.Verb, what.Group, what.Resource, what.Subresource, what.Namespace, what.Name,
	}, "\x00")
}

func extra(user authenticationv1.UserInfo) map[string]authorizationv1.ExtraValue {
	if len(user.Extra) == 0 {
		return nil
	}
	out := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		out[key] = authorizationv1.ExtraValue(values)
	}
	return out
}

// IsClusterController says whether the user is a part of the control plane.
func IsClusterController(user authenticationv1.UserInfo) bool {
	return user.Username == "system:kube-controller-manager" || slices.Contains(user.Groups, "system:serviceaccounts:"+metav1.NamespaceSystem)
}
