package quota_test

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

// The size of a reservation is known without writing it.
func TestSizeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(what string) string { return rapid.StringMatching(`[a-z0-9.-]{0,60}`).Draw(t, what) }
		reservation := stowagev1alpha1.Reservation{
			UID: types.UID(text("uid")), Requester: text("requester"), BaseResourceVersion: text("base"), Amounts: corev1.ResourceList{},
			Expiry: metav1.NewMicroTime(monday.Add(time.Microsecond)),
			Object: stowagev1alpha1.ObjectReference{Resource: text("resource"), Namespace: text("namespace"), Name: text("name"), UID: types.UID(text("object"))},
		}
		for range rapid.IntRange(0, 8).Draw(t, "keys") {
			reservation.Amounts[corev1.ResourceName(text("key"))] = drawAmount(t)
		}
		data, err := json.Marshal(reservation)
		if err != nil {
			t.Fatal(err)
		}
		if size := quota.SizeOf(reservation); size < len(data) || size > 2*len(data)+100*len(reservation.Amounts)+100 {
			t.Errorf("found %d, is %d: %s", size, len(data), data)
		}
	})
}
