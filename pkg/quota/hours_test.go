package quota_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	stowagev1alpha1 "github.com/stowage-dev/stowage/pkg/apis/stowage/v1alpha1"
	"github.com/stowage-dev/stowage/pkg/quota"
)

const coreHours = corev1.ResourceName("cash/limits.cpu")

// at is so long after monday.
func at(after time.Duration) time.Time { return monday.Add(after) }

// running is a pod of so many cores between two times after monday; a zero to says
// that it still runs.
func running(cores string, from, to time.Duration) quota.Run {
	run := quota.Run{Charge: list("limits.cpu", cores), From: at(from)}
	if to != 0 {
		run.To = at(to)
	}
	return run
}

// spender is a group with hours, counted last on monday.
func spender(hard string) *quota.Group {
	group := newGroup("nlp", "", corev1.ResourceList{coreHours: resource.MustParse(hard)})
	group.CreationTimestamp = metav1.NewTime(monday)
	return group
}

func spent(group *quota.Group) string {
	quantity := group.Status.SelfUsed[coreHours]
	return quantity.String()
}

func TestAccrue(t *testing.T) {
	hour := time.Hour
	tests := map[string]struct {
		runs  []quota.Run
		until time.Duration
		want  string
	}{
		"nothing runs":               {until: hour, want: "0"},
		"all the time":               {runs: []quota.Run{running("2", -hour, 0)}, until: hour, want: "2"},
		"bound in between":           {runs: []quota.Run{running("2", hour/2, 0)}, until: hour, want: "1"},
		"bound at the last time":     {runs: []quota.Run{running("1", 0, 0)}, until: hour, want: "1"},
		"bound after":                {runs: []quota.Run{running("2", 2*hour, 0)}, until: hour, want: "0"},
		"ended in between":           {runs: []quota.Run{running("2", -hour, hour/4)}, until: hour, want: "500m"},
		"began and ended in between": {runs: []quota.Run{running("4", hour/4, hour/2)}, until: hour, want: "1"},
		"ended before":               {runs: []quota.Run{running("2", -2*hour, -hour)}, until: hour, want: "0"},
		"ends later":                 {runs: []quota.Run{running("2", -hour, 3*hour)}, until: hour, want: "2"},
		"ended before it began":      {runs: []quota.Run{running("2", hour/2, hour/4)}, until: hour, want: "0"},
		"pods add up":                {runs: []quota.Run{running("1", 0, 0), running("500m", 0, hour/2), running("250m", 0, 0)}, until: hour, want: "1500m"},
		"no core asked":              {runs: []quota.Run{{Charge: list("pods", "1"), From: monday}}, until: hour, want: "0"},
		"a second":                   {runs: []quota.Run{running("36", 0, 0)}, until: time.Second, want: "10m"},
		"the clock stands":           {runs: []quota.Run{running("2", -hour, 0)}, until: 0, want: "0"},
		"the clock goes back":        {runs: []quota.Run{running("2", -2*hour, 0)}, until: -hour, want: "0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			group := spender("100")
			quota.Accrue(group, test.runs, at(test.until))
			if got := spent(group); got != test.want {
				t.Errorf("used %s, want %s", got, test.want)
			}
			if got, want := group.Status.LastReconcileTime.Time, at(max(0, test.until)); !got.Equal(want) {
				t.Errorf("charged until %s, want %s", got, want)
			}
		})
	}
}

func TestAccrueAfterTheClockWentBack(t *testing.T) {
	group := spender("100")
	runs := []quota.Run{running("1", 0, 0)}
	for _, until := range []time.Duration{time.Hour, time.Minute, 2 * time.Hour} {
		quota.Accrue(group, runs, at(until))
	}
	if got := spent(group); got != "2" {
		t.Errorf("used %s, want 2: each hour once", got)
	}
}

func TestAccrueStartsWithTheFirstCount(t *testing.T) {
	group := spender("100")
	group.Status = stowagev1alpha1.BizGroupResourceQuotaStatus{}
	runs := []quota.Run{running("1", -24*time.Hour, 0)}
	quota.Accrue(group, runs, monday)
	quota.Accrue(group, runs, at(time.Hour))
	if got := spent(group); got != "1" {
		t.Errorf("used %s, want 1", got)
	}
}

