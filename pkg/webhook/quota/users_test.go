package quota

import (
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/stowage-dev/stowage/pkg/quota"
)

// A flood of refusals does not have a group's workloads looked through each time, and what
// is remembered of them stays little.
func TestUsersAreRemembered(t *testing.T) {
	clock, finds := clocktesting.NewFakePassiveClock(time.Unix(0, 0)), 0
	u := &users{clock: clock, find: func(group *quota.Group, key corev1.ResourceName) []quota.User {
		finds++
		return []quota.User{{Object: group.Name + " " + string(key) + " " + strconv.Itoa(finds)}}
	}}
	for _, step := range []struct {
		after      time.Duration
		group, key string
		want       string
	}{
		{0, "a", "pods", "a pods 1"},
		{usersTTL - 1, "a", "pods", "a pods 1"},
		{0, "a", "limits.cpu", "a limits.cpu 2"},
		{0, "b", "pods", "b pods 3"},
		{1, "a", "pods", "a pods 4"},
		{0, "a", "limits.cpu", "a limits.cpu 2"},
	} {
		clock.SetTime(clock.Now().Add(step.after))
		if got := u.of(newGroup(step.group, "", nil), corev1.ResourceName(step.key)); len(got) != 1 || got[0].Object != step.want {
			t.Errorf("%+v: got %v", step, got)
		}
	}
	for i := range 3 * mostUsed {
		u.of(newGroup(strconv.Itoa(i), "", nil), "pods")
		if len(u.seen) > mostUsed {
			t.Fatalf("%d keys are remembered, want at most %d", len(u.seen), mostUsed)
		}
	}
}
