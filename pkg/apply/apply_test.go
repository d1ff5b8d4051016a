package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	report "github.com/stowage-dev/stowage/pkg/apis/report/v1alpha1"
)

// threeWaves changes nodes a and b, then six more, then z.
func threeWaves(opts Options) *run {
	return newRun(nil, &report.TaintPlan{Waves: [][]string{{"a", "b"}, {"c", "d", "e", "f", "g", "h"}, {"z"}}}, opts)
}

func TestStoppedSaysWhatIsDone(t *testing.T) {
	drifted := &DriftError{Drift: []report.Drift{{Object: "node/z", Planned: "no taints", Found: "no such node"}}}
	for name, test := range map[string]struct {
		opts    Options
		wave    int
		changed []string
		err     error
		want    string
	}{
		"at once": {err: errors.New("node a: forbidden"), want: "wave 1 of 3: node a: forbidden; no node was changed"},
		"in the first wave": {
			changed: []string{"b"}, err: errors.New("node a: forbidden"),
			want: "wave 1 of 3: node a: forbidden; done: the taints of wave 1 (node b); run --apply again to continue, or --rollback to undo",
		},
		"in the last": {
			wave: 2, changed: []string{"z"}, err: context.Canceled,
			want: "wave 3 of 3: context canceled; done: wave 1 (nodes a, b), wave 2 (nodes c, d, e, f, g and 1 more), the taints of wave 3 (node z); " +
				"run --apply again to continue, or --rollback to undo",
		},
		"for drift": {
			wave: 1, err: drifted,
			want: "wave 2 of 3: the cluster is not as planned: node/z: planned no taints, found no such node; done: wave 1 (nodes a, b); " +
				"make a new plan for the rest, or --rollback to undo",
		},
		"in a dry run": {
			opts: Options{DryRun: true}, wave: 1, changed: []string{"c"}, err: errors.New("node d: not found"),
			want: "wave 2 of 3: node d: not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := threeWaves(test.opts)
			r.changed = test.changed
			got := r.stopped(test.wave, test.err)
			if got.Error() != test.want {
				t.Errorf("got:\n%s, want:\n%s", got, test.want)
			}
			if !errors.Is(got, test.err) {
				t.Errorf("%v does not wrap its cause", got)
			}
		})
	}
}

func TestTimeoutFollowsThePlan(t *testing.T) {
	r := threeWaves(Options{})
	for wave, after := range []int64{30, 600, 0} {
		for i := range int64(3) {
			r.plan.Evictions = append(r.plan.Evictions, report.Eviction{Wave: int32(wave) + 1, AfterSeconds: max(0, after-i)})
		}
	}
	r.plan.Workloads = []report.WorkloadVerdict{{StartSeconds: 5}, {StartSeconds: 40}, {}}
	for i, seconds := range []int{70, 640, 40} {
		if got, want := r.timeout(i), time.Duration(seconds)*time.Second+Patience; got != want {
			t.Errorf("wave %d: %s, want %s", i+1, got, want)
		}
	}
	r.opts.Timeout = time.Minute
	if got := r.timeout(1); got != time.Minute {
		t.Errorf("with a timeout of the user's: %s, want that", got)
	}
}

func TestSomeCountsTheRest(t *testing.T) {
	var texts []string
	for i, want := range []string{"", "0", "0, 1", "0, 1, 2", "0, 1, 2, 3", "0, 1, 2, 3, 4", "0, 1, 2, 3, 4 and 1 more", "0, 1, 2, 3, 4 and 2 more"} {
		if got := some(texts); got != want {
			t.Errorf("%d texts: %q, want %q", i, got, want)
		}
		texts = append(texts, fmt.Sprint(i))
	}
}