// 100 core-hours are 1 core for 100 hours, 2 for 50, or 100 for 1.
func TestHoursAreWorthTheSame(t *testing.T) {
	for cores, hours := range map[string]time.Duration{"1": 100, "2": 50, "100": 1} {
		group := spender("100")
		quota.Accrue(group, []quota.Run{running(cores, 0, 0)}, at(hours*time.Hour-36*time.Second))
		if left := quota.Left(group, coreHours); left.Sign() <= 0 {
			t.Errorf("%s cores: used up before %d hours: %s", cores, hours, spent(group))
		}
		quota.Accrue(group, []quota.Run{running(cores, 0, 0)}, at(hours*time.Hour))
		group.Status = quota.Settle(group, quota.Seen{Version: unseen}, metav1.NewTime(monday))
		if left := quota.Left(group, coreHours); !left.IsZero() {
			t.Errorf("%s cores: after %d hours %s are left, want 0", cores, hours, &left)
		}
		check := quota.NewTree([]*quota.Group{group}).CheckWorkload(quota.Change{New: deployment(t, "nlp", 1, pod(list("cpu", "1")))})
		if check.Allowed {
			t.Errorf("%s cores: a pod is admitted after %d hours", cores, hours)
		}
	}
}

func TestAccrueChargesModels(t *testing.T) {
	group := newGroup("nlp", "", list("cash/cpu", "100", "cash/requests.nvidia.com/gpu.A30", "100", "limits.cpu", "5"))
	quota.Accrue(group, []quota.Run{
		{Charge: list("requests.cpu", "2", "requests.nvidia.com/gpu", "8", "requests.nvidia.com/gpu.A30", "8"), From: monday},
		{Charge: list("requests.cpu", "1", "requests.nvidia.com/gpu", "4", "requests.nvidia.com/gpu.T4", "4"), From: monday},
	}, at(time.Hour))
	want := map[string]string{"cash/cpu": "3", "cash/requests.nvidia.com/gpu.A30": "8", "limits.cpu": "0"}
	if diff := cmp.Diff(want, text(group.Status.SelfUsed)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Hours of memory are byte-hours: numbers far beyond 64 bits of billionths.
func TestAccrueOfLargeAmounts(t *testing.T) {
	group := newGroup("nlp", "", list("cash/memory", "1E"))
	run := quota.Run{Charge: list("requests.memory", "64Ti"), From: monday}
	for hour := range 100 {
		quota.Accrue(group, []quota.Run{run}, at(time.Duration(hour+1)*time.Hour))
	}
	if got := group.Status.SelfUsed["cash/memory"]; got.Cmp(resource.MustParse("6400Ti")) != 0 {
		t.Errorf("used %s, want 6400Ti", &got)
	}
}

func TestAccrueKeepsHoursWhenAKeyIsRespelled(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("cash/cpu", "100")), list("cash/cpu", "60"))
	group.Spec.Hard = list("cash/requests.cpu", "100")
	quota.Accrue(group, []quota.Run{{Charge: list("requests.cpu", "1"), From: monday}}, at(time.Hour))
	group.Status = quota.Settle(group, quota.Seen{Version: unseen}, metav1.NewTime(monday))
	if diff := cmp.Diff(map[string]string{"cash/requests.cpu": "61"}, text(group.Status.SelfUsed)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// refilled is a spender whose hours start again each midnight.
func refilled() *quota.Group {
	group := spender("100")
	group.Spec.Refill = &stowagev1alpha1.Refill{Schedule: "0 0 * * *"}
	return group
}

// periods are the history's: when each ended, in days after monday, and what was used.
func periods(group *quota.Group) []string {
	var out []string
	for _, period := range group.Status.History {
		used := period.Used[coreHours]
		out = append(out, fmt.Sprintf("%v-%v: %s", period.Start.Sub(monday).Hours()/24, period.End.Sub(monday).Hours()/24, &used))
	}
	return out
}

func TestRefill(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]struct {
		until   []time.Duration
		want    string
		history []string
	}{
		"before it":        {until: []time.Duration{day - 36*time.Second}, want: "23990m"},
		"at it":            {until: []time.Duration{day}, want: "0", history: []string{"0-1: 24"}},
		"after it":         {until: []time.Duration{day + time.Hour}, want: "1", history: []string{"0-1: 24"}},
		"step by step":     {until: []time.Duration{day / 2, day - 36*time.Second, day + 36*time.Second, day + time.Hour}, want: "1", history: []string{"0-1: 24"}},
		"several at once":  {until: []time.Duration{3*day + 2*time.Hour}, want: "2", history: []string{"2-3: 24", "1-2: 24", "0-1: 24"}},
		"one by one":       {until: []time.Duration{day, 2 * day, 3 * day, 3*day + 2*time.Hour}, want: "2", history: []string{"2-3: 24", "1-2: 24", "0-1: 24"}},
		"no time after it": {until: []time.Duration{day, day}, want: "0", history: []string{"0-1: 24"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			group := refilled()
			for _, until := range test.until {
				quota.Accrue(group, []quota.Run{running("1", -day, 0)}, at(until))
			}
			if got := spent(group); got != test.want {
				t.Errorf("used %s, want %s", got, test.want)
			}
			if diff := cmp.Diff(test.history, periods(group)); diff != "" {
				t.Errorf("history: -want +got:\n%s", diff)
			}
		})
	}
}

// After a long absence the history has the last 12 periods, each by itself.
func TestRefillAfterALongAbsence(t *testing.T) {
	group := refilled()
	quota.Accrue(group, []quota.Run{running("1", 0, 0)}, at(30*24*time.Hour))
	if n := len(group.Status.History); n != 12 {
		t.Fatalf("%d periods: %v", n, periods(group))
	}
	for i, got := range periods(group) {
		if want := fmt.Sprintf("%d-%d: 24", 29-i, 30-i); got != want {
			t.Errorf("period %d: %s, want %s", i, got, want)
		}
	}
}

func TestRefillInItsTimeZone(t *testing.T) {
	group := spender("100")
	group.Spec.Refill = &stowagev1alpha1.Refill{Schedule: "0 0 * * 1", TimeZone: "Asia/Shanghai"}
	// Shanghai is 8 hours ahead: its next Monday begins at 16:00 on our Sunday.
	refill := at(6*24*time.Hour + 16*time.Hour)
	if got := quota.NextRefill(group, monday); !got.Equal(refill) {
		t.Errorf("next refill %s, want %s", got, refill)
	}
	quota.Accrue(group, []quota.Run{running("1", 0, 0)}, refill.Add(time.Hour))
	if got := spent(group); got != "1" {
		t.Errorf("used %s, want 1", got)
	}
	if got := quota.NextRefill(spender("100"), monday); !got.IsZero() {
		t.Errorf("without refills, the next is %s", got)
	}
}

func TestPaceAndRunsOut(t *testing.T) {
	pace := quota.Pace([]quota.Run{running("2", 0, 0), running("500m", 0, 0), running("9", 0, time.Hour)})
	if diff := cmp.Diff(map[string]string{"cash/limits.cpu": "2500m"}, text(pace)); diff != "" {
		t.Errorf("pace: -want +got:\n%s", diff)
	}
	tests := map[string]struct {
		used string
		pace corev1.ResourceList
		want time.Duration
		ok   bool
	}{
		"two of two and a half an hour": {used: "75", pace: pace, want: 10 * time.Hour, ok: true},
		"nothing runs":                  {used: "75"},
		"used up":                       {used: "100", pace: pace},
		"overspent":                     {used: "120", pace: pace},
		"not in our lifetime":           {used: "0", pace: list("cash/limits.cpu", "1n")},
	}
	for name, test := range tests {
		group := withUsed(spender("100"), list("cash/limits.cpu", test.used))
		got, key, ok := quota.RunsOut(group, test.pace, monday)
		if ok != test.ok || ok && (key != coreHours || !got.Equal(at(test.want))) {
			t.Errorf("%s: %s of %s, %t; want %s, %t", name, got, key, ok, at(test.want), test.ok)
		}
	}
}

// exact is the integral of the runs' cores between two times, in core-hours.
func exact(runs []quota.Run, from, to time.Time) float64 {
	sum := 0.0
	for _, run := range runs {
		begin, end := from, to
		if run.From.After(begin) {
			begin = run.From
		}
		if !run.To.IsZero() && run.To.Before(end) {
			end = run.To
		}
		cores := run.Charge["limits.cpu"]
		sum += cores.AsApproximateFloat64() * max(0, end.Sub(begin).Hours())
	}
	return sum
}

// handOver is the group as the next controller reads it: as JSON has it.
func handOver(group *quota.Group) *quota.Group {
	out := group.DeepCopy()
	for key, quantity := range out.Status.SelfUsed {
		out.Status.SelfUsed[key] = resource.MustParse(quantity.String())
	}
	last := metav1.NewMicroTime(out.Status.LastReconcileTime.Truncate(time.Microsecond))
	out.Status.LastReconcileTime = &last
	return out
}

// However the time is cut into steps, whoever makes them and whoever fails to write
// one: the hours are those of one integral over all of it.
func TestAccrueInAnySteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const span = int64(3 * time.Hour)
		moment := rapid.Int64Range(-span/2, span)
		runs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) quota.Run {
			run := quota.Run{Charge: corev1.ResourceList{"limits.cpu": *resource.NewMilliQuantity(rapid.Int64Range(0, 64_000).Draw(t, "millicores"), resource.DecimalSI)}}
			run.From = at(time.Duration(moment.Draw(t, "from")))
			if rapid.Bool().Draw(t, "ended") {
				run.To = run.From.Add(time.Duration(rapid.Int64Range(0, span).Draw(t, "lasted")))
			}
			return run
		}), 0, 8).Draw(t, "runs")
		steps := rapid.SliceOfN(moment, 1, 60).Draw(t, "steps") // some of them back in time
		group := spender("1000000")
		latest := monday
		for _, step := range steps {
			counted := handOver(group)
			quota.Accrue(counted, runs, at(time.Duration(step)))
			if rapid.IntRange(0, 4).Draw(t, "conflict") == 0 {
				continue // not written: the next one starts from where this one did
			}
			group = counted
			if now := at(time.Duration(step)).Truncate(time.Microsecond); now.After(latest) {
				latest = now
			}
		}
		got := group.Status.SelfUsed[coreHours]
		if want := exact(runs, monday, latest); math.Abs(got.AsApproximateFloat64()-want) > 1e-6 {
			t.Fatalf("used %s until %s, want %.9f", &got, latest.Sub(monday), want)
		}
	})
}

