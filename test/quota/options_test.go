package quota_test

import (
	"testing"

	"github.com/stowage-dev/stowage/test/quota/rig"
)

// special is the component with a kind of the user's own, nobody asked whether he may charge a group, and charges
// that expire as soon as they may.
var special = rig.Options{
	Args:  []string{"--reservation-ttl=10s", "--authorize=false"},
	Kinds: farms,
}

// fast is the component by a clock that runs ten hours a second. What it does at a time, it does when it next looks.
var fast = rig.Options{
	ClockRate: 36000,
	Args:      []string{"--resync=300ms"},
}

func TestSpecialOptions(t *testing.T) {
	beside(t, special, map[string]func(*testing.T, *world){
		"DeclaredKind":           declaredKind,
		"FailedCreateExpires":    failedCreateExpires,
		"FailedGroupExpires":     failedGroupExpires,
		"AuthorizationTurnedOff": authorizationTurnedOff,
	})
}

func TestFastClock(t *testing.T) {
	beside(t, fast, map[string]func(*testing.T, *world){
		"HundredCoreHours":    hundredCoreHours,
		"HoursEndWithThePods": hoursEndWithThePods,
		"Refill":              refill,
	})
}

// beside runs tests beside each other, with the component as opts say.
func beside(t *testing.T, opts rig.Options, tests map[string]func(*testing.T, *world)) {
	start(t, opts)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorldWith(t, opts))
		})
	}
}
