package quota

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
)

func TestNamed(t *testing.T) {
	f := newFeed(t)
	kind := table.ForResource(schema.ParseGroupResource("deployments.apps"))
	expect := func(what string, want types.UID) {
		t.Helper()
		var got types.UID
		if w := f.view.Named(kind, "default", "web"); w != nil {
			got = w.UID
		}
		if got != want {
			t.Errorf("%s: found %q, want %q", what, got, want)
		}
	}
	first, again := newDeployment("web", "nlp", 1), newDeployment("web", "nlp", 2)
	first.Namespace, again.Namespace = "default", "default"
	again.UID = "again"
	expect("nothing", "")
	f.put(first)
	expect("made", first.UID)
	f.put(again)
	expect("made anew, before the first was seen to go", again.UID)
	f.remove(first)
	expect("the first is gone", again.UID)
	f.remove(again)
	expect("both are gone", "")
	f.list("deployments.apps", first)
	f.list("deployments.apps", again)
	expect("listed anew", again.UID)
}

// there has one object under every name, or none.
type there struct {
	client.Reader
	uid     types.UID
	version string
}

func (r there) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	if r.uid == "" {
		return apierrors.NewNotFound(schema.GroupResource{}, "web")
	}
	obj.SetUID(r.uid)
	obj.SetResourceVersion(r.version)
	return nil
}

// What an expired reservation led to is what the API server has by its name; one for
// several creations stands until that is seen.
func TestLedToNothing(t *testing.T) {
	f := newFeed(t)
	seen := newDeployment("web", "nlp", 1)
	f.put(seen)
	for name, test := range map[string]struct {
		object types.UID
		base   string
		there  there
		want   bool
	}{
		"no object":                             {object: "a", want: true},
		"another object":                        {object: "a", there: there{uid: "b", version: "7"}, want: true},
		"the object":                            {object: "a", there: there{uid: "a", version: "7"}},
		"still the version before":              {object: "a", base: "7", there: there{uid: "a", version: "7"}, want: true},
		"a later version":                       {object: "a", base: "7", there: there{uid: "a", version: "8"}},
		"several creations, no object":          {want: true},
		"several creations, an object not seen": {there: there{uid: "b", version: "7"}},
		"several creations, an object that is":  {there: there{uid: seen.UID, version: "7"}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reconciler{view: f.view, kinds: table, reader: test.there}
			got, err := r.ledToNothing(t.Context(), stowagev1alpha1.Reservation{
				BaseResourceVersion: test.base,
				Object:              stowagev1alpha1.ObjectReference{Resource: "deployments.apps", Namespace: "default", Name: "web", UID: test.object},
			})
			if err != nil || got != test.want {
				t.Errorf("got %t, %v, want %t", got, err, test.want)
			}
		})
	}
}