// An hour of 10,000 pods that come and go, counted every now and then by three
// controllers in turns, each of which learns of a pod only after a while.
func TestAccrueAnHourOfChurn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const pods = 10_000
	runs := make([]quota.Run, pods)
	for i := range runs {
		from := at(time.Duration(random.Int64N(int64(time.Hour))))
		runs[i] = quota.Run{Charge: list("limits.cpu", fmt.Sprintf("%dm", 100+random.IntN(8000))), From: from, To: from.Add(time.Duration(random.Int64N(int64(10 * time.Minute))))}
	}
	group := spender("1000000")
	for now := monday; now.Before(at(time.Hour)); now = now.Add(time.Duration(random.Int64N(int64(time.Minute)))) {
		var known []quota.Run
		for _, run := range runs {
			if run.From.After(now) {
				continue
			}
			if run.To.After(now) {
				run.To = time.Time{} // as it is seen now
			}
			known = append(known, run)
		}
		counted := handOver(group)
		if quota.Accrue(counted, known, now); random.IntN(5) > 0 {
			group = counted
		}
	}
	quota.Accrue(group, runs, at(time.Hour))
	got, want := group.Status.SelfUsed[coreHours], exact(runs, monday, at(time.Hour))
	if off := math.Abs(got.AsApproximateFloat64()/want - 1); off > 1e-8 {
		t.Errorf("used %s, want %.9f: off by %.2g", &got, want, off)
	} else {
		t.Logf("%.3f core-hours, off by %.2g", want, off)
	}
}

