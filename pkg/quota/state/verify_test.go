package state_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota/state"
	"github.com/stowage-dev/stowage/pkg/snapshot"
	"github.com/stowage-dev/stowage/pkg/snapshot/build"
)

// reserve adds a reservation for pod ns/NAME that ends so long after now.
func reserve(name string, after time.Duration) func(*stowagev1alpha1.BizGroupResourceQuota) {
	return func(group *stowagev1alpha1.BizGroupResourceQuota) {
		made := build.BizGroup("", "").Reservation("pods", "ns", name, "limits.cpu=2").Obj().Status.Reservations[0]
		made.Expiry = metav1.NewMicroTime(build.Epoch.Add(time.Hour + after))
		group.Status.Reservations = append(group.Status.Reservations, made)
	}
}

func TestVerify(t *testing.T) {
	group := func(used string) *build.BizGroupBuilder {
		return build.BizGroup("a", "").Hard("limits.cpu=10,cash/limits.cpu=10").Used(used)
	}
	running := tie(pod("p", "cpu=2").Obj(), "a")
	for name, test := range map[string]struct {
		objects []snapshot.Object
		want    []string
	}{
		"agrees":                          {[]snapshot.Object{group("limits.cpu=2").Obj(), running}, nil},
		"counts too much":                 {[]snapshot.Object{group("limits.cpu=3").Obj(), running}, []string{"a limits.cpu 3 - 2 = 1"}},
		"counts too little":               {[]snapshot.Object{group("").Obj(), running}, []string{"a limits.cpu 0 - 2 = -2"}},
		"hours are history":               {[]snapshot.Object{group("limits.cpu=2,cash/limits.cpu=7").Obj(), running}, nil},
		"children count":                  {[]snapshot.Object{group("limits.cpu=3").Obj(), build.BizGroup("b", "a").Hard("limits.cpu=3").Obj()}, nil},
		"a reservation stands":            {[]snapshot.Object{group("limits.cpu=2").With(reserve("q", time.Second)).Obj()}, nil},
		"a reservation has expired":       {[]snapshot.Object{group("limits.cpu=2").With(reserve("q", -time.Second)).Obj()}, []string{"a limits.cpu 2 - 0 = 2"}},
		"a reservation's object is there": {[]snapshot.Object{group("limits.cpu=4").With(reserve("p", time.Second)).Obj(), running}, []string{"a limits.cpu 4 - 2 = 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, object := range test.objects {
				object.SetResourceVersion("7")
			}
			verify, err := newState(test.objects...).Verify("")
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "the drift", test.want, driftsOf(verify))
		})
	}
}

// TestVerifyOne compares the named group alone.
func TestVerifyOne(t *testing.T) {
	s := newState(build.BizGroup("a", "").Hard("pods=1").Used("pods=1").Obj(), build.BizGroup("b", "").Hard("pods=1").Used("pods=1").Obj())
	verify, err := s.Verify("b")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the drift", []string{"b pods 1 - 0 = 1"}, driftsOf(verify))
	equal(t, "the groups compared", 1, verify.Groups)
	if _, err := s.Verify("c"); err == nil {
		t.Error("expected an error for a group that is not there")
	}
}

func driftsOf(verify *report.QuotaVerify) []string {
	var lines []string
	for _, item := range verify.Items {
		lines = append(lines, fmt.Sprintf("%s %s %s - %s = %s", item.Group, item.Key, &item.Ledger, &item.Reality, &item.Drift))
	}
	return lines
}

// TestLasting takes out what was counted between two looks, and what moved.
func TestLasting(t *testing.T) {
	drift := func(group string, by int64) report.QuotaDrift {
		return report.QuotaDrift{Group: group, Key: "pods", Drift: *resource.NewQuantity(by, resource.DecimalSI)}
	}
	later := &report.QuotaVerify{Items: []report.QuotaDrift{drift("lasts", 1), drift("moves", 2), drift("new", 3)}}
	state.Lasting(&report.QuotaVerify{Items: []report.QuotaDrift{drift("counted", 1), drift("lasts", 1), drift("moves", 1)}}, later)
	if len(later.Items) != 1 || later.Items[0].Group != "lasts" {
		t.Errorf("expected the drift of lasts alone, found %v", driftsOf(later))
	}
}
