package quota

import (
	"context"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// lister lists and watches one kind. Its first list is of the past where start
// says so, and never of a cache that may be older than what others have seen.
type lister struct {
	cache.ListWatch
	log      logr.Logger
	resource string
	// start is the version of the first list; empty for now.
	start string
	// missing is called when the kind is not served.
	missing func()
}

// IsWatchListSemanticsUnSupported keeps a reflector to lists: a streamed list
// cannot begin in the past.
func (l *lister) IsWatchListSemanticsUnSupported() bool { return true }

// ListWithContext implements cache.ListerWatcherWithContext.
func (l *lister) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	if opts.ResourceVersion == "0" {
		opts.ResourceVersion = ""
	}
	if l.start != "" {
		past := opts
		if past.Continue == "" {
			past.ResourceVersion, past.ResourceVersionMatch = l.start, metav1.ResourceVersionMatchExact
		}
		list, err := l.ListWatch.ListWithContext(ctx, past)
		if err == nil && !more(list) {
			l.start = ""
		}
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return list, err
		}
		l.log.Info("The API server has no history back to the last count: hours of pods that ended in between are not charged", "resource", l.resource, "since", l.start)
		l.start = ""
		if opts.Continue != "" {
			return nil, err // the reflector lists anew
		}
	}
	list, err := l.ListWatch.ListWithContext(ctx, opts)
	if apierrors.IsNotFound(err) && l.missing != nil {
		l.missing()
	}
	return list, err
}

// more says whether a list has further pages.
func more(list runtime.Object) bool {
	accessor, err := meta.ListAccessor(list)
	return err == nil && accessor.GetContinue() != ""
}

// head is the kind's newest version.
func (l *lister) head(ctx context.Context) (string, error) {
	list, err := l.ListWatch.ListWithContext(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "", err
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	return accessor.GetResourceVersion(), nil
}