// What would use up the hours within a day is said, with the pace and how long they last.
func TestHoursAreLookedAhead(t *testing.T) {
	group := withUsed(newGroup("nlp", "", list("requests.nvidia.com/gpu", "64", "cash/requests.nvidia.com/gpu", "100")),
		list("requests.nvidia.com/gpu", "4", "cash/requests.nvidia.com/gpu", "99"))
	tree := quota.NewTree([]*quota.Group{group})
	check := tree.CheckWorkload(quota.Change{New: deployment(t, "nlp", 32, pod(list("nvidia.com/gpu", "1")))})
	want := "group nlp: cash/requests.nvidia.com/gpu: at 36 GPUs the hours that are left last 1m40s, and then nothing new is admitted"
	if !check.Allowed || !slices.Contains(check.Warnings, want) {
		t.Errorf("warnings %q, want %q", check.Warnings, want)
	}
	small := newGroup("small", "", list("cash/requests.nvidia.com/gpu", "100"))
	check = quota.NewTree([]*quota.Group{small}).CheckWorkload(quota.Change{New: deployment(t, "small", 4, pod(list("nvidia.com/gpu", "1")))})
	if len(check.Warnings) > 0 {
		t.Errorf("warnings %q of hours that last 25 hours", check.Warnings)
	}
}
